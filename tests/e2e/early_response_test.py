"""A server may answer before the request's content is complete (RFC 9112 9.3, 9110 7.5)."""

import threading

from harness import Case, response

CHUNK = b"x" * 65_536


class EarlyResponse(Case):

    def test_refusal_reaches_a_client_that_is_still_sending(self):
        """The final answer is readable although the server read nothing of the content."""
        for close in ("", "Connection: close\r\n"):
            with self.subTest(close=close):
                server = self.origin(lambda connection, close=close: (
                    connection.head(),
                    connection.send(response(b"too much", "413 Content Too Large", close)),
                    connection.half_close(), connection.wait_end()))
                client = self.client(self.classic(server))
                client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n")

                def upload(client=client):
                    try:
                        for _ in range(50_000_000 // len(CHUNK)):
                            client.send(CHUNK)
                    except OSError:
                        pass

                sender = threading.Thread(target=upload, daemon=True)
                sender.start()
                answer = client.response()
                self.assertEqual((answer.status, answer.body), (413, b"too much"))
                client.reset()
                sender.join(10)

    def test_answer_and_content_cross(self):
        """The server answers at once and goes on reading: both sides complete."""
        received = []

        def script(connection):
            while request := connection.head():
                connection.send(response(b"early"))
                connection.body(request)
                received.append(len(request.body))

        client = self.client(self.classic(self.origin(script)))
        size = 2_000_000
        for _ in range(2):
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
            answer = client.response()
            self.assertEqual(answer.body, b"early")
            if (answer.get("connection") or "").lower() == "close":
                return  # Allowed: the rest of the content is not wanted any more.
            client.send(b"y" * size)
        self.assertEqual(client.get().body, b"early")
        self.assertEqual(received[:2], [size, size])

    def test_both_large_at_the_same_time(self):
        """An echo while uploading: neither direction waits for the other to finish."""

        def script(connection):
            request = connection.head()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n")
            connection.body(request, connection.send)

        client = self.client(self.classic(self.origin(script, record=False)))
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n")
        body = bytes(range(256)) * (4_000_000 // 256)
        sender = threading.Thread(target=lambda: client.send(body), daemon=True)
        sender.start()
        self.assertEqual(client.response().body, body)
        sender.join(10)

    def test_announced_content_is_never_a_request(self):
        """RFC 9110 10.1.1: what was announced as content stays content."""
        server = self.origin(lambda connection: (
            connection.head(), connection.send(response(b"early")), connection.half_close(),
            connection.wait_end()))
        client = self.client(self.classic(server))
        evil = b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(evil))
        self.assertEqual(client.response().body, b"early")
        try:
            client.send(evil)
            client.rest()
        except (ConnectionError, AssertionError):
            pass
        self.assertNotIn("/evil", [request.target for request in server.requests])

    def test_server_closes_while_the_content_comes(self):
        """Answer and reset in one breath: the client gets the answer or a clear 502."""
        def script(connection):
            connection.head()
            connection.send(response(b"bye", "403 Forbidden", "Connection: close\r\n"))
            connection.close()  # With unread content in the queue: the kernel sends a reset.

        proxy = self.classic(self.origin(script))
        for _ in range(10):
            client = self.client(proxy)
            try:
                client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n",
                            CHUNK, CHUNK, CHUNK)
            except ConnectionError:
                pass
            self.assertIn(client.response().status, (403, 502))
