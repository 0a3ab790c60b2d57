"""Every deadline, set short: what the client sees, what the server sees, and that it is prompt."""

import select
import threading
import time

from harness import Case, OK, Truncated, response, seconds, wait_until

SHORT = "250ms"


class TimeoutCase(Case):

    def counted(self, weir, word, count=1):
        """So often, and nothing else has gone wrong."""
        self.assert_metric(weir, count, "weir_errors_total", reason=word)
        self.assert_metric(weir, count, "weir_errors_total")


class ClientTimeouts(TimeoutCase):

    def proxy(self, script=None, **timeouts):
        self.server = self.origin(script, cut_requests=True)
        return self.weir(self.server, listener=timeouts)

    def test_head_that_never_ends_gets_no_content(self):
        """HEAD has no content in its answer, whatever the answer is."""
        weir = self.proxy(client_head="300ms")
        client = self.client(weir)
        client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n")
        self.assertEqual(client.response("HEAD").status, 408)
        self.assertTrue(client.closed())
        self.counted(weir, "client_head_timeout")

    def test_head_that_does_not_come_to_its_end(self):
        """RFC 9110 15.5.9: 408 and close; nothing reaches a server."""
        weir = self.proxy(client_head=SHORT)
        client = self.client(weir)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
        answer = client.response()
        self.assertEqual((answer.status, answer.get("connection")), (408, "close"))
        self.assertTrue(client.closed())
        self.assertEqual(self.server.received(), b"")
        self.counted(weir, "client_head_timeout")

    def test_trickled_head(self):
        """The deadline counts from the first byte: a byte now and then does not move it."""
        weir = self.proxy(client_head=SHORT)
        client = self.client(weir)
        started = time.monotonic()
        try:
            for byte in b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: " + b"x" * 1_000:
                client.send(bytes([byte]))
                if not client.quiet(0.02):
                    break
        except ConnectionError:
            pass
        self.assertLess(time.monotonic() - started, seconds(5))
        self.assertEqual(client.response().status, 408)
        self.counted(weir, "client_head_timeout")

    def test_silent_connection(self):
        """Who never says anything is closed without a word; the shorter time counts."""
        for timeouts in ({"client_head": SHORT}, {"client_idle": SHORT},
                         {"client_head": SHORT, "client_idle": SHORT}):
            with self.subTest(timeouts=timeouts):
                weir = self.proxy(**timeouts)
                client = self.client(weir)
                self.assertEqual(client.rest(), b"")
                self.assert_metric(weir, 1, "weir_connection_closes_total", reason="idle_timeout")
                self.assert_metric(weir, 0, "weir_errors_total")

    def test_idle_connection(self):
        """Between two requests: an orderly close, no 408 that a next request could meet."""
        weir = self.proxy(client_idle=SHORT)
        client = self.client(weir)
        self.assertEqual(client.get().status, 200)
        self.assertTrue(client.closed())
        self.assert_metric(weir, 1, "weir_connection_closes_total", reason="idle_timeout")
        self.assert_metric(weir, 0, "weir_errors_total")

    def test_idle_counts_anew_after_each_request(self):
        weir = self.proxy(client_idle="600ms")
        client = self.client(weir)
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            self.assertEqual(client.get().status, 200)
            self.assertTrue(client.quiet(0.1))
        self.assertTrue(client.closed())

    def test_content_that_stalls(self):
        """The client gets 408 and a close; the server never sees a complete request."""
        for head in (b"Content-Length: 100\r\n\r\nabc",
                     b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"):
            with self.subTest(head=head):
                weir = self.proxy(client_body=SHORT)
                client = self.client(weir)
                client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + head)
                self.assertEqual(client.response().status, 408)
                self.assertTrue(client.closed())
                for connection in self.server.connections:
                    self.assertTrue(connection.done.wait(10))
                    self.assertTrue(connection.saw_cut or connection.saw_reset)
                self.counted(weir, "client_body_timeout")

    def test_content_that_makes_progress(self):
        """The deadline is about progress, not about the whole."""
        weir = self.proxy(client_body="600ms")
        client = self.client(weir)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 15\r\n\r\n")
        for _ in range(15):
            self.assertTrue(client.quiet(0.1))
            client.send(b"x")
        self.assertEqual(client.response().status, 200)

    def test_client_that_does_not_read_its_answer(self):
        """Its connection and the server's are given up, so nobody can pin memory for ever."""
        done = threading.Event()

        def script(connection):
            connection.request()
            try:
                connection.sock.settimeout(seconds(20))
                connection.send(response(b"x" * 100_000_000))
            finally:
                done.set()

        weir = self.proxy(script, client_body=SHORT)
        client = self.client(weir, receive_buffer=4_096)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertTrue(done.wait(seconds(10)), "the server's connection is still held")
        with self.assertRaises((Truncated, ConnectionError)):
            client.response()
        self.counted(weir, "client_write_timeout")


