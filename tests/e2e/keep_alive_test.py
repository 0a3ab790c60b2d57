"""Client connections stay open between requests, and close exactly when one side said so."""

from harness import Case, answering, response


class KeepAlive(Case):

    def setUp(self):
        super().setUp()
        self.server = self.origin(answering(response(b"hello")))
        self.proxy = self.plain(self.server)

    def test_many_requests_on_one_connection(self):
        """RFC 9112 9.3: HTTP/1.1 connections persist by default."""
        client = self.client(self.proxy)
        for number in range(200):
            answer = client.get(f"/{number}")
            self.assertEqual((answer.status, answer.body), (200, b"hello"))
            self.assertNotEqual((answer.get("connection") or "").lower(), "close")
        self.assertEqual([request.target for request in self.server.requests],
                         [f"/{number}" for number in range(200)])

    def test_request_cut_at_every_byte(self):
        """RFC 9112 2.2: the verdict does not depend on how the bytes are cut into reads."""
        head = b"GET /cut HTTP/1.1\r\nHost: a.test\r\nX-A: b\r\n\r\n"
        client = self.client(self.proxy)
        for cut in range(1, len(head)):
            client.send(head[:cut], head[cut:])
            self.assertEqual(client.response().body, b"hello", cut)
        client.send(*(head[at:at + 1] for at in range(len(head))))
        self.assertEqual(client.response().body, b"hello")
        self.assertEqual({request.target for request in self.server.requests}, {"/cut"})

    def test_close_asked_for(self):
        """RFC 9112 9.6: answer, then close, and process nothing that came after."""
        for option in ("close", "Close", "CLOSE", "keep-alive, close", "x-a,close ,"):
            with self.subTest(option=option):
                client = self.client(self.proxy)
                client.send(f"GET /last HTTP/1.1\r\nHost: a\r\nConnection: {option}\r\n\r\n"
                            "GET /after HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                answer = client.response()
                self.assertEqual(answer.body, b"hello")
                self.assertEqual(answer.get("connection").lower(), "close")
                self.assertTrue(client.gone())
        self.assertNotIn("/after", [request.target for request in self.server.requests])

    def test_http_1_0_closes(self):
        """RFC 9112 9.3, 2.3: HTTP/1.0 without keep-alive is closed; the answer says HTTP/1.1."""
        client = self.client(self.proxy)
        client.send(b"GET /old HTTP/1.0\r\n\r\n")
        answer = client.response()
        self.assertEqual((answer.version, answer.body), ("HTTP/1.1", b"hello"))
        self.assertTrue(client.closed())

    def test_http_1_0_keep_alive(self):
        """RFC 9112 9.3: an HTTP/1.0 client that asks for keep-alive gets it, and is told."""
        client = self.client(self.proxy)
        for _ in range(3):
            client.send(b"GET /old HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
            answer = client.response()
            self.assertEqual(answer.body, b"hello")
            self.assertEqual(answer.get("connection").lower(), "keep-alive")

    def test_empty_lines_before_a_request(self):
        """RFC 9112 2.2: at least one empty line before the request line is skipped."""
        client = self.client(self.proxy)
        client.send(b"\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(client.response().body, b"hello")
        client.send(b"\r\n", b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(client.response().body, b"hello")

    def test_empty_lines_are_bounded(self):
        """RFC 9112 2.2: a flood of empty lines is refused, not skipped for ever."""
        client = self.client(self.proxy)
        try:
            for _ in range(256):
                client.send(b"\r\n" * 512)
        except ConnectionError:
            return
        try:
            self.assertEqual(client.response().status, 400)
        except ConnectionError:
            pass  # Closed before all of it was read.

    def test_server_version_and_close_do_not_reach_the_client(self):
        """RFC 9110 7.6.1, 9112 2.3: the server's close and version are about its own hop."""
        old = self.origin(answering(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", times=1))
        proxy = self.plain(old)
        client = self.client(proxy)
        for _ in range(3):
            answer = client.get()
            self.assertEqual((answer.version, answer.body), ("HTTP/1.1", b"ok"))
            self.assertFalse(answer.has("connection"))
        self.assertEqual(len(old.connections), 3)
