"""max_connections: the explicit limit of a listener, over all its workers."""

import threading

from harness import Case, wait_until


class MaxConnections(Case):

    def test_limit_holds_and_resumes(self):
        """The connections above the limit wait in the queue and are served when there is room."""
        for workers in (1, 2):
            with self.subTest(workers=workers):
                weir = self.weir(self.origin(), listener={"max_connections": 8},
                                 runtime={"workers": workers})
                clients = [self.client(weir) for _ in range(16)]
                for client in clients:
                    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                answered = [client for client in clients if not client.quiet(0.3)]
                self.assertLessEqual(len(answered), 8)
                self.assertGreaterEqual(len(answered), 8 // workers)
                self.assertLess(weir.cpu_share(0.3), 0.1, "it spins")
                for client in answered:
                    self.assertEqual(client.response().status, 200)
                    client.close()
                rest = [client for client in clients if client not in answered]
                wait_until(lambda rest=rest: any(not client.quiet(0.01) for client in rest), 10,
                           "those who waited")
                for _ in range(len(rest)):
                    ready = wait_until(lambda rest=rest: next(
                        (client for client in rest if not client.quiet(0.01)), None), 10)
                    self.assertEqual(ready.response().status, 200)
                    rest.remove(ready)
                    ready.close()

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
        self.assertEqual(weir.metric("weir_listener_connections_active", listener="web"), 2)
        self.client(weir)
        clients[0].close()
        wait_until(lambda: weir.metric("weir_listener_connections_total", listener="web") == 3)

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
