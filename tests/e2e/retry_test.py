"""When a request is tried again, and when it must not be (RFC 9110 9.2.2)."""

from harness import Case, OK, answering, response, wait_until

GET = b"GET /r HTTP/1.1\r\nHost: a\r\n\r\n"


def closes_after(requests, end="close"):
    """Answers that many requests of a connection, reads one more and ends without a byte."""

    def script(connection):
        for _ in range(requests):
            if not connection.request():
                return
            connection.send(OK)
        if connection.request():
            getattr(connection, end)()

    return script


class NothingSent(Case):
    """Connect failed: any other server, for every method."""

    def test_refused_connections(self):
        dead = self.free_port()
        server = self.origin()
        client = self.client(self.plain(dead, server))
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "X-OWN"):
            for _ in range(4):
                self.assertEqual(client.request(method, body=b"abc").body, b"ok")
        self.assertEqual(len(server.requests), 24)

    def test_many_dead_servers(self):
        server = self.origin()
        client = self.client(self.plain(self.free_port(), self.free_port(), self.free_port(),
                                        server))
        for _ in range(10):
            self.assertEqual(client.request("POST", body=b"abc").status, 200)

    def test_missing_unix_socket(self):
        server = self.origin()
        client = self.client(self.plain(f"unix:{self.path('none.sock')}", server))
        for _ in range(4):
            self.assertEqual(client.request("POST", body=b"x").status, 200)

    def test_large_body_of_a_request_that_was_never_sent(self):
        """The content is still with the client, so another server can have it."""
        server = self.origin()
        client = self.client(self.plain(self.free_port(), server))
        for _ in range(4):
            self.assertEqual(client.request("POST", body=b"x" * 500_000).status, 200)
            self.assertEqual(len(server.requests[-1].body), 500_000)

    def test_connect_that_never_completes(self):
        """A server whose queue is full does not answer a SYN: the connect timeout, then another."""
        server = self.origin()
        client = self.client(self.weir(self.deaf_port(), server, backend={
            "balance": "round_robin", "connect": "200ms"}))
        for _ in range(3):
            self.assertEqual(client.request("POST", body=b"x").body, b"ok")


class ReusedConnection(Case):
    """Closed before any answer byte: a fresh connection, if that is safe."""

    def test_idempotent_requests(self):
        for end in ("close", "reset"):
            for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"):
                with self.subTest(method=method, end=end):
                    server = self.origin(closes_after(1, end))
                    client = self.client(self.plain(server))
                    for _ in range(6):
                        self.assertEqual(client.request(method, "/r").status, 200)

    def test_post_is_never_sent_twice(self):
        """RFC 9110 9.2.2: the server may have acted on it: 502, and it saw the request once."""
        for method in ("POST", "PATCH", "X-OWN"):
            with self.subTest(method=method):
                server = self.origin(closes_after(1))
                client = self.client(self.plain(server))
                self.assertEqual(client.get("/first").status, 200)
                self.assertEqual(client.request(method, "/once", body=b"abc").status, 502)
                self.assertEqual([request.target for request in server.requests].count("/once"), 1)
                self.assertEqual(client.get("/after").status, 200)

    def test_partial_answer(self):
        """RFC 9110 9.2.2: once a byte of an answer came, nothing is sent again."""

        def script(connection):
            connection.request()
            connection.send(OK)
            connection.request()
            connection.send(b"HTTP/1.1 20")

        server = self.origin(script)
        client = self.client(self.plain(server))
        self.assertEqual(client.get("/1").status, 200)
        self.assertEqual(client.get("/2").status, 502)
        self.assertEqual([request.target for request in server.requests], ["/1", "/2"])

    def test_interim_answer_counts_as_an_answer(self):
        def script(connection):
            connection.request()
            connection.send(OK)
            connection.request()
            connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")

        server = self.origin(script)
        client = self.client(self.plain(server))
        self.assertEqual(client.get("/1").status, 200)
        answer = client.get("/2")
        self.assertEqual(answer.status, 502)
        self.assertEqual([request.target for request in server.requests], ["/1", "/2"])


