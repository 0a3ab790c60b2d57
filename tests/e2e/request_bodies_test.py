"""Request content reaches the server unchanged, however it is framed and cut."""

import hashlib
import random

from harness import Case, answering, response

SIZES = (0, 1, 2, 255, 4095, 4096, 4097, 16383, 16384, 16385, 65535, 65536, 65537, 1_000_003)


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


def chunked(body, sizes=(1, 7, 100, 3000, 20_000), extension=b""):
    out, at, step = [], 0, 0
    while at < len(body):
        piece = body[at:at + sizes[step % len(sizes)]]
        out.append(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece))
        at, step = at + len(piece), step + 1
    return b"".join(out) + b"0\r\n\r\n"


def digest(connection):
    while request := connection.request():
        connection.send(response(hashlib.sha256(request.body).hexdigest().encode()))


def expected(body):
    return hashlib.sha256(body).hexdigest().encode()


CHUNKED_HEAD = b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


class RequestBodies(Case):

    def setUp(self):
        super().setUp()
        self.server = self.origin(digest)
        self.proxy = self.plain(self.server)

    def test_content_length(self):
        client = self.client(self.proxy)
        for size in SIZES:
            body = noise(size)
            self.assertEqual(client.request("POST", f"/{size}", body=body).body, expected(body))
            self.assertEqual(self.server.requests[-1].get("content-length"), str(size))

    def test_chunked(self):
        """RFC 9112 7.1: content and order stay; it is framed anew, so no chunk line is relayed."""
        client = self.client(self.proxy)
        for size in SIZES:
            body = noise(size)
            client.send(CHUNKED_HEAD + chunked(body))
            self.assertEqual(client.response().body, expected(body), size)
            request = self.server.requests[-1]
            self.assertEqual(request.has("content-length") + request.has("transfer-encoding"), 1)

    def test_chunked_cut_at_every_byte(self):
        """RFC 9112 7.1: no cut inside a chunk size, its line end or the data changes anything."""
        body = b"hello, chunked world"
        message = CHUNKED_HEAD + chunked(body, (1, 16, 3))
        client = self.client(self.proxy)
        for cut in range(1, len(message)):
            client.send(message[:cut], message[cut:])
            self.assertEqual(client.response().body, expected(body), cut)
        client.send(*(message[at:at + 1] for at in range(len(message))))
        self.assertEqual(client.response().body, expected(body))

    def test_content_length_in_odd_pieces(self):
        body = noise(50_000)
        client = self.client(self.proxy)
        client.send(b"PUT /p HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n")
        at, source = 0, random.Random(7)
        while at < len(body):
            step = source.choice((1, 2, 3, 1000, 1460, 4096))
            client.send(body[at:at + step])
            at += step
        self.assertEqual(client.response().body, expected(body))

    def test_many_small_segments(self):
        """Thousands of tiny segments, each a queue entry of its own in the kernel."""
        body = noise(400_000)
        client = self.client(self.proxy)
        client.send(b"PUT /s HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n")
        client.send(*(body[at:at + 27] for at in range(0, len(body), 27)))
        self.assertEqual(client.response().body, expected(body))

    def test_chunk_extensions_end_here(self):
        """RFC 9112 7.1.1: extensions are ignored and never forwarded."""
        client = self.client(self.proxy)
        body = noise(5_000)
        for extension in (b";a", b";a=b", b' ;a="q;uo ted"', b"\t; x = y", b";a=b;c=d"):
            client.send(CHUNKED_HEAD + chunked(body, (1000,), extension))
            self.assertEqual(client.response().body, expected(body), extension)

    def test_upper_case_and_leading_zeros_in_chunk_sizes(self):
        client = self.client(self.proxy)
        body = noise(10 + 0xAB)
        client.send(CHUNKED_HEAD + b"00000A\r\n" + body[:10] + b"\r\naB\r\n" + body[10:] +
                    b"\r\n000\r\n\r\n")
        self.assertEqual(client.response().body, expected(body))

    def test_transfer_encoding_without_case(self):
        """RFC 9112 7: transfer coding names are compared without case, around optional blanks."""
        client = self.client(self.proxy)
        for value in (b"Chunked", b"CHUNKED", b"\tchunked ", b", chunked", b"chunked,"):
            client.send(CHUNKED_HEAD.replace(b" chunked", b" " + value) + chunked(b"abc"))
            answer = client.response()
            if b"," in value and answer.status == 400:  # Empty list elements may be refused.
                client = self.client(self.proxy)
                continue
            self.assertEqual(answer.body, expected(b"abc"), value)

    def test_trailers_never_become_header_fields(self):
        """RFC 9110 6.5.1: trailers stay trailers, and none of them can frame or route."""
        client = self.client(self.proxy)
        client.send(b"POST /t HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                    b"Trailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 42\r\nContent-Length: 9\r\n"
                    b"Transfer-Encoding: chunked\r\nHost: evil\r\nAuthorization: evil\r\n"
                    b"X-Forwarded-For: 6.6.6.6\r\nConnection: close\r\n\r\n")
        self.assertEqual(client.response().body, expected(b"abc"))
        request = self.server.requests[-1]
        self.assertFalse(request.has("x-sum"))
        self.assertEqual(request.get("host"), "a")
        self.assertNotIn("evil", str(request.fields))
        self.assertNotIn("6.6.6.6", str(request.fields))
        self.assertLessEqual({name.lower() for name, _ in request.trailers}, {"x-sum"})
        self.assertEqual(client.get().status, 200)

    def test_get_with_content(self):
        client = self.client(self.proxy)
        self.assertEqual(client.request("GET", "/g", body=b"abc").body, expected(b"abc"))
        self.assertEqual(client.request("DELETE", "/d", body=b"abc").body, expected(b"abc"))

    def test_lengths_written_unusually(self):
        """RFC 9112 6.3: leading zeros are digits; equal repeated values collapse or are refused."""
        for value, strict in ((b"005", True), (b"000000000000000000000000005", False),
                              (b"5, 5", False), (b"5\r\nContent-Length: 5", False)):
            client = self.client(self.proxy)
            client.send(b"POST /l HTTP/1.1\r\nHost: a\r\nContent-Length: " + value +
                        b"\r\n\r\nhello")
            answer = client.response()
            if strict or answer.status != 400:
                self.assertEqual(answer.body, expected(b"hello"), value)
                self.assertEqual(self.server.requests[-1].get("content-length"), "5")

    def test_fields_that_resemble_framing(self):
        """RFC 9112 6.3: only the exact names frame; what resembles them is an ordinary field."""
        client = self.client(self.proxy)
        for name in ("Content_Length", "X-Content-Length", "Content-Length-X", "Content-Lengt",
                     "Transfer_Encoding", "Transfer-Encodin", "Transfer-Encodings"):
            answer = client.get("/like", fields=f"{name}: chunked\r\n")
            self.assertEqual(answer.body, expected(b""), name)
            self.assertFalse(self.server.requests[-1].has("content-length"))
            self.assertFalse(self.server.requests[-1].has("transfer-encoding"))


