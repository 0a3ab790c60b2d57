"""Answers of servers that break HTTP/1.1 become 502, and their connection is not used again."""

from harness import Case, answering, response

START = b"HTTP/1.1 200 OK\r\n"
BROKEN = {
    # RFC 9112 4: status lines.
    "nothing like HTTP": b"hello world\r\n\r\n",
    "other protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "icy": b"ICY 200 OK\r\n\r\n",
    "no version": b"200 OK\r\nContent-Length: 0\r\n\r\n",
    "lower-case version": b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/11": b"HTTP/11 200 OK\r\nContent-Length: 0\r\n\r\n",
    "short status": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "long status": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "status with letters": b"HTTP/1.1 2O0 OK\r\nContent-Length: 0\r\n\r\n",
    "signed status": b"HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n",
    "status 000": b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
    "status 999": b"HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n",
    "two spaces": b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
    "NUL in reason": b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n",
    "CR in reason": b"HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n",
    "leading blank": b" HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    # RFC 9112 5, 9110 5.5: fields.
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "bare LF in fields": START + b"Content-Length: 0\nX: y\r\n\r\n",
    "bare CR in a value": START + b"X: a\rb\r\nContent-Length: 0\r\n\r\n",
    "NUL in a value": START + b"X: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "no colon": START + b"nonsense\r\nContent-Length: 0\r\n\r\n",
    "empty name": START + b": x\r\nContent-Length: 0\r\n\r\n",
    "blank in a name": START + b"Bad Name: x\r\nContent-Length: 0\r\n\r\n",
    "NUL in a name": START + b"Bad\x00: x\r\nContent-Length: 0\r\n\r\n",
    "blank at first": START + b" X: y\r\nContent-Length: 0\r\n\r\n",
    # RFC 9112 6.3: lengths.
    "two lengths": START + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "list of lengths": START + b"Content-Length: 2, 3\r\n\r\nabc",
    "negative length": START + b"Content-Length: -1\r\n\r\n",
    "signed length": START + b"Content-Length: +2\r\n\r\nok",
    "hexadecimal length": START + b"Content-Length: 0x2\r\n\r\nok",
    "length with blanks": START + b"Content-Length: 2 2\r\n\r\nok",
    "empty length": START + b"Content-Length:\r\n\r\n",
    "overflowing length": START + b"Content-Length: 18446744073709551618\r\n\r\nok",
    "enormous length": START + b"Content-Length: 99999999999999999999999999\r\n\r\nok",
    # RFC 9112 8: heads that end too early.
    "nothing at all": b"",
    "one byte": b"H",
    "half a status line": b"HTTP/1.1 200 O",
    "half a head": START + b"Content-Length: 2\r\nX:",
    "head without its end": START + b"Content-Length: 2\r\n",
    "interim only": b"HTTP/1.1 103 Early Hints\r\n\r\n",
    "broken interim": b"HTTP/1.1 103 Early Hints\r\nBad Name: x\r\n\r\n" + START + b"\r\n",
    "broken after interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 2x0 OK\r\n\r\n",
    "101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
}


class BrokenUpstream(Case):

    def test_502(self):
        """RFC 9110 15.6.3: and the page says why; the client's connection stays in step."""

        def script(connection):
            request = connection.request()
            if request is None:
                return
            if request.target == "/good":
                connection.send(response(b"good"))
                return
            connection.send(BROKEN[current])

        current = ""
        weir = self.plain(self.origin(script))
        client = self.client(weir)
        for current in BROKEN:
            with self.subTest(answer=current):
                answer = client.request("POST", "/bad")  # Not idempotent: no second try hides it.
                self.assertEqual(answer.status, 502)
                self.assertRegex(answer.get("proxy-status"), r"^weir\b.*error=")
                if (answer.get("connection") or "").lower() == "close":
                    client = self.client(weir)
                self.assertEqual(client.get("/good").body, b"good")

    def test_both_lengths(self):
        """RFC 9112 6.3 step 3: refused, or the chunks decide and the connection is not reused."""
        data = START + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        server = self.origin(answering(data))
        client = self.client(self.plain(server))
        for _ in range(3):
            answer = client.request("POST")
            self.assertIn(answer.status, (200, 502))
            self.assertEqual(answer.status == 200, answer.body == b"")
        self.assertEqual(len(server.connections), 3)

    def test_space_before_colon(self):
        """RFC 9112 5.1: removed from the answer, or the answer is refused; never forwarded."""
        server = self.origin(answering(START + b"X-A : b\r\nContent-Length: 2\r\n\r\nok"))
        answer = self.client(self.plain(server)).request("POST")
        self.assertIn(answer.status, (200, 502))  # The reader refuses a blank before the colon.

    def test_folded_fields(self):
        """RFC 9112 5.2: replaced by blanks or refused; never forwarded."""
        server = self.origin(answering(START + b"X-A: b\r\n c\r\nContent-Length: 2\r\n\r\nok"))
        answer = self.client(self.plain(server)).request("POST")
        self.assertIn(answer.status, (200, 502))
        if answer.status == 200:
            self.assertEqual(answer.get("x-a"), "b c")