class FreshConnection(Case):

    def test_idempotent_goes_to_another_server(self):
        """Held in full, no answer byte: another server may have it."""
        for method, body in (("GET", b""), ("PUT", b"small"), ("DELETE", b"")):
            with self.subTest(method=method):
                bad, good = self.origin(closes_after(0)), self.origin()
                client = self.client(self.plain(bad, good))
                for _ in range(4):
                    answer = client.request(method, "/r", body=body)
                    self.assertEqual((answer.status, answer.body), (200, b"ok"))
                self.assertGreater(len(bad.requests), 0)
                self.assertTrue(all(request.body == body for request in good.requests))

    def test_post_stays_with_its_server(self):
        bad, good = self.origin(closes_after(0)), self.origin()
        client = self.client(self.plain(bad, good))
        statuses = [client.request("POST", f"/{number}", body=b"abc").status
                    for number in range(6)]
        self.assertEqual(set(statuses), {200, 502})
        targets = [request.target for request in bad.requests + good.requests]
        self.assertEqual(sorted(targets), sorted(set(targets)), "a POST was sent twice")

    def test_bounded(self):
        """A request that kills every server it meets does not go round for ever."""
        servers = [self.origin(closes_after(0)) for _ in range(4)]
        client = self.client(self.plain(*servers))
        self.assertIn(client.get("/deadly").status, (502, 500, 503))
        attempts = sum(len(server.requests) for server in servers)
        self.assertLessEqual(attempts, 8)
        self.assertGreaterEqual(attempts, 1)

    def test_single_server_that_closes(self):
        server = self.origin(closes_after(0))
        client = self.client(self.plain(server))
        answer = client.get()
        self.assertEqual(answer.status, 502)
        self.assertLessEqual(len(server.requests), 4)
        self.assertTrue(answer.has("proxy-status"))

    def test_large_content_is_not_held(self):
        """What is not held in full cannot be replayed: 502, and no other server gets a part."""

        def script(connection):
            request = connection.head()
            count = [0]

            def sink(data):
                count[0] += len(data)
                if count[0] > 1_000_000:
                    raise ConnectionError

            connection.body(request, sink)

        bad, good = self.origin(script), self.origin()
        weir = self.plain(bad, good)
        for _ in range(4):
            client = self.client(weir)
            try:
                client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 8000000\r\n\r\n",
                            *[b"x" * 1_000_000] * 8)
            except ConnectionError:
                pass
            try:
                self.assertIn(client.response().status, (200, 502))
            except ConnectionError:
                pass  # The refusal raced with the rest of the upload.
        for request in good.requests:
            self.assertEqual(len(request.body), 8_000_000)


def silent(connection):
    """Takes requests and says nothing."""
    while connection.request():
        pass


