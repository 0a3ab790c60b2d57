"""1xx answers: relayed to HTTP/1.1 clients in order, kept from HTTP/1.0 clients, never invented."""

import threading
import time

from harness import Case, OK, response, seconds, wait_until

EXPECT = (b"POST /e HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
          b"Expect: 100-continue\r\n\r\n")


class Continue(Case):

    def test_relayed(self):
        """RFC 9110 10.1.1: the client waits for the server's 100, then sends the content."""
        seen = []

        def script(connection):
            while request := connection.head():
                seen.append(request.get("expect"))
                connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                connection.body(request)
                connection.send(response(request.body))

        client = self.client(self.plain(self.origin(script)))
        for _ in range(3):
            client.send(EXPECT)
            self.assertEqual(client.head().status, 100)
            client.send(b"hello")
            self.assertEqual(client.response().body, b"hello")
        self.assertEqual([value.lower() for value in seen], ["100-continue"] * 3)

    def test_chunked_content(self):
        def script(connection):
            while request := connection.head():
                connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                connection.body(request)
                connection.send(response(request.body))

        client = self.client(self.plain(self.origin(script)))
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                    b"Expect: 100-Continue\r\n\r\n")
        self.assertEqual(client.head().status, 100)
        client.send(b"3\r\nabc\r\n0\r\n\r\n")
        self.assertEqual(client.response().body, b"abc")

    def test_client_that_does_not_wait(self):
        """RFC 9110 10.1.1: it may send the content at once; a late 100 does no harm."""
        def script(connection):
            while request := connection.request():
                connection.send(b"HTTP/1.1 100 Continue\r\n\r\n", response(request.body))

        client = self.client(self.plain(self.origin(script)))
        for _ in range(3):
            client.send(EXPECT + b"hello")
            self.assertEqual(client.response().body, b"hello")

    def test_final_answer_instead(self):
        """RFC 9110 10.1.1: announced content is never a new request, whether it comes or not."""
        for close in ("", "Connection: close\r\n"):
            with self.subTest(close=close):
                server = self.origin(lambda connection, close=close: (
                    connection.head(),
                    connection.send(response(b"no", "417 Expectation Failed", close))))
                client = self.client(self.plain(server))
                evil = b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"
                client.send(b"POST /e HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                            b"Content-Length: %d\r\n\r\n" % len(evil))
                answer = client.response()
                self.assertEqual((answer.status, answer.body), (417, b"no"))
                try:
                    client.send(evil)
                    client.rest()
                except (ConnectionError, AssertionError):
                    pass
                self.assertNotIn(b"/evil ", b"".join(
                    request.raw_head for request in server.requests))

    def test_final_answer_instead_ends_the_connection(self):
        """RFC 9110 10.1.1: a client that keeps its content to itself after the answer meets the
        close it was told of; neither side waits for the other."""
        for status in ("417 Expectation Failed", "200 OK"):
            with self.subTest(status=status):
                server = self.origin(lambda connection, status=status: (
                    connection.head(), connection.send(response(b"no", status)),
                    connection.wait_end()))
                weir = self.weir(server)
                client = self.client(weir, timeout=seconds(3))
                client.send(EXPECT)
                answer = client.response()
                self.assertEqual((answer.status, answer.get("connection"), answer.body),
                                 (int(status[:3]), "close", b"no"))
                self.assertTrue(client.closed())
                wait_until(lambda weir=weir: not weir.metric("weir_listener_connections_active"),
                           3, "the client's connection to be gone")

    def test_next_request_after_a_refused_one(self):
        """RFC 9112 9.3: the content is read to its end, or the connection is closed."""
        server = self.origin(lambda connection: (
            connection.head(), connection.send(response(b"no", "413 Too Large"))))
        proxy = self.plain(server)
        client = self.client(proxy)
        client.send(EXPECT)
        answer = client.response()
        self.assertEqual(answer.status, 413)
        try:
            client.send(b"hello")
            if (answer.get("connection") or "").lower() != "close":
                self.assertEqual(client.get().status, 413)
            else:
                self.assertTrue(client.gone())
        except ConnectionError:
            pass

    def test_http_1_0_client(self):
        """RFC 9110 10.1.1, 15.2: an expectation in HTTP/1.0 is ignored; it never gets a 1xx."""
        def script(connection):
            while request := connection.head():
                if request.has("expect"):
                    connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
                connection.body(request)
                connection.send(response(request.body))

        client = self.client(self.plain(self.origin(script)))
        client.send(EXPECT.replace(b"HTTP/1.1", b"HTTP/1.0") + b"hello")
        answer = client.response()
        self.assertEqual((answer.status, answer.body, answer.interim), (200, b"hello", []))

    def test_server_that_ignores_the_expectation(self):
        """The content still flows when the client stops waiting."""
        server = self.origin(lambda connection: (
            connection.send(response(connection.request().body))))
        client = self.client(self.plain(server))
        client.send(EXPECT)
        server.wait_requests(1)
        client.send(b"hello")
        self.assertEqual(client.response().body, b"hello")


class OtherInterim(Case):

    INTERIM = (b"HTTP/1.1 102 Processing\r\n\r\n"
               b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\nLink: </b>\r\n\r\n"
               b"HTTP/1.1 103 Early Hints\r\nLink: </c>\r\n\r\n")

    def test_several_before_the_final_answer(self):
        """RFC 9110 15.2: any number may come, each is relayed with its fields."""
        gate = threading.Event()

        def script(connection):
            while connection.request():
                connection.send(self.INTERIM)
                gate.wait(seconds(10))
                connection.send(OK)

        client = self.client(self.plain(self.origin(script)))
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        heads = [client.head() for _ in range(3)]  # Relayed at once, not with the final answer.
        gate.set()
        self.assertEqual([head.status for head in heads], [102, 103, 103])
        self.assertEqual(heads[1].all("link"), ["</a>; rel=preload", "</b>"])
        self.assertEqual(heads[2].all("link"), ["</c>"])
        self.assertEqual(client.response().body, b"ok")
        self.assertEqual([answer.status for answer in client.get().interim], [102, 103, 103])

    def test_ten_thousand(self):
        """RFC 9110 15.2: no number is too large; none is lost and none overtakes another."""
        hints = [f"</{number}>" for number in range(10_000)]
        flood = "".join(f"HTTP/1.1 103 Early Hints\r\nLink: {hint}\r\n\r\n" for hint in hints)

        def script(connection):
            while connection.request():
                connection.send(flood.encode() + OK)

        client = self.client(self.plain(self.origin(script)))
        for _ in range(2):
            answer = client.get()
            self.assertEqual(answer.body, b"ok")
            self.assertEqual([item.get("link") for item in answer.interim], hints)

    def test_in_one_segment_and_cut_at_every_byte(self):
        whole = self.INTERIM + OK

        def script(connection):
            while request := connection.request():
                cut = int(request.target[1:])
                connection.send(whole[:cut], whole[cut:])

        client = self.client(self.plain(self.origin(script)))
        for cut in range(1, len(whole)):
            answer = client.get(f"/{cut}")
            self.assertEqual(([item.status for item in answer.interim], answer.body),
                             ([102, 103, 103], b"ok"), cut)

    def test_none_to_http_1_0_clients(self):
        """RFC 9110 15.2: a 1xx answer is never sent to an HTTP/1.0 client."""
        def script(connection):
            while connection.request():
                connection.send(self.INTERIM + OK)

        client = self.client(self.plain(self.origin(script)))
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        answer = client.response()
        self.assertEqual((answer.status, answer.body, answer.interim), (200, b"ok", []))

    def test_framing_fields_of_interim_answers(self):
        """RFC 9110 8.6: a 1xx has no Content-Length; one that is there is not relayed."""
        def script(connection):
            while connection.request():
                connection.send(b"HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n"
                                b"Connection: x-a\r\nX-A: b\r\nLink: </a>\r\n\r\n" + OK)

        client = self.client(self.plain(self.origin(script)))
        for _ in range(2):
            answer = client.get()  # The reader refuses a framing field in a 1xx.
            self.assertEqual(answer.status, 200)
            self.assertFalse(answer.interim[0].has("x-a"))

    def test_unwanted_101(self):
        """RFC 9110 15.2.2: a 101 nobody asked for is a bad gateway."""
        server = self.origin(lambda connection: (
            connection.request(), connection.send(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
                b"raw bytes"), connection.wait_end()))
        for fields in ("", "Upgrade: websocket\r\nConnection: upgrade\r\n"):
            client = self.client(self.plain(server))
            answer = client.get(fields=fields)
            self.assertEqual(answer.status, 502)
            self.assertNotIn(b"raw bytes", answer.body)

    def test_endless_interim_answers(self):
        """A server that sends 1xx for ever does not hold weir's memory; the client may leave."""
        stop = threading.Event()

        def script(connection):
            connection.request()
            while not stop.is_set():
                connection.send(self.INTERIM * 100)

        proxy = self.plain(self.origin(script))
        client = self.client(proxy)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        try:
            for _ in range(3_000):
                if client.head().status >= 200:
                    break
        except AssertionError:
            pass  # weir may give up on such a server.
        stop.set()
        client.reset()
        self.assertTrue(proxy.running())


class Deadline(Case):
    """A 1xx is no answer (RFC 9110 15.2): `response_head_timeout` runs on, however many come."""

    HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

    def proxy(self, send_hints):
        """Its server answers only what is asked for at /next; all others get hints."""
        def script(connection):
            while request := connection.request():
                if request.target != "/next":
                    send_hints(connection)
                    connection.wait_end()
                    return
                connection.send(OK)

        self.server = self.origin(script)
        return self.weir(self.server, backend={"response_head": "250ms"})

    def timed_out(self, weir, answer):
        self.assertEqual(answer.status, 504)
        self.assertIn("response_timeout", answer.get("proxy-status"))
        self.assert_metric(weir, 1, "weir_errors_total", reason="response_timeout")
        self.assert_metric(weir, 1, "weir_errors_total")
        self.assertTrue(self.server.connections[0].done.wait(seconds(10)), "the server is kept")

    def test_each_hint_on_the_heels_of_the_last(self):
        """The server sends one as soon as the client has the one before: it is never silent, and
        were each of them a new beginning, there would be no end."""
        seen, over = threading.Semaphore(1), threading.Event()

        def send_hints(connection):
            while seen.acquire(timeout=seconds(10)) and not over.is_set():
                connection.send(self.HINT)

        weir = self.proxy(send_hints)
        client = self.client(weir)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        end = time.monotonic() + seconds(10)
        try:
            while (head := client.head()).status == 103:
                self.assertLess(time.monotonic(), end, "the hints put the deadline off")
                seen.release()
        finally:
            over.set()
            seen.release()
        client.body(head)
        self.timed_out(weir, head)
        self.assertEqual(client.get("/next").body, b"ok")  # The client stays in step.

    def test_flood_that_the_client_never_sees(self):
        """For an HTTP/1.0 client they are dropped as fast as they come."""
        def send_hints(connection):
            while True:
                connection.send(self.HINT * 100)

        weir = self.proxy(send_hints)
        client = self.client(weir)
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        answer = client.response()
        self.assertEqual(answer.interim, [])
        self.timed_out(weir, answer)
