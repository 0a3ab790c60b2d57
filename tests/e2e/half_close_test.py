"""A client that shuts down its sending side still gets its answer (RFC 9112 9.6)."""

import threading

from harness import Case, OK, answering, config, response, seconds, wait_until

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class HalfClose(Case):

    def test_after_the_request(self):
        client = self.client(self.plain(self.origin()))
        client.send(GET).half_close()
        self.assertEqual(client.response().body, b"ok")
        self.assertTrue(client.closed())

    def test_before_a_slow_answer(self):
        gate = threading.Event()

        def script(connection):
            while connection.request():
                gate.wait(seconds(10))
                connection.send(OK)

        server = self.origin(script)
        client = self.client(self.plain(server))
        client.send(GET).half_close()
        server.wait_requests(1)
        self.assertTrue(client.quiet(0.2))
        gate.set()
        self.assertEqual(client.response().body, b"ok")
        self.assertTrue(client.closed())

    def queued(self, version: bytes = b"1.1", unix: bool = False):
        """Of two clients of a server that takes one request the second, which waits."""
        self.gate = threading.Event()

        def script(connection):
            while connection.request():
                self.gate.wait(seconds(20))
                connection.send(OK)

        self.server = self.origin(script)
        self.addCleanup(self.gate.set)
        one = {"server_limit": 1}
        if unix:
            target, admin = self.path("weir.sock"), self.free_port()
            text = config(f"unix:{target}", [self.server], admin=f"127.0.0.1:{admin}", backend=one)
            self.proxy = self.run_config(text, [], admin_port=admin)
        else:
            target = self.proxy = self.weir(self.server, backend=one)
        self.first = self.client(target).send(GET)
        self.server.wait_requests(1)
        client = self.client(target).send(GET.replace(b"1.1", version))
        wait_until(lambda: self.waiting() == 1, 10, "the second one to wait")
        return client

    def waiting(self) -> float:
        return self.proxy.metric("weir_backend_queue_length")

    def test_of_who_waits_in_the_queue(self):
        """Whether such a client is still there, an interim response asks; its turn comes."""
        client = self.queued().half_close()
        wait_until(lambda: not client.quiet(), 10, "the interim response")
        self.gate.set()
        answer = client.response()
        self.assertEqual(([interim.status for interim in answer.interim], answer.body),
                         ([100], b"ok"))
        self.assertTrue(client.closed())
        self.assertEqual(self.first.response().body, b"ok")

    def test_of_an_http10_client_in_the_queue(self):
        """It knows no interim responses (RFC 9110 15.2)."""
        client = self.queued(b"1.0").half_close()
        self.assertTrue(client.quiet(0.2))
        self.gate.set()
        self.assertEqual(client.response().status, 200)

    def test_who_has_left_does_not_wait(self):
        """A client that closed looks the same until it is asked. No server hears of its request."""
        for unix in (False, True):
            with self.subTest(unix=unix):
                self.queued(unix=unix).close()
                wait_until(lambda: self.waiting() == 0, 10, "the client to be missed")
                self.assertEqual(
                    self.proxy.metric("weir_backend_queue_ended_total", result="abandoned"), 1)
                self.assertEqual(self.proxy.metric("weir_errors_total", reason="client_closed"), 1)
                self.gate.set()
                self.assertEqual(self.first.response().body, b"ok")
                self.assertEqual(len(self.server.requests), 1)

    def test_before_a_large_answer(self):
        body = b"0123456789abcdef" * 300_000
        client = self.client(self.plain(self.origin(answering(response(body)))))
        client.send(GET).half_close()
        self.assertEqual(client.response().body, body)
        self.assertTrue(client.closed())

    def test_after_a_request_with_content(self):
        server = self.origin(lambda connection: connection.send(
            response(connection.request().body)))
        for framed in (b"Content-Length: 5\r\n\r\nhello",
                       b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"):
            client = self.client(self.plain(server))
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + framed).half_close()
            self.assertEqual(client.response().body, b"hello")
            self.assertTrue(client.closed())

    def test_inside_a_head(self):
        """Nothing of half a request reaches a server; the connection ends."""
        server = self.origin()
        client = self.client(self.plain(server))
        client.send(GET[:-2]).half_close()
        rest = client.rest()
        self.assertTrue(rest == b"" or rest.startswith(b"HTTP/1.1 400 "), rest)
        self.assertEqual(server.received(), b"")

    def test_without_a_request(self):
        proxy = self.plain(self.origin())
        client = self.client(proxy)
        client.half_close()
        self.assertTrue(client.closed())

    def test_of_an_idle_client(self):
        client = self.client(self.plain(self.origin()))
        self.assertEqual(client.get().body, b"ok")
        client.half_close()
        self.assertTrue(client.closed())

    def test_server_half_closes_after_its_answer(self):
        """The server's FIN right behind a complete answer takes nothing of it away."""

        def script(connection):
            connection.request()
            connection.send(OK)
            connection.half_close()
            connection.wait_end()

        server = self.origin(script)
        client = self.client(self.plain(server))
        for _ in range(20):
            self.assertEqual(client.get().body, b"ok")
        self.assertEqual(len(server.connections), 20)


class GoneClients(Case):

    def test_reset_while_the_server_works(self):
        """RFC 9112 9.6: the answer of a client that is gone reaches nobody else."""
        gate = threading.Event()

        def script(connection):
            while request := connection.request():
                if request.target == "/slow":
                    gate.wait(seconds(10))
                connection.send(response(request.target.encode()))

        server = self.origin(script)
        proxy = self.plain(server)
        for number in range(20):
            gate.clear()
            client = self.client(proxy)
            client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            wait_until(lambda: server.requests and server.requests[-1].target == "/slow", 5,
                       "the slow request")
            client.reset()
            gate.set()
            other = self.client(proxy)
            self.assertEqual(other.get(f"/own{number}").body, f"/own{number}".encode())
            other.close()

    def test_reset_inside_an_answer(self):
        """A large answer whose client is gone is dropped, and its server connection with it."""
        body = b"x" * 3_000_000
        proxy = self.plain(self.origin(answering(response(body))))
        for _ in range(10):
            client = self.client(proxy)
            client.send(GET)
            client.head()
            client.reset()
        self.assertEqual(self.client(proxy).get().body, body)

    def test_connections_that_say_nothing(self):
        proxy = self.plain(self.origin())
        for _ in range(100):
            self.client(proxy).reset()
            self.client(proxy).close()
        self.assertEqual(self.client(proxy).get().body, b"ok")
        wait_until(lambda: proxy.sockets() < 20, 5, "closed descriptors")