class ServerTimeouts(TimeoutCase):

    def test_no_answer(self):
        """RFC 9110 15.6.5: 504."""
        gone = threading.Event()

        def script(connection):
            connection.request()
            try:
                connection.wait_end()
            finally:
                gone.set()

        weir = self.weir(self.origin(script), backend={"response_head": SHORT})
        client = self.client(weir)
        answer = client.request("POST")
        self.assertEqual(answer.status, 504)
        self.assertRegex(answer.get("proxy-status"), "timeout")
        self.assertTrue(gone.wait(10), "the connection without an answer was kept")
        self.counted(weir, "response_timeout")

    def test_half_a_head(self):
        def script(connection):
            connection.request()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Le")
            connection.wait_end()

        weir = self.weir(self.origin(script), backend={"response_head": SHORT})
        self.assertEqual(self.client(weir).request("POST").status, 504)
        self.counted(weir, "response_timeout")

    def test_trickled_head(self):
        """The deadline is of the whole head: a byte now and then does not move it."""
        def script(connection):
            connection.request()
            connection.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            for _ in range(5_000):  # In all less than a head may have.
                connection.send(b"x")
                if select.select([connection.sock], [], [], 0.01)[0]:
                    break  # weir has given it up.
            connection.wait_end()

        weir = self.weir(self.origin(script), backend={"response_head": SHORT})
        self.assertEqual(self.client(weir).request("POST").status, 504)
        self.counted(weir, "response_timeout")

    def test_client_stays_in_step_after_504(self):
        def script(connection):
            while request := connection.request():
                if request.target == "/slow":
                    connection.wait_end()
                    return
                connection.send(OK)

        weir = self.weir(self.origin(script), backend={"response_head": SHORT})
        client = self.client(weir)
        for _ in range(2):
            answer = client.request("POST", "/slow")
            self.assertEqual(answer.status, 504)
            if (answer.get("connection") or "") == "close":
                client = self.client(weir)
            self.assertEqual(client.get().body, b"ok")
        self.counted(weir, "response_timeout", 2)

    def test_content_that_stalls(self):
        """In the middle of an answer only a cut says it: the client sees a truncated message."""
        for data in (b"Content-Length: 100\r\n\r\nabc",
                     b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"):
            def script(connection, data=data):
                connection.request()
                connection.send(b"HTTP/1.1 200 OK\r\n" + data)
                connection.wait_end()

            weir = self.weir(self.origin(script), backend={"response_body": SHORT})
            with self.assertRaises((Truncated, ConnectionError)):
                self.client(weir).get()
            self.counted(weir, "response_body_timeout")

    def test_content_that_makes_progress(self):
        def script(connection):
            connection.request()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n")
            for _ in range(15):
                connection.done.wait(0.1)
                connection.send(b"x")

        weir = self.weir(self.origin(script), backend={"response_body": "600ms"})
        self.assertEqual(self.client(weir).get().body, b"x" * 15)

    def test_idle_connection(self):
        """An unused connection to a server is closed after its time, in an orderly way."""
        server = self.origin()
        weir = self.weir(server, backend={"idle": SHORT})
        client = self.client(weir)
        self.assertEqual(client.get().status, 200)
        self.assertTrue(server.connections[0].done.wait(seconds(3)))
        self.assertTrue(server.connections[0].saw_end)
        self.assertEqual(client.get().status, 200)
        self.assertEqual(len(server.connections), 2)

    def test_connect(self):
        """No server whose queue moves: 504 after the connect timeout."""
        weir = self.weir(self.deaf_port(), backend={"connect": SHORT})
        started = time.monotonic()
        self.assertEqual(self.client(weir).get().status, 504)
        self.assertLess(time.monotonic() - started, seconds(4))
        self.counted(weir, "connect_timeout")

    def test_waiting_costs_nothing(self):
        """A hundred waiting requests and their timers do not keep a core busy."""
        gate = threading.Event()

        def script(connection):
            connection.request()
            gate.wait(seconds(20))
            connection.send(OK)

        server = self.origin(script)
        weir = self.weir(server)
        clients = [self.client(weir) for _ in range(100)]
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        server.wait_requests(100)
        self.assertLess(weir.cpu_share(0.5), 0.1)
        gate.set()
        for client in clients:
            self.assertEqual(client.response().body, b"ok")


class DuringTimeouts(TimeoutCase):

    def test_many_short_timeouts_together(self):
        """Two hundred heads run out in one moment; each gets its answer and its close."""
        weir = self.weir(self.origin(), listener={"client_head": SHORT})
        clients = [self.client(weir) for _ in range(200)]
        for client in clients:
            client.send(b"GET / HT")
        for client in clients:
            self.assertEqual(client.response().status, 408)
            self.assertTrue(client.closed())
            client.close()
        wait_until(lambda: weir.sockets() < 20, 5, "all descriptors to be closed")
        self.counted(weir, "client_head_timeout", 200)
