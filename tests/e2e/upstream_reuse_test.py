"""Connections to servers are reused when both messages ended exactly, and never otherwise."""

import threading

from harness import Case, OK, answering, response


class Reuse(Case):

    def connections_for(self, script, requests=5, fields="", method="GET", statuses=(200,)):
        """How many connections the server saw for that many requests, one after the other."""
        server = self.origin(script)
        client = self.client(self.plain(server))
        for _ in range(requests):
            self.assertIn(client.request(method, fields=fields).status, statuses)
        self.assertEqual(len(server.requests), requests)
        return len(server.connections)

    def test_one_connection_for_many_requests(self):
        """RFC 9112 9.3: also for different clients, one after the other."""
        server = self.origin()
        weir = self.plain(server)
        for _ in range(10):
            client = self.client(weir)
            for _ in range(10):
                self.assertEqual(client.get().body, b"ok")
            client.close()
        self.assertEqual(len(server.connections), 1)

    def test_a_client_that_closes_does_not_cost_the_server_connection(self):
        self.assertEqual(self.connections_for(answering(), fields="X: y\r\n"), 1)
        server = self.origin()
        weir = self.plain(server)
        for _ in range(5):
            self.client(weir).get(fields="Connection: close\r\n")
            self.client(weir).send(b"GET / HTTP/1.0\r\n\r\n").response()
        self.assertEqual(len(server.connections), 1)

    def test_every_kind_of_exact_end(self):
        for data, method in ((b"HTTP/1.1 204 No Content\r\n\r\n", "GET"),
                             (b"HTTP/1.1 304 Not Modified\r\n\r\n", "GET"),
                             (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", "HEAD"),
                             (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "POST"),
                             (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                              b"2\r\nok\r\n0\r\nX: y\r\n\r\n", "GET"),
                             (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, "POST"),
                             (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "GET"),
                             (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"
                              b"Content-Length: 0\r\n\r\n", "GET")):
            with self.subTest(data=data):
                self.assertEqual(self.connections_for(
                    answering(data), method=method, statuses=(200, 204, 304, 500)), 1)

    def test_close_is_honoured(self):
        """RFC 9112 9.6, 9.3: after close, an HTTP/1.0 answer or a close-delimited one, no reuse."""
        for data in (response(b"ok", fields="Connection: close\r\n"),
                     response(b"ok", fields="Connection: x, CLOSE\r\n"),
                     b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"):
            with self.subTest(data=data):  # The server leaves the connection open on purpose.
                self.assertEqual(self.connections_for(answering(data)), 5)

    def test_announced_idle_time_is_honoured(self):
        """A server that says Keep-Alive: timeout=1 is not surprised by a later request."""
        data = response(b"ok", fields="Keep-Alive: timeout=1\r\n")
        server = self.origin(answering(data))
        client = self.client(self.plain(server))
        client.get()
        self.assertTrue(server.connections[0].done.wait(3), "kept longer than announced")
        self.assertTrue(server.connections[0].saw_end)


class Poisoned(Case):
    """RFC 9112 9.3, 6.3: bytes nobody asked for never become somebody's answer."""

    def test_rest_behind_an_answer(self):
        """A second answer in the same segment is not the next client's."""
        server = self.origin(answering(OK + response(b"evil")))
        weir = self.weir(server)
        for _ in range(20):
            client = self.client(weir)
            self.assertEqual(client.get().body, b"ok")
            self.assertEqual(client.get().body, b"ok")
        self.assertEqual(len(server.connections), 40)
        self.assert_metric(weir, 40, "weir_server_idle_poisoned_total")

    def test_rest_behind_a_large_answer(self):
        """The same when the answer went past weir's memory: the rest is still in the kernel."""
        body = b"x" * 3_000_000
        server = self.origin(answering(response(body) + response(b"evil")))
        weir = self.weir(server)
        client = self.client(weir)
        for _ in range(3):
            self.assertEqual(client.get().body, body)
        self.assertEqual(len(server.connections), 3)
        self.assert_metric(weir, 3, "weir_server_idle_poisoned_total")

    def test_bytes_on_an_idle_connection(self):
        go, done = threading.Event(), threading.Event()

        def script(connection):
            while connection.request():
                connection.send(OK)
                if connection.index == 0:
                    go.wait(10)
                    connection.send(response(b"evil"))
                    done.set()

        server = self.origin(script)
        weir = self.plain(server)
        client = self.client(weir)
        self.assertEqual(client.get().body, b"ok")
        go.set()
        self.assertTrue(done.wait(10))
        self.assertTrue(server.connections[0].done.wait(10), "a poisoned connection was kept")
        for _ in range(5):
            self.assertEqual(client.get().body, b"ok")
        self.assertEqual(len(server.connections), 2)

    def test_bytes_that_come_just_before_the_next_request(self):
        """What lies in the kernel before the next request is there counts as seen."""
        sent = threading.Event()

        def script(connection):
            if connection.request():
                connection.send(OK)
                connection.send(response(b"evil"))
                sent.set()
                connection.wait_end()

        weir = self.plain(self.origin(script))
        client = self.client(weir)
        for method in ("GET", "POST") * 50:
            sent.clear()
            self.assertEqual(client.request(method).body, b"ok")
            self.assertTrue(sent.wait(10))

    def test_server_closes_an_idle_connection(self):
        """Its FIN or RST while idle is seen before the next request is sent: no error, even for
        a POST, which could not be tried again."""
        for end in ("close", "reset", "half_close"):
            with self.subTest(end=end):
                go = threading.Event()

                def script(connection, go=go, end=end):
                    connection.request()
                    connection.send(OK)
                    go.wait(10)
                    getattr(connection, end)()

                server = self.origin(script)
                weir = self.plain(server)
                client = self.client(weir)
                for _ in range(10):
                    go.clear()
                    self.assertEqual(client.request("POST", body=b"x").body, b"ok")
                    go.set()
                    server.connections[-1].done.wait(10)
                self.assertEqual(len(server.connections), 10)

    def test_large_rest(self):
        """A server that talks on and on after its answer is cut off, not read for ever."""

        def script(connection):
            while connection.request():
                connection.send(OK + b"x" * 30_000_000)

        server = self.origin(script)
        client = self.client(self.plain(server))
        for _ in range(3):
            self.assertEqual(client.get().body, b"ok")
        self.assertTrue(server.connections[0].done.wait(10))


class SlowServers(Case):

    def test_parallel_requests_take_parallel_connections(self):
        """One request at a time per connection: nothing is pipelined to servers."""
        gate = threading.Event()

        def script(connection):
            while connection.request():
                gate.wait(10)
                connection.send(OK)

        server = self.origin(script)
        weir = self.plain(server)
        clients = [self.client(weir) for _ in range(8)]
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        server.wait_requests(8)
        self.assertEqual(len(server.connections), 8)
        gate.set()
        for client in clients:
            self.assertEqual(client.response().body, b"ok")
        for client in clients:  # And now they are all idle: no new one is needed.
            self.assertEqual(client.get().body, b"ok")
        self.assertEqual(len(server.connections), 8)
