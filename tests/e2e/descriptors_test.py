"""Out of file descriptors: accepting stops, resumes when one is free, and never spins."""

import re
import resource
import threading

from harness import Case, SANITIZED, wait_until

LIMIT = 256


def limited(number):
    return ["prlimit", f"--nofile={number}:{number}"]


class Descriptors(Case):

    def full(self, weir):
        """Clients until weir does not accept any more. Each has begun a request, so that none is
        closed for another; finish() ends it."""
        inside, waiting = [], []
        active = "weir_listener_connections_active"
        exhausted = "weir_listener_descriptors_exhausted_total"
        while not waiting:
            self.assertLess(len(inside), LIMIT, "the limit was never met")
            client = self.client(weir).send(b"GET / HTTP/1.1\r\n")
            wait_until(lambda: weir.metric(active) > len(inside) or weir.metric(exhausted) > 0, 10)
            (waiting if weir.metric(exhausted) > 0 else inside).append(client)
        waiting += [self.client(weir).send(b"GET / HTTP/1.1\r\n") for _ in range(9)]
        return inside, waiting

    def finish(self, client):
        client.send(b"Host: a\r\n\r\n")
        self.assertEqual(client.response().status, 200)

    def lowered(self):
        """A weir that has no more than twenty descriptors left, and its hard limit."""
        weir = self.weir(self.origin(), backend={"idle": "60s"})  # One descriptor for the server.
        weir.admin_client = self.client(weir.admin_port)
        self.assertEqual(weir.metric("weir_listener_descriptors_exhausted_total"), 0)
        self.assertEqual(self.client(weir).get().status, 200)
        hard = resource.prlimit(weir.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(weir.pid, resource.RLIMIT_NOFILE, (weir.descriptors() + 20, hard))
        return weir, hard

    def swap_one(self, weir, inside, waiting):
        """One client leaves, and the next of those who wait takes its place."""
        accepted = "weir_listener_connections_total"
        before = weir.metric(accepted)
        inside.pop(0).reset()
        wait_until(lambda: weir.metric(accepted) == before + 1, 10, "one more")
        inside.append(waiting.pop(0))

    def test_stops_and_resumes(self):
        """The limit of connections that follows from that of descriptors."""
        gate = threading.Event()
        self.addCleanup(gate.set)

        def script(connection):
            while connection.request():
                gate.wait(30)
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        origin = self.origin(script, backlog=LIMIT)
        weir = self.classic(origin, prefix=limited(LIMIT))
        most = int(re.search(r"at most (\d+) connections", weir.output).group(1))
        self.assertGreater(most, LIMIT // 3)
        clients = [self.client(weir).send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                   for _ in range(most + 10)]
        wait_until(lambda: len(origin.requests) == most, 10, "as many as fit")
        self.assertLess(weir.cpu_share(0.5), 0.1, "it spins")
        self.assertEqual(len(origin.requests), most)
        gate.set()
        for client in clients:
            self.assertEqual(client.response().status, 200)

    def test_limit_lowered_at_run_time(self):
        """The kernel says EMFILE: said once, counted, no spin, and everybody is served later."""
        if SANITIZED:
            return  # UBSan's check of virtual tables opens a pipe, and reports when it cannot.
        weir, hard = self.lowered()
        before = len(weir.output)
        inside, waiting = self.full(weir)
        self.assertLess(weir.cpu_share(0.5), 0.1, "it spins")
        for _ in range(5):  # In and out of the limit a few times.
            self.swap_one(weir, inside, waiting)
        lines = weir.output[before:].splitlines()
        self.assertEqual(len(lines), 1, lines)
        self.assertRegex(lines[0], "descriptor|open files")
        resource.prlimit(weir.pid, resource.RLIMIT_NOFILE, (hard, hard))
        for client in inside + waiting:
            self.finish(client)
        self.assertGreater(weir.metric("weir_listener_descriptors_exhausted_total"), 0)

    def test_a_pause_counts_once(self):
        """However often it is looked whether a descriptor is free, and however many wait."""
        if SANITIZED:
            return  # As above.
        weir, _ = self.lowered()
        inside, waiting = self.full(weir)
        for pauses in range(1, 4):
            weir.wait_turns(10)
            self.assertEqual(weir.metric("weir_listener_descriptors_exhausted_total"), pauses)
            self.swap_one(weir, inside, waiting)

    def test_idle_clients_make_room(self):
        """Whoever has had an answer and keeps its connection is closed for one that asks now."""
        if SANITIZED:
            return  # As above.
        weir, _ = self.lowered()
        for _ in range(100):
            self.assertEqual(self.client(weir).get().status, 200)
        self.assertGreater(weir.metric("weir_connection_closes_total", reason="crowded"), 50)

    def test_no_descriptor_for_the_server(self):
        """A client that is in, but whose server connection cannot be opened, gets a page."""
        if SANITIZED:
            return  # As above.
        weir = self.weir(self.origin())
        client = self.client(weir)
        hard = resource.prlimit(weir.pid, resource.RLIMIT_NOFILE)[1]
        wait_until(lambda: weir.metric("weir_listener_connections_active") == 1, 5)
        resource.prlimit(weir.pid, resource.RLIMIT_NOFILE, (4, hard))
        answer = client.get()
        resource.prlimit(weir.pid, resource.RLIMIT_NOFILE, (hard, hard))
        self.assertEqual(answer.status, 503)
        self.assertIn(b"descriptors_exhausted", answer.body)
        self.assertEqual(self.client(weir).get().status, 200)

    def test_soft_limit_is_raised(self):
        """The soft limit is lifted to the hard one at the start."""
        weir = self.classic(self.origin(), prefix=["prlimit", "--nofile=64:2048"])
        clients = [self.client(weir) for _ in range(300)]
        for client in clients:
            self.assertEqual(client.get().status, 200)
        with open(f"/proc/{weir.pid}/limits", encoding="ascii") as limits:
            soft = next(line.split()[3] for line in limits if line.startswith("Max open files"))
        self.assertEqual(soft, "2048")

    def test_nothing_leaks(self):
        """After every kind of end the number of open descriptors is what it was."""
        weir = self.weir(self.origin(cut_requests=True), self.free_port(),
                         backend={"idle": "100ms"})
        self.assertTrue(weir.metrics())
        base = weir.descriptors()
        for _ in range(30):
            self.client(weir).get()
            self.client(weir).send(b"BAD\r\n\r\n")
            self.client(weir).send(b"GET / HT").reset()
            self.client(weir).send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx")
            self.client(weir).half_close()
        for client in self.clients:
            client.close()
        wait_until(lambda: weir.descriptors() <= base + 1, 10, "the descriptors to be closed")
