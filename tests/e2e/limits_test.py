"""What is too large is refused while it is being read, with the status that says so."""

from harness import Case, answering, response


class Limits(Case):

    def setUp(self):
        super().setUp()
        self.server = self.origin(cut_requests=True)
        self.proxy = self.plain(self.server)

    def refused_early(self, head, endless, status):
        """`head` and then `endless` again and again, never ending: the refusal comes anyway."""
        client = self.client(self.proxy)
        client.send(head)
        try:
            for _ in range(200):
                client.send(endless * 1_000)
                if not client.quiet(0.001):
                    break
        except ConnectionError:
            pass
        answer = client.response()
        self.assertEqual(answer.status, status)
        self.assertEqual(answer.get("connection"), "close")
        self.assertEqual(self.server.received(), b"")

    def test_long_targets_pass(self):
        """RFC 9112 3: at least 8000 octets of request line are accepted."""
        client = self.client(self.proxy)
        target = "/" + "a" * (8000 - len("GET / HTTP/1.1"))
        self.assertEqual(client.get(target).status, 200)
        self.assertEqual(self.server.requests[-1].target, target)

    def test_target_too_long(self):
        """RFC 9112 3: 414 for a request target that is too long."""
        for size in (20_000, 100_000, 1_000_000):
            client = self.client(self.proxy)
            try:
                client.send(b"GET /" + b"a" * size + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            except ConnectionError:
                pass
            self.assertEqual(client.response().status, 414)
            self.assertTrue(client.gone())
        self.assertEqual(self.server.received(), b"")

    def test_target_without_end(self):
        self.refused_early(b"GET /", b"aaaaaaaa", 414)

    def test_method_without_end(self):
        """RFC 9112 3: 501 for a method longer than any that is implemented, or 400."""
        client = self.client(self.proxy)
        try:
            client.send(b"A" * 100_000)
        except ConnectionError:
            pass
        self.assertIn(client.response().status, (400, 501))

    def test_one_field_too_large(self):
        """RFC 6585 5: 431."""
        for field in (b"X-Big: " + b"v" * 200_000, b"N" * 200_000 + b": v"):
            client = self.client(self.proxy)
            try:
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + field + b"\r\n\r\n")
            except ConnectionError:
                pass
            self.assertEqual(client.response().status, 431)
        self.assertEqual(self.server.received(), b"")

    def test_too_many_fields(self):
        client = self.client(self.proxy)
        try:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 5_000 + b"\r\n")
        except ConnectionError:
            pass
        self.assertEqual(client.response().status, 431)
        self.assertEqual(self.server.received(), b"")

    def test_fields_without_end(self):
        self.refused_early(b"GET / HTTP/1.1\r\nHost: a\r\n", b"X-A: bcdef\r\n", 431)

    def test_value_without_end(self):
        self.refused_early(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: ", b"v", 431)

    def test_ordinary_heads_pass(self):
        """Fifty fields and a large cookie are everyday traffic."""
        client = self.client(self.proxy)
        fields = "".join(f"X-Field-{number}: {'v' * 60}\r\n" for number in range(50))
        fields += f"Cookie: {'c' * 4000}\r\n"
        self.assertEqual(client.get(fields=fields).status, 200)
        self.assertEqual(len(self.server.requests[-1].get("cookie")), 4000)

    def test_chunk_extensions_without_end(self):
        """RFC 9112 7.1.1: extensions are bounded in one chunk and over all chunks."""
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        for endless in (b"1;" + b"x" * 1_000_000, (b"1;" + b"x" * 500 + b"\r\na\r\n") * 20_000):
            client = self.client(self.proxy)
            try:
                client.send(head + endless)
            except ConnectionError:
                pass
            self.assertIn(client.response().status, (400, 413, 431))

    def test_trailers_too_large(self):
        """RFC 9112 7.1.2: trailers count like fields."""
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        for endless in (b"X: " + b"y" * 1_000_000, b"X: y\r\n" * 100_000):
            client = self.client(self.proxy)
            try:
                client.send(head + endless)
            except ConnectionError:
                pass
            self.assertIn(client.response().status, (400, 413, 431))


class ServerLimits(Case):
    """RFC 9110 15.6.3: the same limits hold for what servers send; the client gets 502."""

    def answer_to(self, data):
        def script(connection):
            connection.request()
            connection.send(data)
            connection.wait_end()

        return self.client(self.plain(self.origin(script))).get()

    def test_endless_heads(self):
        start = b"HTTP/1.1 200 OK\r\n"
        for data in (b"HTTP/1.1 200 " + b"r" * 500_000, start + b"X-A: " + b"v" * 500_000,
                     start + b"X-A: b\r\n" * 50_000, start + b"N" * 500_000, b"H" * 500_000):
            with self.subTest(data=data[:40]):
                self.assertEqual(self.answer_to(data).status, 502)

    def test_ordinary_heads_pass(self):
        fields = "".join(f"X-Field-{number}: {'v' * 60}\r\n" for number in range(50))
        fields += f"Set-Cookie: {'c' * 4000}\r\n"
        client = self.client(self.plain(self.origin(answering(response(b"ok", fields=fields)))))
        answer = client.get()
        self.assertEqual((answer.status, len(answer.get("set-cookie"))), (200, 4000))

    def test_endless_trailers_and_extensions(self):
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        for rest in (b"0\r\n" + b"X: y\r\n" * 100_000, b"0\r\nX: " + b"y" * 500_000,
                     b"1;" + b"x" * 500_000, (b"1;" + b"x" * 500 + b"\r\na\r\n") * 5_000):
            with self.subTest(rest=rest[:20]):
                with self.assertRaises((AssertionError, ConnectionError)):
                    self.answer_to(head + rest)  # Truncated: the head was already sent.
