"""Response content reaches the client unchanged, framed as the client's version needs it."""

import random

from harness import Case, answering, response

SIZES = (0, 1, 2, 4095, 4096, 4097, 16384, 16385, 65535, 65536, 65537, 1_000_003)
HTTP_1_0 = b"GET / HTTP/1.0\r\n\r\n"


def noise(size):
    return random.Random(size).randbytes(size)


def chunks(body, sizes=(1, 10, 1000, 7, 30_000), extension=b""):
    at, step, out = 0, 0, []
    while at < len(body):
        piece = body[at:at + sizes[step % len(sizes)]]
        out.append(b"%X%s\r\n%s\r\n" % (len(piece), extension, piece))
        at, step = at + len(piece), step + 1
    return out + [b"0\r\n\r\n"]


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def sized(kind):
    """Answers /N with N bytes, framed by `kind`."""

    def script(connection):
        while request := connection.request():
            body = noise(int(request.target[1:]))
            if kind == "length":
                connection.send(response(body))
            elif kind == "chunked":
                connection.send(CHUNKED, *chunks(body))
            else:
                connection.send(b"HTTP/1.1 200 OK\r\n\r\n", body)
                return

    return script


class ResponseBodies(Case):

    def test_content_length(self):
        client = self.client(self.plain(self.origin(sized("length"))))
        for size in SIZES:
            answer = client.get(f"/{size}")
            self.assertEqual((answer.framing, answer.body), ("length", noise(size)))

    def test_chunked(self):
        """RFC 9112 7.1: framed anew; content and order stay."""
        client = self.client(self.plain(self.origin(sized("chunked"))))
        for size in SIZES:
            self.assertEqual(client.get(f"/{size}").body, noise(size))

    def test_close_delimited_becomes_chunked(self):
        """RFC 9112 6.3 step 8: the client's connection survives the server's close."""
        client = self.client(self.plain(self.origin(sized("close"))))
        for size in SIZES:
            answer = client.get(f"/{size}")
            self.assertEqual((answer.framing, answer.body), ("chunked", noise(size)))

    def test_http_1_0_clients_never_see_chunks(self):
        """RFC 9112 6.1, 7.1: to HTTP/1.0 the end of the content is a length or the close."""
        for kind in ("length", "chunked", "close"):
            proxy = self.plain(self.origin(sized(kind)))
            for size in (0, 1, 5000, 100_000):
                for fields in ("", "Connection: keep-alive\r\n"):
                    client = self.client(proxy)
                    client.send(f"GET /{size} HTTP/1.0\r\n{fields}\r\n".encode())
                    answer = client.response()
                    self.assertFalse(answer.has("transfer-encoding"))
                    self.assertEqual(answer.body, noise(size))
                    if answer.framing == "close":
                        self.assertNotEqual((answer.get("connection") or "").lower(),
                                            "keep-alive")

    def test_byte_by_byte_from_the_server(self):
        whole = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n"
                 b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n")

        def script(connection):
            while connection.request():
                connection.send(*(whole[at:at + 1] for at in range(len(whole))))

        client = self.client(self.plain(self.origin(script)))
        for _ in range(3):
            answer = client.get()
            self.assertEqual((answer.body, answer.get("x-a")), (b"hello world", "b"))

    def test_many_small_segments(self):
        """Thousands of tiny segments, each a queue entry of its own in the kernel; then a FIN."""
        body = noise(400_000)

        def script(connection):
            request = connection.request()
            length = b"Content-Length: 400000\r\n" if request.target == "/length" else b""
            connection.send(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n")
            connection.send(*(body[at:at + 27] for at in range(0, len(body), 27)))

        client = self.client(self.plain(self.origin(script)))
        for target in ("/length", "/close", "/length", "/close"):
            self.assertEqual(client.get(target).body, body)

    def test_answer_and_end_in_one_breath(self):
        """Data and FIN in one edge: nothing of the data is lost, at any size."""
        for size in (1, 1_000, 16_384, 60_000, 300_000):
            def script(connection, size=size):
                connection.request()
                connection.send(b"HTTP/1.1 200 OK\r\n\r\n" + noise(size))

            client = self.client(self.plain(self.origin(script)))
            for _ in range(30):
                self.assertEqual(client.get().body, noise(size))

    def test_cut_at_every_byte(self):
        """RFC 9112 2.2: the answer does not depend on how the server's bytes arrive."""
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello"

        def script(connection):
            while request := connection.request():
                cut = int(request.target[1:])
                connection.send(whole[:cut], whole[cut:])

        client = self.client(self.plain(self.origin(script)))
        for cut in range(1, len(whole)):
            answer = client.get(f"/{cut}")
            self.assertEqual((answer.body, answer.get("x-a")), (b"hello", "b"))

    def test_extensions_and_trailers_of_the_server(self):
        """RFC 9112 7.1.1, 9110 6.5.1: extensions end here; trailers never become fields."""
        body = noise(3_000)
        framed = b"".join(chunks(body, (999,), b' ;x="y;z"'))[:-2]

        def script(connection):
            while connection.request():
                connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                                b"Trailer: X-Sum\r\n\r\n" + framed +
                                b"X-Sum: 1\r\nContent-Length: 3\r\nSet-Cookie: evil=1\r\n\r\n")

        client = self.client(self.plain(self.origin(script)))
        for _ in range(2):
            answer = client.get()
            self.assertEqual(answer.body, body)
            self.assertFalse(answer.has("x-sum"))
            names = {name.lower() for name, _ in answer.trailers}
            self.assertNotIn("content-length", names)

    def test_other_transfer_codings_of_the_server(self):
        """RFC 9112 6.3 step 4: chunked not final means read to close, or a bad gateway."""
        for coding in (b"gzip", b"chunked, gzip", b"identity"):
            server = self.origin(answering(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: " + coding + b"\r\n\r\nabc", times=1))
            answer = self.client(self.plain(server)).get()
            self.assertIn((answer.status, answer.body if answer.status == 200 else b""),
                          ((200, b"abc"), (502, b"")), coding)


class BodylessResponses(Case):
    """RFC 9112 6.3 step 1: HEAD, 204 and 304 have no content, whatever the fields say."""

    def answers(self, method, data, times=3):
        """The answers of `times` requests on one client connection, each followed by a GET that
        must get its own answer."""

        def script(connection):
            while request := connection.request():
                connection.send(response(b"next") if request.target == "/next" else data)

        server = self.origin(script)
        client = self.client(self.plain(server))
        result = []
        for _ in range(times):
            result.append(client.request(method, "/"))
            self.assertEqual(client.get("/next").body, b"next")
        return server, result

    def test_head_keeps_the_length(self):
        """RFC 9110 9.3.2: HEAD's Content-Length is what GET's would be."""
        _, answers = self.answers("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1234567\r\n\r\n")
        self.assertEqual({answer.get("content-length") for answer in answers}, {"1234567"})

    def test_head_of_a_chunked_answer(self):
        server, _ = self.answers("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.assertEqual(len(server.connections), 1)

    def test_head_without_any_length(self):
        self.answers("HEAD", b"HTTP/1.1 200 OK\r\nX-A: b\r\n\r\n")

    def test_204(self):
        for fields in (b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"):
            _, answers = self.answers("GET", b"HTTP/1.1 204 No Content\r\n" + fields + b"\r\n")
            for answer in answers:
                self.assertEqual(answer.status, 204)
                self.assertFalse(answer.has("content-length") or answer.has("transfer-encoding"),
                                 "RFC 9110 8.6: not in a 204")

    def test_304(self):
        _, answers = self.answers("GET", b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n"
                                         b"Content-Length: 500\r\n\r\n")
        self.assertEqual({(answer.status, answer.get("etag")) for answer in answers},
                         {(304, '"a"')})

    def test_content_that_must_not_be_there(self):
        """RFC 9112 6.3, 9.3: bytes behind a bodyless answer belong to nobody."""
        for method, start in (("HEAD", b"200 OK"), ("GET", b"204 No Content"),
                              ("GET", b"304 Not Modified")):
            server, _ = self.answers(method, b"HTTP/1.1 " + start +
                                     b"\r\nContent-Length: 4\r\n\r\nevil")
            self.assertGreater(len(server.connections), 1, "a connection with a rest was reused")

    def test_empty_reason_and_unknown_status(self):
        """RFC 9112 4: an empty reason phrase is valid; the status is passed on as it is."""
        for start, status in ((b"200 ", 200), (b"299 Odd", 299), (b"599 Own words \xe4", 599),
                              (b"418 I'm a teapot", 418)):
            _, answers = self.answers("GET", b"HTTP/1.1 " + start +
                                      b"\r\nContent-Length: 0\r\n\r\n", 1)
            self.assertEqual(answers[0].status, status)
