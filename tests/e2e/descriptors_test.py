"""Out of file descriptors: accepting stops, resumes when one is free, and never spins."""

import re
import resource
import threading

from harness import Case, SANITIZED, wait_until

LIMIT = 256
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
EXHAUSTED = "weir_listener_descriptors_exhausted_total"


def limited(number):
    return ["prlimit", f"--nofile={number}:{number}"]


class Descriptors(Case):

    def holding(self):
        """An origin that answers once self.gate is set."""
        self.gate = threading.Event()
        self.addCleanup(self.gate.set)

        def script(connection):
            while connection.request():
                self.gate.wait(30)
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        return self.origin(script, backlog=LIMIT)

    def lowered(self, origin, free):
        """A weir that has `free` descriptors left besides one kept connection to the server."""
        weir = self.weir(origin, backend={"idle": "60s"})
        weir.admin_client = self.client(weir.admin_port)
        self.assert_metric(weir, 0, EXHAUSTED)
        client = self.client(weir).send(GET)
        origin.wait_requests(1)
        self.gate.set()
        self.assertEqual(client.response().status, 200)
        client.close()
        wait_until(lambda: weir.metric("weir_listener_connections_active") == 0, 5)
        self.gate.clear()
        hard = resource.prlimit(weir.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(weir.pid, resource.RLIMIT_NOFILE, (weir.descriptors() + free, hard))
        return weir, hard

    def full(self):
        """Ten clients with a request under way have every descriptor, nine more wait."""
        origin = self.holding()
        weir, hard = self.lowered(origin, 19)  # The first request has the kept connection.
        inside = []
        for count in range(10):
            inside.append(self.client(weir).send(GET))
            origin.wait_requests(2 + count)
        self.assert_metric(weir, 0, EXHAUSTED)
        waiting = [self.client(weir).send(GET) for _ in range(9)]
        wait_until(lambda: weir.metric(EXHAUSTED) > 0, 10, "the limit to be met")
        return weir, hard, origin, inside, waiting

    def swap_one(self, origin, inside, waiting):
        """One client leaves, and the next of those who wait takes its place."""
        before = len(origin.requests)
        inside.pop(0).reset()
        origin.wait_requests(before + 1)
        inside.append(waiting.pop(0))

    def test_stops_and_resumes(self):
        """The limit of connections that follows from that of descriptors."""
        origin = self.holding()
        weir = self.plain(origin, prefix=limited(LIMIT))
        most = int(re.search(r"at most (\d+) connections", weir.output).group(1))
        self.assertGreater(most, LIMIT // 3)
        clients = [self.client(weir).send(GET) for _ in range(most + 10)]
        wait_until(lambda: len(origin.requests) == most, 10, "as many as fit")
        self.assertLess(weir.cpu_share(0.5), 0.1, "it spins")
        self.assertEqual(len(origin.requests), most)
        self.gate.set()
        for client in clients:
            self.assertEqual(client.response().status, 200)

    def test_limit_lowered_at_run_time(self):
        """The kernel says EMFILE: said once, counted, no spin, and everybody is served later."""
        if SANITIZED:
            return  # UBSan's check of virtual tables opens a pipe, and reports when it cannot.
        weir, hard, origin, inside, waiting = self.full()
        self.assertLess(weir.cpu_share(0.5), 0.1, "it spins")
        for _ in range(5):  # In and out of the limit a few times.
            self.swap_one(origin, inside, waiting)
        lines = [line for line in weir.output.splitlines() if "descriptor" in line]
        self.assertEqual(len(lines), 1, weir.output)
        self.assertRegex(lines[0], "raise the limit")
        resource.prlimit(weir.pid, resource.RLIMIT_NOFILE, (hard, hard))
        self.gate.set()
        for client in inside + waiting:  # Two may have come in where there was one for a server.
            self.assertIn(client.response().status, (200, 503))
        self.assertEqual(self.client(weir).get().status, 200)

    def test_a_pause_counts_once(self):
        """However often it is looked whether a descriptor is free, and however many wait."""
        if SANITIZED:
            return  # As above.
        weir, _, origin, inside, waiting = self.full()
        for pauses in range(1, 4):
            wait_until(lambda n=pauses: weir.metric(EXHAUSTED) >= n, 10, "the pause")
            weir.wait_turns(10)
            self.assert_metric(weir, pauses, EXHAUSTED)
            self.swap_one(origin, inside, waiting)

    def test_idle_clients_make_room(self):
        """Whoever has had an answer and keeps its connection is closed for one that asks now."""
        if SANITIZED:
            return  # As above.
        weir, _ = self.lowered(self.holding(), 19)
        self.gate.set()
        for _ in range(60):
            self.assertEqual(self.client(weir).get().status, 200)
        self.assertGreater(weir.metric("weir_connection_closes_total", reason="crowded"), 15)

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
        weir = self.plain(self.origin(), prefix=["prlimit", "--nofile=64:2048"])
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