class IncompleteRequests(Case):
    """RFC 9112 8: an early end makes the message incomplete, and it stays incomplete."""

    def incomplete(self, data, end):
        server = self.origin(cut_requests=True)
        client = self.client(self.plain(server))
        client.send(data)
        server.wait_requests(1)
        end(client)
        connection = server.connections[0]
        self.assertTrue(connection.done.wait(10), "weir kept the server's connection open")
        self.assertTrue(connection.saw_cut or connection.saw_reset,
                        "the server saw a complete request")

    def test_content_length(self):
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc"
        for name in ("close", "reset", "half_close"):
            with self.subTest(end=name):
                self.incomplete(head, lambda client, name=name: getattr(client, name)())

    def test_chunked(self):
        for rest in (b"", b"5\r\nhel", b"5\r\nhello", b"5\r\nhello\r\n", b"5\r\nhello\r\n0\r\n",
                     b"5\r\nhello\r\n0\r\nX: y\r\n"):
            for name in ("close", "reset", "half_close"):
                with self.subTest(rest=rest, end=name):
                    self.incomplete(CHUNKED_HEAD + rest,
                                    lambda client, name=name: getattr(client, name)())

    def test_the_next_client_is_untouched(self):
        """RFC 9112 9.6: half of a request never stays in a pooled connection."""
        server = self.origin(answering(response(b"clean")), cut_requests=True)
        proxy = self.plain(server)
        first = self.client(proxy)
        self.assertEqual(first.get().body, b"clean")  # Leaves an idle connection behind.
        first.send(b"POST /half HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nGET /evil")
        server.wait_requests(2)
        first.reset()
        second = self.client(proxy)
        for number in range(3):
            self.assertEqual(second.get(f"/{number}").body, b"clean")
        self.assertNotIn("/evil", [request.target for request in server.requests])
