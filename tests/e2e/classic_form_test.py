"""`weir PORT SERVER...`: checks at /healthcheck, servers that report their load, 500 when none is
left."""

import threading
import time

from harness import response, seconds, wait_until
from harness.named import NamedCase


class Checks(NamedCase):

    def test_each_server_is_asked_at_the_start(self):
        servers = self.named("ABC")
        self.classic(*servers)
        wait_until(lambda: all(server.checks for server in servers), 10, "a check of each")
        for server in servers:
            request = server.origin.requests[0]
            self.assertEqual((request.method, request.target), ("GET", "/healthcheck"))
            self.assertEqual(request.get("host"), server.address)

    def test_every_five_seconds(self):
        server = self.named("A")[0]
        self.classic(server)
        wait_until(lambda: server.checks >= 2, 20, "the second check")

    def test_any_well_formed_answer_is_up(self):
        for status in ("200 OK", "301 Moved", "404 Not Found", "500 Oops", "503 Busy"):
            with self.subTest(status=status):
                server = self.named("A")[0]
                server.health = response(b"no such page", status=status)
                weir = self.classic(server, options=["-R", 1])
                client = self.client(weir)
                while server.checks < 4:  # One more than makes a server down.
                    self.assertEqual(client.get().body, b"A")
                self.assertEqual(self.names(weir, 3), "AAA")
                self.assertNotIn("is down", weir.err)

    def test_plain_file_servers(self):
        """They know nothing of it and answer 404."""
        weir = self.classic(self.python_server(), self.nginx(), options=["-R", 1])
        answers = [self.client(weir).get("/file").status for _ in range(8)]
        self.assertEqual(set(answers), {200, 404})  # Only one of the two has the file.
        self.assertNotIn("is down", weir.err)

    def test_garbage_is_down(self):
        servers = self.named("AB")
        servers[0].health = b"+PONG\r\n\r\n"
        weir = self.classic(*servers)
        wait_until(lambda: f"server servers/{servers[0].address} is down" in weir.err, 20)
        self.assertEqual(self.names(weir, 10), "B" * 10)


class AfterRequests(NamedCase):

    def after(self, options, requests):
        """So many requests bring the second check, long before five seconds have passed; how many
        checks there were after each request."""
        server = self.named("A")[0]
        weir = self.classic(server, options=options)
        wait_until(lambda: server.checks == 1, 10, "the first check")
        started = time.monotonic()
        client = self.client(weir)
        for _ in range(requests - 1):
            client.get()
        few = server.checks
        client.get()
        wait_until(lambda: server.checks == 2, 4, "the second check")
        if time.monotonic() - started < 4:  # Else the interval may have brought it.
            self.assertEqual(few, 1)

    def test_after_five_by_default(self):
        self.after([], 5)

    def test_after_so_many_as_asked(self):
        self.after(["-R", 1], 1)
        self.after(["-R", 12], 12)
        self.after(["--requests", 30], 30)

    def test_each_server_counts_for_itself(self):
        servers = self.named("AB")
        weir = self.classic(*servers, options=["-R", 10])
        wait_until(lambda: all(server.checks == 1 for server in servers), 10, "the first checks")
        self.names(weir, 24)
        wait_until(lambda: all(server.checks == 2 for server in servers), 4, "the second checks")

    def test_one_at_a_time(self):
        """While the answer to a check is awaited no further one begins, whatever is asked."""
        gate = threading.Event()
        self.addCleanup(gate.set)
        checks = []

        def script(connection):
            while request := connection.request():
                if request.target == "/healthcheck":
                    checks.append(connection)
                    gate.wait(seconds(20))
                connection.send(response(b"0\n0\n"))

        weir = self.classic(self.origin(script), options=["-R", 1])
        wait_until(lambda: len(checks) == 1, 10, "the first check")
        client = self.client(weir)
        for _ in range(300):
            self.assertEqual(client.get().status, 200)
        self.assertEqual(len(checks), 1)
        gate.set()
        wait_until(lambda: len(checks) == 2, 4, "the one that is due")

    def test_not_more_often_than_five_times_a_second(self):
        """However many requests there are: 200 ms lie between two checks of a server."""
        server = self.named("A")[0]
        started = time.monotonic()
        weir = self.classic(server, options=["-R", 1])
        client = self.client(weir)
        while server.checks < 6:
            client.get()
            self.assertLess(time.monotonic() - started, seconds(20), "the checks do not come")
        took = time.monotonic() - started
        self.assertLessEqual(server.checks, took / 0.2 + 2)
        self.assertGreaterEqual(took, 0.9)


class LoadReports(NamedCase):

    def test_the_least_loaded_server_is_asked(self):
        servers = self.named("ABC")
        for server, entries in zip(servers, (500, 100, 900)):
            server.report(f"0\n{entries}\n")
        weir = self.classic(*servers)
        wait_until(lambda: self.names(weir, 5) == "BBBBB", 10, "all reports")

    def test_servers_that_count_their_requests(self):
        """As small teaching servers do: errors, then everything they were asked since their start.
        The load stays even, also over several workers."""
        servers = self.named("ABCD")

        def counted(server):
            def script(connection):
                while request := connection.request():
                    if request.target == "/healthcheck":
                        entries = sum(one.target != "/healthcheck"
                                      for one in server.origin.requests)
                        connection.send(response(f"0\n{entries}\n".encode()))
                    else:
                        connection.send(response(server.name.encode()))

            return script

        for server in servers:
            server.origin.script = counted(server)
        weir = self.classic(*servers, workers=4)
        for _ in range(50):
            self.names(weir, 20)
        shares = [sum(one.target == "/" for one in server.origin.requests) for server in servers]
        self.assertEqual(sum(shares), 1_000)
        self.assertLessEqual(max(shares) - min(shares), 60, shares)


class NobodyLeft(NamedCase):

    def test_500(self):
        servers = self.named("AB")
        weir = self.classic(*servers)
        self.names(weir, 4)
        for server in servers:
            server.die()
        client = self.client(weir)
        for _ in range(4):
            self.assertEqual(client.get().status, 500)

    def test_a_server_that_starts_later_is_found(self):
        servers = self.named("A")
        servers[0].die()
        weir = self.classic(*servers)
        client = self.client(weir)
        self.assertEqual(client.get().status, 500)
        servers[0].revive()
        wait_until(lambda: client.get().status == 200, 20, "the server to be found")


class ServerLimit(NamedCase):

    def test_beyond_it_requests_wait(self):
        """Nobody is refused, and no server sees more than it can take, over all workers."""
        servers = self.named("AB")
        weir = self.classic(*servers, workers=4, options=["--server-limit", 2])
        clients = self.hold(weir, 12)
        self.held(servers, 4)
        self.assertTrue(clients[-1].quiet() or clients[-1].reader.buffer)
        self.finish(servers, clients)
        self.assertEqual(sorted(server.holding_most for server in servers), [2, 2])
        self.assertEqual(sum(len(server.asked) for server in servers), 12)

    def test_checks_need_no_place(self):
        """A full server is a busy one, not a dead one."""
        servers = self.named("A")
        weir = self.classic(*servers, options=["--server-limit", 1, "-R", 1])
        clients = self.hold(weir, 1)
        self.held(servers, 1)
        checks = servers[0].checks
        wait_until(lambda: servers[0].checks > checks, 20, "a check of the full server")
        clients += self.hold(weir, 2)  # Not before: nobody waits for longer than 5 s.
        self.finish(servers, clients)
        self.assertNotIn("is down", weir.err)
