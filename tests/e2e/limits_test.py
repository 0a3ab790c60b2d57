"""What is too large is refused while it is being read, with the status that says so."""

from harness import Case, Truncated, answering, response
from harness.relaying import RelayCase


class Limits(Case):

    def setUp(self):
        super().setUp()
        self.server = self.origin(cut_requests=True)
        self.proxy = self.weir(self.server)
        self.refused = 0

    def counted(self, word):
        """One more of this word, and nothing else has gone wrong."""
        self.refused += 1
        self.assert_metric(self.proxy, self.refused, "weir_errors_total", reason=word)
        self.assert_metric(self.proxy, self.refused, "weir_errors_total")

    def refused_early(self, head, endless, status, word):
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
        self.counted(word)

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
            self.counted("target_too_long")
        self.assertEqual(self.server.received(), b"")

    def test_target_without_end(self):
        self.refused_early(b"GET /", b"aaaaaaaa", 414, "target_too_long")

    def test_method_without_end(self):
        """RFC 9112 3: 501 for a method longer than any that is implemented."""
        client = self.client(self.proxy)
        try:
            client.send(b"A" * 100_000)
        except ConnectionError:
            pass
        self.assertEqual(client.response().status, 501)
        self.counted("method_too_long")

    def test_one_field_too_large(self):
        """RFC 6585 5: 431."""
        for field in (b"X-Big: " + b"v" * 200_000, b"N" * 200_000 + b": v"):
            client = self.client(self.proxy)
            try:
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + field + b"\r\n\r\n")
            except ConnectionError:
                pass
            self.assertEqual(client.response().status, 431)
            self.counted("head_too_large")
        self.assertEqual(self.server.received(), b"")

    def test_too_many_fields(self):
        client = self.client(self.proxy)
        try:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 5_000 + b"\r\n")
        except ConnectionError:
            pass
        self.assertEqual(client.response().status, 431)
        self.counted("too_many_fields")
        self.assertEqual(self.server.received(), b"")

    def test_fields_without_end(self):
        self.refused_early(b"GET / HTTP/1.1\r\nHost: a\r\n", b"X-A: bcdef\r\n", 431,
                           "too_many_fields")

    def test_value_without_end(self):
        self.refused_early(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: ", b"v", 431, "head_too_large")

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
            self.assertEqual(client.response().status, 400)
            self.counted("chunk_extensions_too_large")

    def test_trailers_too_large(self):
        """RFC 9112 7.1.2: trailers count like fields."""
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        client = self.client(self.proxy)
        try:
            client.send(head + b"X: " + b"y" * 1_000_000)
        except ConnectionError:
            pass
        self.assertEqual(client.response().status, 431)
        self.counted("trailers_too_large")

    def test_too_many_trailers(self):
        """They are as many as fields may be, and not more."""
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
        client = self.client(self.proxy)
        try:
            client.send(head + b"X: y\r\n" * 100_000)
        except ConnectionError:
            pass
        self.assertEqual(client.response().status, 431)
        self.counted("too_many_fields")


class ServerLimits(RelayCase):
    """RFC 9110 15.6.3: the same limits hold for what servers send; the client gets 502."""

    def proxy(self, data):
        def script(connection):
            connection.request()
            connection.send(data)
            connection.wait_end()

        self.file = self.path(f"{len(self.weirs)}.log")
        return self.weir(self.origin(script), access_log=self.file)

    def counted(self, weir, rule):
        """Once, and the access log says which rule was broken."""
        self.assert_metric(weir, 1, "weir_errors_total", reason="upstream_protocol")
        self.assert_metric(weir, 1, "weir_errors_total")
        line = self.line()
        self.assertEqual((line["error"], line["rule"]), ("upstream_protocol", rule))

    def test_endless_heads(self):
        start = b"HTTP/1.1 200 OK\r\n"
        for data, rule in ((b"HTTP/1.1 200 " + b"r" * 500_000, "head_too_large"),
                           (start + b"X-A: " + b"v" * 500_000, "head_too_large"),
                           (start + b"X-A: b\r\n" * 50_000, "too_many_fields"),
                           (start + b"N" * 500_000, "head_too_large"),
                           (b"H" * 500_000, "bad_version")):
            with self.subTest(data=data[:40]):
                weir = self.proxy(data)
                answer = self.client(weir).get()
                self.assertEqual(answer.status, 502)
                self.assertIn(f'"upstream_protocol {rule}"', answer.get("proxy-status"))
                self.counted(weir, rule)

    def test_ordinary_heads_pass(self):
        fields = "".join(f"X-Field-{number}: {'v' * 60}\r\n" for number in range(50))
        fields += f"Set-Cookie: {'c' * 4000}\r\n"
        client = self.client(self.plain(self.origin(answering(response(b"ok", fields=fields)))))
        answer = client.get()
        self.assertEqual((answer.status, len(answer.get("set-cookie"))), (200, 4000))

    def test_endless_trailers_and_extensions(self):
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        for rest, rule in ((b"0\r\n" + b"X: y\r\n" * 100_000, "too_many_fields"),
                           (b"0\r\nX: " + b"y" * 500_000, "trailers_too_large"),
                           (b"1;" + b"x" * 500_000, "chunk_extensions_too_large"),
                           ((b"1;" + b"x" * 500 + b"\r\na\r\n") * 5_000,
                            "chunk_extensions_too_large")):
            with self.subTest(rest=rest[:20]):
                weir = self.proxy(head + rest)
                with self.assertRaises((Truncated, ConnectionError)):
                    self.client(weir).get()  # The head was already sent.
                self.counted(weir, rule)
