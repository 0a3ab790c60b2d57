"""Ambiguous and broken requests are refused, and not one byte of them reaches a server.

Every entry is sent with a harmless-looking second request behind it, in one piece and byte by
byte. The answer must be the refusal, then an orderly close; the server must have seen nothing.
"""

import time

from harness import Case, answering, response, seconds

BEHIND = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def with_fields(*lines, method=b"POST", body=b""):
    return method + b" /x HTTP/1.1\r\nHost: a\r\n" + b"".join(lines) + b"\r\n" + body


CHUNKED_BODY = b"5\r\nhello\r\n0\r\n\r\n"

# RFC 9112 6.1, 6.3, 11.2: two lengths, or a coding that is not one final "chunked".
FRAMING = [
    with_fields(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", body=CHUNKED_BODY),
    with_fields(b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", body=CHUNKED_BODY),
    with_fields(b"Content-Length: 0\r\n", b"transfer-encoding: CHUNKED\r\n", body=CHUNKED_BODY),
    with_fields(b"Transfer-Encoding: chunked, chunked\r\n", body=CHUNKED_BODY),
    with_fields(b"Transfer-Encoding: chunked\r\n" * 2, body=CHUNKED_BODY),
    with_fields(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n",
                body=CHUNKED_BODY),
    with_fields(b"Transfer-Encoding: identity, chunked\r\n", body=CHUNKED_BODY),
    with_fields(b"Transfer-Encoding: chunked, identity\r\n", body=CHUNKED_BODY),
    with_fields(b"Transfer-Encoding: chunked;q=1\r\n", body=CHUNKED_BODY),
    with_fields(b"Transfer-Encoding: chunked; a=b\r\n", body=CHUNKED_BODY),
    with_fields(b"Transfer-Encoding: \"chunked\"\r\n", body=CHUNKED_BODY),
    with_fields(b"Transfer-Encoding: 'chunked'\r\n", body=CHUNKED_BODY),
    with_fields(b"Transfer-Encoding: xchunked\r\n", body=CHUNKED_BODY),
    with_fields(b"Transfer-Encoding: chunkedx\r\n", body=CHUNKED_BODY),
    with_fields(b"Transfer-Encoding: chunked x\r\n", body=CHUNKED_BODY),
    with_fields(b"Transfer-Encoding: chun ked\r\n", body=CHUNKED_BODY),
    with_fields(b"Transfer-Encoding: \x0bchunked\r\n", body=CHUNKED_BODY),
    with_fields(b"Transfer-Encoding: chunked\x0c\r\n", body=CHUNKED_BODY),
    with_fields(b"Transfer-Encoding: chunked\x00\r\n", body=CHUNKED_BODY),
    with_fields(b"Transfer-Encoding: \xa0chunked\r\n", body=CHUNKED_BODY),
    with_fields(b"Transfer-Encoding: chunked\x85\r\n", body=CHUNKED_BODY),
    with_fields(b"Transfer-Encoding:\r\n", body=CHUNKED_BODY),
    with_fields(b"Transfer-Encoding: ,\r\n", body=CHUNKED_BODY),
    with_fields(b"Transfer-Encoding: identity\r\n", b"Content-Length: 5\r\n", body=b"hello"),
    b"POST /x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED_BODY,
]

# RFC 9112 6.3 step 5: Content-Length is digits only, and says one thing.
LENGTHS = [with_fields(b"Content-Length: " + value + b"\r\n", body=b"hello") for value in (
    b"", b" ", b"+5", b"-5", b"5 5", b"5,6", b"5, 6", b"5;", b"5.0", b"0x5", b"5e0", b"five",
    b"5\x0b", b"\xa05", b"5\xa0", b"\xef\xbc\x95", b"5,", b",5", b"5 ,", b"\"5\"", b"5\x00",
    b"18446744073709551616", b"18446744073709551621", b"9223372036854775808",
    b"99999999999999999999999999", b"5\r\nContent-Length: 6", b"6\r\nContent-Length: 5",
    b"5\r\nX: y\r\ncontent-length: 05x",
)]

# RFC 9112 5, 2.2, 9110 5.5: field lines.
FIELDS = [
    with_fields(b"Transfer-Encoding : chunked\r\n", body=CHUNKED_BODY),
    with_fields(b"Transfer-Encoding\t: chunked\r\n", body=CHUNKED_BODY),
    with_fields(b"Content-Length : 5\r\n", body=b"hello"),
    with_fields(b"X-A : b\r\n"),
    with_fields(b"Transfer-Encoding:\r\n chunked\r\n", body=CHUNKED_BODY),
    with_fields(b"Transfer-Encoding:\r\n\tchunked\r\n", body=CHUNKED_BODY),
    with_fields(b"X-A: b\r\n Content-Length: 5\r\n"),
    with_fields(b"X-A: b\r\n\r\n"[:-2] + b" \r\n"),
    b"GET /x HTTP/1.1\r\n Host: a\r\n\r\n",
    b"GET /x HTTP/1.1\r\n\tX: y\r\nHost: a\r\n\r\n",
    with_fields(b": empty\r\n"),
    with_fields(b"no colon\r\n"),
    with_fields(b"nocolon\r\n"),
    with_fields(b"Bad Name: x\r\n"),
    with_fields(b"Bad(Name): x\r\n"),
    with_fields(b"Bad\x00Name: x\r\n"),
    with_fields(b"Bad\x80Name: x\r\n"),
    with_fields(b"Bad\x7fName: x\r\n"),
    with_fields(b"Bad\rName: x\r\n"),
    with_fields(b"\"Name\": x\r\n"),
    with_fields(b"Name@: x\r\n"),
    with_fields(b"Name[: x\r\n"),
    with_fields(b"\x0bTransfer-Encoding: chunked\r\n"),
    with_fields(b"\xef\xbb\xbfContent-Length: 5\r\n"),
    with_fields(b"X-A: b\x00c\r\n"),
    with_fields(b"X-A: b\rc\r\n"),
    with_fields(b"X-A: b\rTransfer-Encoding: chunked\r\n"),
    with_fields(b"X-A: b\nTransfer-Encoding: chunked\r\n"),
    with_fields(b"X-A: b\r\r\n"),
    with_fields(b"X-A: b\x01c\r\n"),
    with_fields(b"X-A: b\x7fc\r\n"),
    b"GET /x HTTP/1.1\nHost: a\n\n",
    b"GET /x HTTP/1.1\r\nHost: a\n\r\n",
    b"GET /x HTTP/1.1\r\nHost: a\r\n\n",
    b"GET /x HTTP/1.1\nHost: a\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHost: a\r\n\r",
    b"GET /x HTTP/1.1\rHost: a\r\r",
]

# RFC 9112 3, 2.3, 3.2: request lines.
LINES = [line + b"\r\nHost: a\r\n\r\n" for line in (
    b"GET  /x HTTP/1.1", b"GET /x  HTTP/1.1", b"GET\t/x HTTP/1.1", b"GET /x\tHTTP/1.1",
    b"GET /x HTTP/1.1 ", b" GET /x HTTP/1.1", b"GET /x HTTP/1.1\t", b"GET /x", b"GET", b"/x",
    b"GET /x y HTTP/1.1", b"GET /x\x00 HTTP/1.1", b"GET /x\x01y HTTP/1.1", b"GET /\x7f HTTP/1.1",
    b"GET /x\ry HTTP/1.1", b"GET /x\x0b HTTP/1.1", b"GET /x http/1.1", b"GET /x HTTP/1.",
    b"GET /x HTTP/1", b"GET /x HTTP/.1", b"GET /x HTTP/11", b"GET /x HTTP/1.1.1",
    b"GET /x HTTP/1.10", b"GET /x HTTP/01.1", b"GET /x HTTP/1,1", b"GET /x HTTP /1.1",
    b"GET /x XTTP/1.1", b"GET /x HTTP/a.b", b"GET /x HTTP/-1.1", b"G\x00T /x HTTP/1.1",
    b"G(T /x HTTP/1.1", b"G\xc3\xa4T /x HTTP/1.1", b"GET: /x HTTP/1.1", b"GET x HTTP/1.1",
    b"GET a.test HTTP/1.1", b"GET a.test:80 HTTP/1.1", b"GET * HTTP/1.1", b"POST * HTTP/1.1",
    b"GET ? HTTP/1.1", b"GET \\x HTTP/1.1", b"OPTIONS ** HTTP/1.1", b"OPTIONS x HTTP/1.1",
    b"GET http:///x HTTP/1.1", b"GET http://:80/x HTTP/1.1", b"GET http://a:b/x HTTP/1.1",
    b"GET http://a:99999999/x HTTP/1.1", b"GET http://a b/x HTTP/1.1", b"GET http:/x HTTP/1.1",
    b"GET http:x HTTP/1.1", b"GET http:// HTTP/1.1", b"GET http://?x HTTP/1.1",
    b"GET http://[::1/x HTTP/1.1", b"GET http://a]/x HTTP/1.1", b"GET http://u@/x HTTP/1.1",
    b"GET http://[]/x HTTP/1.1", b"GET http://a%/x HTTP/1.1",
)]

# RFC 9112 3.2: exactly one valid Host.
HOSTS = [b"GET /x HTTP/1.1\r\n\r\n", b"GET /x HTTP/1.1\r\nX-Host: a\r\n\r\n"] + [
    b"GET /x HTTP/1.1\r\n" + lines + b"\r\n\r\n" for lines in (
        b"Host: a\r\nHost: a", b"Host: a\r\nHost: b", b"Host: a\r\nhost: a", b"Host: a\r\nHOST:",
        b"Host: a b", b"Host: a, a", b"Host: a/b", b"Host: a?b", b"Host: a#b",
        b"Host: u@a", b"Host: a:b", b"Host: a:80:80", b"Host: a:-1", b"Host: a:8 0",
        b"Host: [::1", b"Host: ::1", b"Host: [::1]x", b"Host: [zz]", b"Host: a\\b", b"Host: a\"b",
        b"Host: <a>", b"Host: a\x80", b"Host: a\x00", b"Host: http://a", b"Host: a%zz",
        b"Host: a%2", b"Host: a\tb", b"Host: a;b\r\nHost: a;b",
    )]


class Smuggling(Case):

    def setUp(self):
        super().setUp()
        self.server = self.origin(answering(response(b"reached")))
        self.proxy = self.plain(self.server)

    def corpus(self, entries, statuses=(400,)):
        for entry in entries:
            for pieces in ((entry + BEHIND,), tuple(bytes([byte]) for byte in entry) + (BEHIND,)):
                with self.subTest(entry=entry, pieces=len(pieces)):
                    client = self.client(self.proxy)
                    try:
                        client.send(*pieces)
                    except ConnectionError:
                        pass  # Refused and closed before the last byte; the answer is there.
                    answer = client.response()
                    self.assertIn(answer.status, statuses)
                    self.assertEqual((answer.get("connection") or "").lower(), "close")
                    self.assertTrue(client.closed(), "more than one answer")
                    client.close()
                    self.assertEqual(self.server.received(), b"", "bytes reached the server")

    def test_framing(self):
        self.corpus(FRAMING, (400, 501))

    def test_unknown_codings(self):
        """RFC 9112 6.1: a transfer coding that is not understood is answered with 501."""
        self.corpus([with_fields(b"Transfer-Encoding: " + value + b"\r\n", body=CHUNKED_BODY)
                     for value in (b"gzip", b"gzip, chunked", b"deflate, chunked", b"br")],
                    (501, 400))
        answer = self.client(self.proxy).request(
            "POST", fields="Transfer-Encoding: gzip, chunked\r\n")
        self.assertIn(answer.status, (501, 400))

    def test_content_length(self):
        self.corpus(LENGTHS)

    def test_field_lines(self):
        self.corpus(FIELDS)

    def test_request_lines(self):
        self.corpus(LINES)

    def test_hosts(self):
        self.corpus(HOSTS)

    def test_http_0_9(self):
        """RFC 9112 2.3: HTTP/0.9 is not spoken."""
        self.corpus([b"GET /\r\n", b"GET /x\r\n\r\n"])

    def test_bytes_of_other_protocols(self):
        self.corpus([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
                     b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00" * 32, b"\xff" * 32,
                     b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
                     b"\r\n\r\n\x00\r\nQUIT\n"], (400, 405, 501))

    def test_good_requests_in_front_change_nothing(self):
        """The refusal of the second request is the same as that of a first one."""
        for entry in (FRAMING[0], LENGTHS[5], FIELDS[0], LINES[0], HOSTS[2]):
            with self.subTest(entry=entry):
                client = self.client(self.proxy)
                before = len(self.server.requests)
                client.send(b"GET /good HTTP/1.1\r\nHost: a\r\n\r\n" + entry + BEHIND)
                self.assertEqual(client.response().body, b"reached")
                self.assertEqual(client.response().status, 400)
                self.assertTrue(client.closed())
                self.assertEqual([request.target for request in self.server.requests[before:]],
                                 ["/good"])


class StagedClose(Case):

    def test_refusal_is_readable_behind_a_flood(self):
        """RFC 9112 9.6: shutdown, drain, close. What still comes must not turn the answer into a
        reset that destroys it in the client's queue."""
        proxy = self.plain(self.origin())
        for _ in range(5):
            client = self.client(proxy)
            client.send(b"GET /x HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n")
            try:
                for _ in range(16):
                    client.send(b"x" * 16_384)
            except ConnectionError as error:
                self.fail(f"reset while the refusal was on its way: {error}")
            self.assertEqual(client.response().status, 400)
            self.assertTrue(client.closed())

    def test_a_client_that_never_stops_sending(self):
        """The drain is bounded in time or bytes; the connection ends in any case."""
        proxy = self.plain(self.origin())
        client = self.client(proxy)
        client.send(b"BAD\r\n\r\n")
        self.assertEqual(client.response().status, 400)
        end = time.monotonic() + seconds(30)
        with self.assertRaises(ConnectionError):
            while time.monotonic() < end:
                client.send(b"x" * 16_384)


# RFC 9112 7.1, 7.1.1: chunk lines. The head is fine, so a server may have seen it.
CHUNKS = [
    b"5\nhello\r\n0\r\n\r\n", b"5\r\nhello\n0\r\n\r\n", b"5\rhello\r\n0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n", b"+5\r\nhello\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n",
    b" 5\r\nhello\r\n0\r\n\r\n", b"5 \r\nhello\r\n0\r\n\r\n", b"5\t\r\nhello\r\n0\r\n\r\n",
    b"\r\nhello\r\n0\r\n\r\n", b";a=b\r\nhello\r\n0\r\n\r\n", b"g\r\nhello\r\n0\r\n\r\n",
    b"5g\r\nhello\r\n0\r\n\r\n", b"5,\r\nhello\r\n0\r\n\r\n", b"5\x00\r\nhello\r\n0\r\n\r\n",
    b"10000000000000005\r\nhello\r\n0\r\n\r\n", b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n", b"8000000000000000\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhelloX\r\n0\r\n\r\n", b"5\r\nhello0\r\n\r\n", b"5\r\nhello\r0\r\n\r\n",
    b"5\r\nhello\r\n\r\n0\r\n\r\n", b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    b"5;a\rb\r\nhello\r\n0\r\n\r\n", b"5;a\x00b\r\nhello\r\n0\r\n\r\n",
    b"5;a=\"\n\"\r\nhello\r\n0\r\n\r\n", b"5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0\n\r\n", b"5\r\nhello\r\n0\r\n\n", b"5\r\nhello\r\n0\r\nX: y\n\r\n",
    b"5\r\nhello\r\n0\r\nbad trailer\r\n\r\n", b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
    b"5\r\nhello\r\n0\r\n folded: y\r\n\r\n", b"5\r\nhello\r\n0\r\nX: a\x00b\r\n\r\n",
    b"5\r\nhello\r\n0\r\nX: a\rb\r\n\r\n", b"\xb5\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0 0\r\n\r\n", b"5\r\nhello\r\n00x\r\n\r\n",
]


class ChunkedSmuggling(Case):

    def test_chunk_lines(self):
        """Broken framing ends the request: no server sees it complete, nothing behind it is run."""
        server = self.origin(answering(response(b"reached")), cut_requests=True)
        proxy = self.plain(server)
        head = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        for entry in CHUNKS:
            for pieces in ((head + entry + BEHIND,), (head, entry + BEHIND),
                           (head, *(bytes([byte]) for byte in entry), BEHIND)):
                with self.subTest(entry=entry, pieces=len(pieces)):
                    client = self.client(proxy)
                    try:
                        client.send(*pieces)
                    except ConnectionError:
                        pass
                    self.assertEqual(client.response().status, 400)
                    self.assertTrue(client.closed())
                    client.close()
        for connection in server.connections:
            self.assertTrue(connection.done.wait(10))
        self.assertNotIn(b"/smuggled", server.received())
        complete = [connection for connection in server.connections
                    if connection.requests and connection.requests[0].body]
        self.assertEqual(complete, [], "a server saw a complete body")
