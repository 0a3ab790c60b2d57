"""max_connections: the explicit limit of a listener, over all its workers."""

import threading
import time

from harness import Case, wait_until

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HITS = "weir_listener_connections_limit_hits_total"


class MaxConnections(Case):

    def holding(self):
        """An origin that answers when `release` is set, and what sets it."""
        release = threading.Event()
        self.addCleanup(release.set)

        def script(connection):
            while connection.request():
                release.wait(30)
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        return self.origin(script), release

    def test_limit_holds_and_resumes(self):
        """The connections above the limit wait in the queue and are served when there is room."""
        for workers in (1, 2):
            with self.subTest(workers=workers):
                origin, release = self.holding()
                weir = self.weir(origin, listener={"max_connections": 8},
                                 runtime={"workers": workers})
                clients = [self.client(weir).send(GET) for _ in range(16)]
                wait_until(lambda o=origin: len(o.requests) >= 8 // workers, 5, "the first ones")
                weir.wait_turns(10)
                self.assertLessEqual(len(origin.requests), 8)
                self.assertLess(weir.cpu_share(0.3), 0.1, "it spins")
                release.set()
                for client in clients:
                    self.assertEqual(client.response().status, 200)

    def test_a_request_under_way_is_never_closed_for_another(self):
        origin, release = self.holding()
        weir = self.weir(origin, listener={"max_connections": 4}, runtime={"workers": 1})
        clients = [self.client(weir).send(GET) for _ in range(4)]
        wait_until(lambda: len(origin.requests) == 4, 5)
        late = [self.client(weir).send(GET) for _ in range(4)]
        wait_until(lambda: weir.metric(HITS, listener="web") >= 1, 5, "the pause")
        weir.wait_turns(10)
        for client in clients + late:
            self.assertTrue(client.quiet(0.001))
        release.set()
        for client in clients + late:
            self.assertEqual(client.response().status, 200)

    def test_the_longest_idle_makes_room(self):
        """A client without a request is closed for one that has one; the longest idle first."""
        weir = self.weir(self.origin(), listener={"max_connections": 3}, runtime={"workers": 1})
        first, second, third = (self.client(weir) for _ in range(3))
        for client in (first, second, third, first):
            self.assertEqual(client.get().status, 200)
        fourth = self.client(weir)
        self.assertEqual(fourth.get().status, 200)
        self.assertTrue(second.closed())
        self.assertTrue(first.quiet(0.001) and third.quiet(0.001))
        self.assertGreaterEqual(weir.metric("weir_connection_closes_total", reason="crowded"), 1)

    def test_a_flood_of_silent_connections_keeps_nobody_out(self):
        """An attacker opens connections and says nothing; a client with a request is served."""
        weir = self.weir(self.origin(), listener={"max_connections": 8}, runtime={"workers": 1})
        for _ in range(3):
            silent = [self.client(weir) for _ in range(16)]
            self.assertEqual(self.client(weir).get().status, 200)
            for client in silent:
                client.close()
            self.clients.clear()

    def test_half_a_head_keeps_nobody_out(self):
        """A request runs from the end of its head: who never ends it makes room for who does."""
        weir = self.weir(self.origin(), listener={"max_connections": 4}, runtime={"workers": 1})
        slow = [self.client(weir).send(b"GET / HTTP/1.1\r\nHo") for _ in range(4)]
        self.assertEqual(self.client(weir).get().status, 200)
        self.assertTrue(slow[0].gone())

    def test_who_is_answered_and_drips_on_keeps_nobody_out(self):
        """The rest of a request that has its answer is read for its client's sake only."""
        for workers in (1, 2):
            with self.subTest(workers=workers):
                weir = self.weir(self.origin(), listener={"max_connections": 4},
                                 runtime={"workers": workers}, routes=[{"path": "/known",
                                                                  "backend": "app"}])
                slow = [self.client(weir) for _ in range(4)]
                for client in slow:
                    client.send(b"POST / HTTP/1.1\r\nHost: a\r\n"
                                b"Content-Length: 1000\r\n\r\nx")
                    self.assertEqual(client.response().status, 404)
                self.assertEqual(self.client(weir).get("/known").status, 200)
                self.assertGreaterEqual(
                    weir.metric("weir_connection_closes_total", reason="crowded"), 1)

    def test_steady_use_keeps_its_place(self):
        """While others fill every place and more, a client in use is served on its connection."""
        weir = self.weir(self.origin(), listener={"max_connections": 4}, runtime={"workers": 1})
        steady = self.client(weir)
        for _ in range(2):
            self.assertEqual(steady.get().status, 200)
        for _ in range(16):
            self.client(weir).send(b"GET / HTTP/1.1\r\nHo")
        wait_until(lambda: steady.get().get("connection") is None
                   and weir.metric("weir_connection_closes_total", reason="crowded") >= 12, 30)
        self.assertEqual(steady.get().status, 200)

    def test_the_longest_idle_of_all_workers_makes_room(self):
        origin, release = self.holding()
        weir = self.weir(origin, listener={"max_connections": 20}, runtime={"workers": 4})
        release.set()
        old, young = ([self.client(weir) for _ in range(10)] for _ in range(2))
        for clients in (old, young):
            for client in clients:
                self.assertEqual(client.get().status, 200)
            # The loops' clocks count milliseconds.
            end = time.monotonic() + 0.005
            wait_until(lambda t=end: time.monotonic() > t, 10)
        release.clear()
        late = [self.client(weir).send(GET) for _ in range(10)]
        wait_until(lambda: len(origin.requests) == 30, 10, "those who came last")
        self.assertTrue(all(client.closed() for client in old))
        self.assertTrue(all(client.quiet(0.001) for client in young))
        release.set()
        for client in late:
            self.assertEqual(client.response().status, 200)

    def test_steady_use_of_every_place_keeps_nobody_out_for_ever(self):
        weir = self.weir(self.origin(), listener={"max_connections": 2}, runtime={"workers": 1})
        steady = [self.client(weir) for _ in range(2)]
        for client in steady * 2:
            self.assertEqual(client.get().status, 200)
        late = self.client(weir).send(GET)
        wait_until(lambda: weir.metric(HITS, listener="web") >= 1, 5, "the pause")

        def asked_to_leave():
            return [client for client in steady if client.get().get("connection") == "close"]

        left = []
        wait_until(lambda: left or left.extend(asked_to_leave()) or left, 30, "a place")
        self.assertEqual(len(left), 1, "one place for one who waits")
        self.assertEqual(late.response().status, 200)

    def test_answers_say_close_while_others_wait(self):
        """A client that goes on and on does not keep its place from those in the queue."""
        origin, release = self.holding()
        weir = self.weir(origin, listener={"max_connections": 2}, runtime={"workers": 1})
        inside = [self.client(weir).send(GET) for _ in range(2)]
        wait_until(lambda: len(origin.requests) == 2, 5)
        outside = self.client(weir).send(GET)
        wait_until(lambda: weir.metric(HITS, listener="web") >= 1, 5, "the pause")
        inside[0].reset()  # Makes room for `outside`, and the queue is empty again.
        wait_until(lambda: len(origin.requests) == 3, 5)
        another = self.client(weir).send(GET)
        wait_until(lambda: weir.metric(HITS, listener="web") >= 2, 5, "the pause")
        release.set()
        self.assertEqual(inside[1].response().get("connection"), "close")
        self.assertTrue(inside[1].closed())
        for client in (outside, another):
            self.assertEqual(client.response().status, 200)

    def test_never_exceeded(self):
        """Many clients at the same moment, on several workers: the limit is a limit."""
        weir = self.weir(self.origin(), listener={"max_connections": 8}, runtime={"workers": 4})
        for _ in range(30):
            gate, most = threading.Barrier(24), 0

            def knock(gate=gate):
                gate.wait()
                client = self.client(weir)
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")

            threads = [threading.Thread(target=knock, daemon=True) for _ in range(24)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for _ in range(3):
                most = max(most, weir.metric("weir_listener_connections_active", listener="web"))
            for client in self.clients:
                client.reset()
            self.clients.clear()
            self.assertLessEqual(most, 8)

    def test_stop_while_full(self):
        """SIGTERM finds the listeners paused and clients waiting: everybody is let go, exit 0."""
        for workers in (1, 2, 4):
            weir = self.weir(self.origin(), listener={"max_connections": 4},
                             runtime={"workers": workers})
            clients = [self.client(weir) for _ in range(12)]
            for client in clients:
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            wait_until(lambda clients=clients: any(not client.quiet(0.01) for client in clients))
            weir.terminate()

    def test_closed_connections_are_not_counted(self):
        weir = self.weir(self.origin(), listener={"max_connections": 4})
        for _ in range(100):
            client = self.client(weir)
            self.assertEqual(client.get().status, 200)
            client.close()

    def test_told_by_metrics(self):
        weir = self.weir(self.origin(), listener={"max_connections": 2})
        clients = [self.client(weir) for _ in range(2)]
        for client in clients:
            self.assertEqual(client.get().status, 200)
        self.assert_metric(weir, 2, "weir_listener_connections_active", listener="web")
        clients[0].close()
        self.client(weir)
        wait_until(lambda: weir.metric("weir_listener_connections_total", listener="web") == 3)

    def test_a_pause_counts_once(self):
        """However often it is looked whether there is room, and however many wait."""
        origin, _ = self.holding()
        weir = self.weir(origin, listener={"max_connections": 2}, runtime={"workers": 1})
        clients = [self.client(weir).send(GET) for _ in range(6)]
        for pauses in range(1, 4):
            wait_until(lambda n=pauses: weir.metric(HITS, listener="web") >= n, 5, "the pause")
            weir.wait_turns(10)
            self.assert_metric(weir, pauses, HITS, listener="web")
            clients.pop(0).reset()
            wait_until(lambda n=pauses: len(origin.requests) == 2 + n, 5, "the next one")

    def test_more_than_the_descriptors_allow(self):
        """Only an explicit number that cannot fit is refused, with a line that says what to do."""
        text = f"""
[listener.web]
bind = "127.0.0.1:{self.free_port()}"
max_connections = 1000
[[route]]
backend = "app"
[backend.app]
servers = ["127.0.0.1:{self.free_port()}"]
"""
        weir = self.run_config(text, [], ready=False, prefix=["prlimit", "--nofile=256:256"])
        self.assertIn(weir.wait(), (1, 78))
        self.assertRegex(weir.err, "max_connections")
        self.weirs.remove(weir)
