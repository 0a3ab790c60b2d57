"""What is sent on: a message of weir's own making, with everything that is meant for the end."""

from harness import Case, answering, response

# Fields weir itself sets on requests by default.
OWN = {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"}


class Requests(Case):

    def setUp(self):
        super().setUp()
        self.server = self.origin()
        self.proxy = self.plain(self.server)

    def sent(self, lines, method="GET"):
        client = self.client(self.proxy)
        self.assertEqual(client.request(method, "/f", lines).status, 200, lines)
        return self.server.requests[-1]

    def test_exact_bytes(self):
        """The plain case, byte for byte: nothing is added but the three forwarding fields."""
        client = self.client(self.proxy)
        client.send(b"GET /a?b HTTP/1.1\r\nHost: Name.test:81\r\nUser-Agent: t/1\r\n"
                    b"Accept: */*\r\n\r\n")
        client.response()
        raw = self.server.requests[-1].raw_head
        port_free = b"X-Forwarded-For: 127.0.0.1\r\n"
        for line in (b"X-Forwarded-Proto: http\r\n", b"X-Forwarded-Host: Name.test:81\r\n",
                     port_free):
            self.assertEqual(raw.count(line), 1, raw)
            raw = raw.replace(line, b"")
        self.assertEqual(raw, b"GET /a?b HTTP/1.1\r\nHost: Name.test:81\r\nUser-Agent: t/1\r\n"
                              b"Accept: */*\r\n\r\n")

    def test_order_spelling_and_values_stay(self):
        """RFC 9110 5.3: the order of fields of one name counts; values are opaque bytes."""
        lines = [("User-Agent", "a b  c"), ("X-Twice", "1"), ("x-oDD-case", "V"), ("X-Twice", "2"),
                 ("Cookie", "a=b; c=d"), ("X-Empty", ""), ("X-Latin", "\xe4\xff"),
                 ("X-Tab", "a\tb"), ("Authorization", "Basic QTpC"), ("Accept", "*/*"),
                 ("!#$%&'*+-.^_`|~", "token"), ("If-Match", '"x"')]
        request = self.sent("".join(f"{name}: {value}\r\n" for name, value in lines))
        kept = [(name, value) for name, value in request.fields
                if name.lower() not in OWN | {"host"}]
        self.assertEqual(kept, lines)

    def test_blanks_around_values_go(self):
        """RFC 9112 5.1: leading and trailing blanks, tabs included, are no part of a value."""
        request = self.sent("X-A:none\r\nX-B:\t tab \t\r\nX-C:   \r\nX-D: in  side \r\n")
        self.assertEqual([request.get(f"x-{name}") for name in "abcd"],
                         ["none", "tab", "", "in  side"])

    def test_hop_by_hop_fields_go(self):
        """RFC 9110 7.6.1: what belongs to this connection ends here."""
        request = self.sent("Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n"
                            "Proxy-Connection: keep-alive\r\nTE: trailers, gzip\r\nUpgrade: x\r\n")
        for name in ("keep-alive", "proxy-connection", "te", "upgrade"):
            self.assertFalse(request.has(name), name)
        self.assertIn((request.get("connection") or "keep-alive").lower(), ("keep-alive",))

    def test_fields_that_connection_names_go(self):
        """RFC 9110 7.6.1: all lines of Connection, without case, around blanks."""
        request = self.sent("Connection: X-One,  x-TWO\t,\r\nX-One: 1\r\nX-Two: 2\r\n"
                            "X-Three: 3\r\nX-Four: 4\r\ncOnNeCtIoN: ,x-three\r\nx-one: again\r\n")
        for name in ("x-one", "x-two", "x-three"):
            self.assertFalse(request.has(name), name)
        self.assertEqual(request.get("x-four"), "4")

    def test_connection_cannot_remove_what_frames_or_routes(self):
        """RFC 9110 7.6.1: an option never removes Host, framing or weir's own fields."""
        client = self.client(self.proxy)
        answer = client.request("POST", "/f", "Connection: host, content-length, "
                                "transfer-encoding, x-forwarded-for, X-Forwarded-Host\r\n",
                                b"hello")
        if answer.status == 400:
            return  # Refusing such a request is as good.
        request = self.server.requests[-1]
        self.assertEqual((request.body, request.get("host")), (b"hello", "weir.test"))
        self.assertEqual(request.get("x-forwarded-for"), "127.0.0.1")
        self.assertEqual(request.get("x-forwarded-host"), "weir.test")
        client.send(b"POST /g HTTP/1.1\r\nHost: a\r\nConnection: Transfer-Encoding\r\n"
                    b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        self.assertEqual(client.response().status, 200)
        self.assertEqual(self.server.requests[-1].body, b"abc")

    def test_expect_and_other_end_to_end_fields_stay(self):
        request = self.sent("Range: bytes=0-1\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\n"
                            "Accept-Encoding: br\r\nOrigin: http://o\r\nPragma: x\r\n"
                            "Cache-Control: no-cache\r\n")
        for name in ("range", "date", "accept-encoding", "origin", "pragma", "cache-control"):
            self.assertTrue(request.has(name), name)

    def test_empty_post_says_so(self):
        """RFC 9110 8.6: a POST without content is sent with Content-Length: 0."""
        self.assertEqual(self.sent("", "POST").get("content-length"), "0")
        self.assertFalse(self.sent("").has("content-length"))


class Responses(Case):

    def test_order_spelling_and_values_stay(self):
        lines = [("Server", "own/1"), ("Set-Cookie", "a=1; Path=/"), ("x-oDD", "V"),
                 ("Set-Cookie", "b=2"), ("X-Empty", ""), ("X-Latin", "\xe4"), ("ETag", 'W/"x"'),
                 ("Date", "Mon, 01 Jan 2024 00:00:00 GMT"), ("Vary", "A"), ("Vary", "B"),
                 ("Location", "http://internal:81/x")]
        fields = "".join(f"{name}: {value}\r\n" for name, value in lines)
        answer = self.client(self.plain(self.origin(
            answering(response(b"ok", fields=fields))))).get()
        kept = [(name, value) for name, value in answer.fields if name != "Content-Length"]
        self.assertEqual(kept, lines)

    def test_hop_by_hop_fields_go(self):
        """RFC 9110 7.6.1, for answers."""
        fields = ("Connection: x-one, Keep-Alive\r\nX-One: 1\r\nKeep-Alive: timeout=60\r\n"
                  "Proxy-Connection: x\r\nX-Two: 2\r\nUpgrade: h2\r\nconnection: X-THREE\r\n"
                  "X-Three: 3\r\nTE: x\r\n")
        answer = self.client(self.plain(self.origin(
            answering(response(b"ok", fields=fields))))).get()
        for name in ("x-one", "x-three", "keep-alive", "proxy-connection", "upgrade", "te"):
            self.assertFalse(answer.has(name), name)
        self.assertEqual(answer.get("x-two"), "2")

    def test_connection_cannot_remove_framing(self):
        fields = "Connection: content-length, close\r\n"
        client = self.client(self.plain(self.origin(
            answering(response(b"ok", fields=fields), times=1))))
        for _ in range(2):
            self.assertEqual(client.get().body, b"ok")

    def test_date_is_added_when_missing(self):
        """RFC 9110 6.6.1: who receives an answer without Date may add one; one is never doubled."""
        answer = self.client(self.plain(self.origin())).get()
        self.assertLessEqual(len(answer.all("date")), 1)

    def test_status_and_reason_stay(self):
        answer = self.client(self.plain(self.origin(
            answering(response(b"x", "201 Made It"))))).get()
        self.assertEqual((answer.status, answer.reason), (201, "Made It"))
