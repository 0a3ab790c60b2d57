"""Out of file descriptors: accepting stops, resumes when one is free, and never spins."""

import resource

from harness import Case, SANITIZED, wait_until

LIMIT = 256


def limited(number):
    return ["prlimit", f"--nofile={number}:{number}"]


class Descriptors(Case):

    def full(self, weir):
        """Clients until weir does not accept any more; those it accepted have been answered."""
        served, waiting = [], []
        for _ in range(LIMIT * 2):
            client = self.client(weir)
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            if not waiting and not client.quiet(0.3):
                self.assertEqual(client.response().status, 200)
                served.append(client)
            else:
                waiting.append(client)
                if len(waiting) == 10:
                    break
        self.assertEqual(len(waiting), 10, "the limit was never met")
        return served, waiting

    def test_stops_and_resumes(self):
        weir = self.classic(self.origin(), prefix=limited(LIMIT))
        served, waiting = self.full(weir)
        self.assertGreater(len(served), 10)
        self.assertLess(weir.cpu_share(0.5), 0.1, "it spins")
        for client in waiting:
            self.assertTrue(client.quiet(0.001))
        for client in served:  # Those inside are served on.
            self.assertEqual(client.get().status, 200)
        for client in served[:12]:
            client.close()
        for client in waiting:
            self.assertEqual(client.response().status, 200)

    def test_limit_lowered_at_run_time(self):
        """The kernel says EMFILE: said once, counted, no spin, and everybody is served later."""
        if SANITIZED:
            return  # UBSan's check of virtual tables opens a pipe, and reports when it cannot.
        weir = self.weir(self.origin(), backend={"idle": "60s"})  # One descriptor for the server.
        self.assertEqual(self.client(weir).get().status, 200)
        hard = resource.prlimit(weir.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(weir.pid, resource.RLIMIT_NOFILE, (weir.descriptors() + 20, hard))
        before = len(weir.output)
        served, waiting = self.full(weir)
        self.assertLess(weir.cpu_share(0.5), 0.1, "it spins")
        for _ in range(5):  # In and out of the limit a few times.
            served.pop().close()
            client = wait_until(lambda: next(
                (one for one in waiting if not one.quiet(0.01)), None), 10, "one more")
            waiting.remove(client)
            self.assertEqual(client.response().status, 200)
            served.append(client)
        lines = weir.output[before:].splitlines()
        self.assertEqual(len(lines), 1, lines)
        self.assertRegex(lines[0], "descriptor|open files")
        for client in served:
            client.close()
        for client in waiting:
            self.assertEqual(client.response().status, 200)
        resource.prlimit(weir.pid, resource.RLIMIT_NOFILE, (hard, hard))
        self.assertGreater(weir.metric("weir_listener_descriptors_exhausted_total"), 0)

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
