"""A server may answer before the request's content is complete (RFC 9112 9.3, 9110 7.5)."""

import threading

from harness import Case, response, seconds, wait_until

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
                client = self.client(self.plain(server))
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
        """The server answers at once and goes on reading: it gets no more, the client goes on."""

        def script(connection):
            request = connection.head()
            connection.send(response(b"early"))
            connection.body(request)

        server = self.origin(script, cut_requests=True)
        client = self.client(self.plain(server))
        for number in range(1, 3):
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
                        % (2 * len(CHUNK)))
            answer = client.response()
            self.assertEqual((answer.body, answer.get("connection")), (b"early", None))
            connection = server.wait_connections(number)[-1]
            self.assertTrue(connection.done.wait(seconds(10)), "the server waits for more")
            client.send(CHUNK, CHUNK)
            self.assertTrue(connection.received.endswith(b"\r\n\r\n"))
        self.assertEqual(client.get().body, b"early")

    def test_rest_of_the_content_is_never_the_servers_next_request(self):
        """A server that answers and does not read on takes the rest for a request; the answer to
        that must not be another client's."""

        def script(connection):
            while request := connection.head():
                if request.method == "POST":  # Reads nothing of the content.
                    connection.send(response(b"no", "413 Content Too Large"))
                else:
                    connection.send(response(request.target.encode()))

        server = self.origin(script)
        proxy = self.plain(server)
        attacker = self.client(proxy)
        evil = b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"
        attacker.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(evil))
        self.assertEqual(attacker.response().status, 413)
        attacker.send(evil)
        self.assertEqual(attacker.get("/own").body, b"/own")
        self.assertEqual(self.client(proxy).get("/victim").body, b"/victim")
        self.assertEqual([request.target for request in server.requests], ["/", "/own", "/victim"])

    def test_answer_that_ends_behind_the_content(self):
        """Begun early, ended in order: the server's connection serves on."""

        def script(connection):
            while request := connection.head():
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1")
                connection.body(request)
                connection.send(b"2")

        server = self.origin(script)
        client = self.client(self.plain(server))
        for _ in range(2):
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
            client.reader.until(b"\r\n\r\n1")
            client.send(b"abc")
            self.assertEqual(client.reader.exact(1), b"2")
        self.assertEqual(len(server.connections), 1)

    def test_both_large_at_the_same_time(self):
        """An echo while uploading: neither direction waits for the other to finish."""

        def script(connection):
            request = connection.head()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n")
            connection.body(request, connection.send)

        client = self.client(self.plain(self.origin(script, record=False)))
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
        client = self.client(self.plain(server))
        evil = b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(evil))
        self.assertEqual(client.response().body, b"early")
        try:
            self.assertEqual(client.send(evil).half_close().rest(), b"")
        except ConnectionError:
            pass
        self.assertNotIn("/evil", [request.target for request in server.requests])

    def test_server_closes_while_the_content_comes(self):
        """Answer and reset in one breath: the client gets the answer or a clear 502."""
        def script(connection):
            connection.head()
            connection.send(response(b"bye", "403 Forbidden", "Connection: close\r\n"))
            connection.close()  # With unread content in the queue: the kernel sends a reset.

        proxy = self.plain(self.origin(script))
        for _ in range(10):
            client = self.client(proxy)
            try:
                client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n",
                            CHUNK, CHUNK, CHUNK)
            except ConnectionError:
                pass
            self.assertIn(client.response().status, (403, 502))

    def test_unwanted_content_has_one_pause_of_time(self):
        """However steadily it drips: all of it together has client_body_timeout."""
        server = self.origin(lambda connection: (
            connection.head(), connection.send(response(b"early")), connection.wait_end()))
        weir = self.weir(server, listener={"client_body": "300ms"})
        client = self.client(weir)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n")
        self.assertEqual(client.response().body, b"early")

        def dripped():
            """One byte more, and whether weir has closed; it asks weir, which takes longer."""
            client.send(b"x")
            return weir.metric("weir_request_discard_limit_hits_total") == 1

        wait_until(dripped, 30, "the end of its time")
        self.assertTrue(client.closed())
        self.assert_metric(weir, 0, "weir_http_requests_in_flight")

    def kept_answer_and_then_a_reset(self, size, status="200 OK"):
        """The client of a server that promised to keep its connection, and broke it right after
        its answer, with `size` bytes of content announced and 64 KiB of them sent."""
        answered = threading.Event()

        def script(connection):
            if connection.head().method == "GET":
                connection.send(response(b"next"))
                return
            connection.send(response(b"early", status))
            answered.wait(seconds(10))
            connection.reset()

        server = self.origin(script)
        client = self.client(self.weir(server, listener={"client_body": "500ms"}),
                             timeout=seconds(5))
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size, CHUNK)
        answer = client.response()
        self.assertEqual((f"{answer.status} {answer.reason}", answer.body), (status, b"early"))
        answered.set()
        self.assertTrue(server.connections[0].done.wait(seconds(5)))
        return client

    def test_reset_after_a_kept_answer(self):
        """The client sends on, and its connection comes to an end soon: nobody wants the rest."""
        for status in ("200 OK", "413 Content Too Large"):
            with self.subTest(status=status):
                client = self.kept_answer_and_then_a_reset(50_000_000, status)
                try:
                    for _ in range(50_000_000 // len(CHUNK)):
                        client.send(CHUNK)
                except ConnectionError:
                    pass
                self.assertTrue(client.gone())

    def test_reset_after_a_kept_answer_with_little_left(self):
        """RFC 9112 9.3: what is left of the content is read, and the connection goes on."""
        client = self.kept_answer_and_then_a_reset(3 * len(CHUNK))
        client.send(CHUNK, CHUNK)
        self.assertEqual(client.get().body, b"next")

    def test_reset_after_a_kept_answer_and_a_client_that_stops(self):
        """No second answer follows the first: its connection ends when its time is over."""
        self.assertTrue(self.kept_answer_and_then_a_reset(50_000_000).gone())