class SilentServer(Case):
    """No answer byte within response_head_timeout: another server may have what is idempotent and
    held in full, once; whatever else was sent may have been done."""

    def proxy(self, *servers):
        return self.weir(*servers, backend={"balance": "round_robin", "response_head": "300ms"})

    def counts(self, *servers):
        return sorted(len(server.requests) for server in servers)

    def test_idempotent_goes_to_another_server(self):
        for method, body in (("GET", b""), ("PUT", b"small"), ("DELETE", b"")):
            with self.subTest(method=method):
                bad, good = self.origin(silent), self.origin()
                client = self.client(self.proxy(bad, good))
                for number in range(4):
                    answer = client.request(method, f"/{number}", body=body)
                    self.assertEqual((answer.status, answer.body), (200, b"ok"))
                self.assertGreater(len(bad.requests), 0)
                self.assertEqual([(request.target, request.body) for request in good.requests],
                                 [(f"/{number}", body) for number in range(4)])

    def test_others_stay_with_their_server(self):
        """RFC 9110 9.2.2: a server that is slow to answer a POST may still do what it asks."""
        for method in ("POST", "PATCH", "X-OWN"):
            with self.subTest(method=method):
                bad, good = self.origin(silent), self.origin()
                client = self.client(self.proxy(bad, good))
                statuses = [client.request(method, f"/{number}", body=b"abc").status
                            for number in range(4)]
                self.assertEqual(set(statuses), {200, 504})
                targets = [request.target for request in bad.requests + good.requests]
                self.assertEqual(sorted(targets), [f"/{number}" for number in range(4)])

    def test_single_server(self):
        """It is not asked twice, neither on a new connection nor on a kept one."""
        for kept in (0, 1):
            for method in ("GET", "POST"):
                with self.subTest(kept=kept, method=method):
                    server = self.origin(lambda connection, kept=kept: (
                        kept and connection.request() and connection.send(OK),
                        silent(connection)))
                    client = self.client(self.proxy(server))
                    if kept:
                        self.assertEqual(client.get("/first").status, 200)
                    answer = client.request(method, "/silent")
                    self.assertEqual(answer.status, 504)
                    self.assertRegex(answer.get("proxy-status"), "timeout")
                    self.assertEqual([request.target for request in server.requests],
                                     ["/first", "/silent"][1 - kept:])

    def test_once(self):
        """Each try costs the client a whole timeout: after the second there is no third."""
        servers = [self.origin(silent) for _ in range(4)]
        self.assertEqual(self.client(self.proxy(*servers)).get().status, 504)
        self.assertEqual(self.counts(*servers), [0, 0, 1, 1])

    def test_answer_that_has_begun(self):
        """RFC 9110 9.2.2: a server that said something is at work; half a head is no silence."""
        for begun in (b"HTTP/1.1 20", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"):
            with self.subTest(begun=begun):
                servers = [self.origin(lambda connection, begun=begun: (
                    connection.request(), connection.send(begun), connection.wait_end()))
                    for _ in range(2)]
                self.assertEqual(self.client(self.proxy(*servers)).get().status, 504)
                self.assertEqual(self.counts(*servers), [0, 1])


class Counted(Case):
    """weir_backend_retries_total counts what was sent again, not what might have been."""

    def counters(self, weir):
        return tuple(weir.metric("weir_backend_retries_total", reason=reason)
                     for reason in ("other_server", "fresh_connection", "budgeted"))

    def test_single_server(self):
        """There is nobody else to ask: nothing is counted, and the budget for it is not touched."""
        closing, dead = self.origin(closes_after(0)), self.free_port()
        for server, status in ((closing, 502), (dead, 503)):
            weir = self.weir(server)
            client = self.client(weir)
            for _ in range(400):  # More than the budget has.
                self.assertEqual(client.get().status, status)
            self.assertEqual(self.counters(weir), (0, 0, 0))
            self.assert_metric(weir, 0, "weir_retry_budget_exhausted_total")
        self.assertEqual(len(closing.requests), 400)

    def test_other_server(self):
        server = self.origin()
        weir = self.weir(self.free_port(), server, backend={"balance": "round_robin"})
        client = self.client(weir)
        for _ in range(4):
            self.assertEqual(client.request("POST", body=b"abc").status, 200)
        refused = weir.metric("weir_server_connect_failures_total")
        self.assertGreater(refused, 0)
        self.assertEqual(self.counters(weir), (refused, 0, 0))

    def test_budgeted(self):
        bad, good = self.origin(closes_after(0)), self.origin()
        weir = self.weir(bad, good, backend={"balance": "round_robin"})
        client = self.client(weir)
        for _ in range(4):
            self.assertEqual(client.get().status, 200)
        self.assertGreater(len(bad.requests), 0)
        self.assertEqual(self.counters(weir), (0, 0, len(bad.requests)))

    def test_budget_runs_out(self):
        """Two servers that both break: a request is sent twice until the budget is used up."""
        servers = [self.origin(closes_after(0)) for _ in range(2)]
        weir = self.weir(*servers)
        client = self.client(weir)
        asked = refused = 0
        while not refused and asked < 5_000:
            for _ in range(100):
                self.assertEqual(client.get().status, 502)
            asked += 100
            refused = weir.metric("weir_retry_budget_exhausted_total")
        self.assertGreater(refused, 0)
        self.assertEqual(self.counters(weir), (0, 0, asked - refused))
        self.assertEqual(sum(len(server.requests) for server in servers), 2 * asked - refused)

    def test_fresh_connection(self):
        """The server keeps a connection for one request: every second one finds it closed."""
        server = self.origin(closes_after(1))
        weir = self.weir(server)
        client = self.client(weir)
        for _ in range(3):
            self.assertEqual(client.get().status, 200)
        self.assertEqual(self.counters(weir), (0, len(server.requests) - 3, 0))
        self.assertEqual(len(server.requests), 5)


class AllTogether(Case):

    def test_load_on_a_server_that_closes_whenever_it_likes(self):
        """Servers end connections after a few answers; no client of GET sees an error."""

        def script(connection):
            for _ in range(1 + connection.index % 5):
                if not connection.request():
                    return
                connection.send(response(b"fine"))

        weir = self.plain(self.origin(script), self.origin(script), workers=2)
        client = self.client(weir)
        for number in range(500):
            self.assertEqual(client.get(f"/{number}").body, b"fine")

    def test_server_comes_back(self):
        """A server that refused is used again once it is there."""
        server = self.origin()
        other = self.origin(answering(response(b"other")))
        server.stop_listening()
        weir = self.plain(server, other)
        client = self.client(weir)
        for _ in range(4):
            self.assertEqual(client.get().body, b"other")
        server.listen()
        wait_until(lambda: client.get().body == b"ok", 30, "the server to be used again")
