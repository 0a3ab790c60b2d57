"""Sizes around the sizes of buffers: nothing changes at a block's end but the time it takes."""

from harness import Case, response

BLOCKS = (4_096, 8_192, 16_384, 32_768, 65_536)


def around(size, before=3, after=3):
    return range(size - before, size + after + 1)


class Boundaries(Case):

    def test_request_heads(self):
        """Up to the limit a head is served, above it 431; never anything else."""
        server = self.origin()
        weir = self.plain(server)
        client = self.client(weir)
        for size in (*around(4_096), *around(8_192), *around(16_000, 0, 400), *around(16_384, 20)):
            start = b"GET / HTTP/1.1\r\nHost: a\r\nX-Pad: "
            pad = size - len(start) - 4
            client.send(start + b"p" * pad + b"\r\n\r\n")
            answer = client.response()
            self.assertIn(answer.status, (200, 431), size)
            if answer.status == 200:
                self.assertEqual(len(server.requests[-1].get("x-pad")), pad)
            else:
                self.assertGreater(size, 15_000)
                client = self.client(weir)

    def test_request_head_and_body_in_one_piece(self):
        server = self.origin(lambda connection: [
            connection.send(response(request.body)) for request in iter(connection.request, None)])
        client = self.client(self.plain(server))
        for block in BLOCKS:
            for total in around(block):
                for length in (1, 2, 100, block // 2):
                    body = bytes(index % 251 for index in range(length))
                    start = (f"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n"
                             "X-Pad: ").encode()
                    pad = min(total - length - len(start) - 4, 7_000)
                    if pad < 0:
                        continue
                    client.send(start + b"p" * pad + b"\r\n\r\n" + body)
                    self.assertEqual(client.response().body, body, (total, length))

    def test_response_head_and_body_in_one_piece(self):
        def script(connection):
            while request := connection.request():
                total, length = (int(text) for text in request.target[1:].split("/"))
                start = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nX-Pad: ".encode()
                pad = min(max(total - length - len(start) - 4, 0), 7_000)
                connection.send(start + b"p" * pad + b"\r\n\r\n" + b"b" * length)

        client = self.client(self.plain(self.origin(script)))
        for block in BLOCKS:
            for total in around(block):
                for length in (0, 1, 100, block // 2, block):
                    answer = client.get(f"/{total}/{length}")
                    self.assertEqual(answer.body, b"b" * length, (total, length))

    def test_response_heads(self):
        def script(connection):
            while request := connection.request():
                start = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Pad: "
                pad = int(request.target[1:]) - len(start) - 4
                connection.send(start + b"p" * pad + b"\r\n\r\nok")

        client = self.client(self.plain(self.origin(script)))
        for size in (*around(4_096), *around(8_192), *around(16_000, 0, 400), *around(16_384, 20)):
            answer = client.request("POST", f"/{size}")
            self.assertIn((answer.status, answer.body if answer.status == 200 else b"ok"),
                          ((200, b"ok"), (502, b"ok")), size)
            if answer.status == 502:
                self.assertGreater(size, 15_000)

    def test_chunk_lines_across_a_boundary(self):
        """The size line, its CRLF, the data's CRLF and the last chunk fall on every offset."""
        def script(connection):
            while request := connection.request():
                first = int(request.target[1:])
                connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" +
                                b"%x\r\n%s\r\n" % (first, b"f" * first) +
                                b"1f4;x=y\r\n%s\r\n0\r\nX-T: z\r\n\r\n" % (b"s" * 500))

        weir = self.plain(self.origin(script))
        client = self.client(weir)
        for block in (4_096, 16_384, 32_768):
            for first in range(block - 600, block + 10, 3 if block > 4_096 else 1):
                answer = client.get(f"/{first}")
                self.assertEqual(answer.body, b"f" * first + b"s" * 500, first)

    def test_chunked_uploads_across_a_boundary(self):
        server = self.origin(lambda connection: [
            connection.send(response(request.body)) for request in iter(connection.request, None)])
        client = self.client(self.plain(server))
        for block in (4_096, 16_384):
            for first in range(block - 200, block + 10):
                client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
                            b"%x\r\n%s\r\n" % (first, b"f" * first) +
                            b"00014;x=y\r\n%s\r\n0\r\n\r\n" % (b"s" * 20))
                self.assertEqual(client.response().body, b"f" * first + b"s" * 20, first)

    def test_pipelined_requests_across_a_boundary(self):
        """The second request's head is cut by the end of the block at every offset."""
        server = self.origin(lambda connection: [
            connection.send(response(request.target.encode()))
            for request in iter(connection.request, None)])
        client = self.client(self.plain(server))
        for block in (4_096, 16_384):
            for offset in range(0, 60):
                length = block - 60 - offset
                first = b"PUT /1 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (
                    length, b"x" * length)
                client.send(first + b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
                                    b"GET /3 HTTP/1.1\r\nHost: a\r\n\r\n")
                self.assertEqual([client.response().body for _ in range(3)],
                                 [b"/1", b"/2", b"/3"], offset)
