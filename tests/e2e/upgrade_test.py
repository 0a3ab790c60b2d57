"""What of an offer to switch protocols reaches a server, and what its answers come to when they are
no switch (RFC 9110 7.8). Switches are in websocket_tunnel_test."""

from harness import OK, answering, curl, response
from harness.relaying import RelayCase, offer, switched

class Offers(RelayCase):

    def setUp(self):
        super().setUp()
        self.server = self.origin()

    def offered(self, weir, protocols: str) -> str | None:
        """What the server sees of it."""
        self.client(weir).send(offer(protocols)).response()
        request = self.server.requests[-1]
        connection = request.get("connection")
        options = [] if connection is None else connection.lower().split(", ")
        self.assertEqual(request.has("upgrade"), "upgrade" in options)
        self.assertEqual(request.get("sec-websocket-version"), "13")
        return request.get("upgrade")

    def dropped(self) -> None:
        request = self.server.requests[-1]
        self.assertFalse(request.has("upgrade"))
        self.assertFalse(request.has("http2-settings"))
        self.assertNotIn("upgrade", (request.get("connection") or "").lower())

    def test_websocket_unless_said_otherwise(self):
        weir = self.weir(self.server)
        for sent, expected in (("websocket", "websocket"), ("WebSocket", "WebSocket"),
                               ("h2c, websocket, irc/6.9", "websocket"),
                               ("irc,,websocket ,\tx", "websocket"),
                               ("websocket, websocket", "websocket"), ("websockets", None),
                               ("web socket", None), ("h2c", None), ("TLS/1.0", None), ("", None)):
            with self.subTest(sent=sent):
                self.assertEqual(self.offered(weir, sent), expected)

    def test_allow_list(self):
        """A name is every version of it, a name with a version is this one."""
        weir = self.weir(self.server, routes=[{"backend": "app", "upgrade": ["irc/6.9", "chat"]}])
        for sent, expected in (("IRC/6.9, irc/7, chat/2, chat, websocket", "IRC/6.9, chat/2, chat"),
                               ("irc", None), ("irc/6.90", None), ("chat/", None),
                               ("Chat/x!y", "Chat/x!y"), ("websocket", None),
                               ("h2c, http/2", None)):
            with self.subTest(sent=sent):
                self.assertEqual(self.offered(weir, sent), expected)

    def test_nothing_allowed(self):
        weir = self.weir(self.server, routes=[{"backend": "app", "upgrade": []}])
        self.assertIsNone(self.offered(weir, "websocket"))

    def test_by_route(self):
        weir = self.weir(self.server, routes=[
            {"path": "/chat", "backend": "app", "upgrade": ["websocket"]},
            {"backend": "app", "upgrade": []}])
        for path, expected in (("/chat", "websocket"), ("/chats", None)):
            self.client(weir).send(offer(path=path)).response()
            self.assertEqual(self.server.requests[-1].get("upgrade"), expected)

    def test_several_fields(self):
        client = self.client(self.weir(self.server))
        client.get(fields="Connection: keep-alive\r\nUpgrade: x\r\nConnection: upgrade\r\n"
                          "Upgrade: websocket\r\nUpgrade: y, websocket\r\n")
        self.assertEqual(self.server.requests[-1].get("upgrade"), "websocket")

    def test_very_long_offer(self):
        """What fits of it, and the request is served in any case."""
        weir = self.weir(self.server, routes=[{"backend": "app", "upgrade": ["chat"]}])
        sent = ", ".join(f"chat/{number}" for number in range(500))
        self.assertTrue(sent.startswith(self.offered(weir, sent)))

    def test_without_the_option(self):
        """RFC 9110 7.8: it does not reach beyond this hop unless Connection names it."""
        self.client(self.weir(self.server)).get(fields="Upgrade: websocket\r\n")
        self.dropped()

    def test_option_without_an_offer(self):
        self.client(self.weir(self.server)).get(fields="Connection: upgrade\r\n")
        self.dropped()

    def test_http10(self):
        """There is no Upgrade in HTTP/1.0."""
        client = self.client(self.weir(self.server))
        client.send(b"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        self.assertEqual(client.response().status, 200)
        self.dropped()

    def test_with_a_body(self):
        """Served as if nobody had asked; the body is not taken for the other protocol."""
        weir = self.weir(self.server)
        client = self.client(weir)
        fields = "Connection: upgrade\r\nUpgrade: websocket\r\n"
        self.assertEqual(client.request("POST", "/", fields, b"content").status, 200)
        self.dropped()
        self.assertEqual(self.server.requests[-1].body, b"content")
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                    b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        self.assertEqual(client.response().status, 200)
        self.dropped()
        self.assertEqual(self.server.requests[-1].body, b"abc")

    def test_curl_http2(self):
        """curl offers h2c in HTTP/1.1 and gets its page in HTTP/1.1."""
        result = curl("--http2", "-w", "%{http_version} %{http_code}",
                      f"http://127.0.0.1:{self.plain(self.server).port}/")
        self.assertEqual(result.stdout, b"ok1.1 200")
        self.dropped()

    def test_http2_settings_that_connection_does_not_name(self):
        """RFC 9113 3.1: HTTP2-Settings means nothing behind this hop, named or not."""
        self.client(self.weir(self.server)).get(fields="HTTP2-Settings: AAMAAABkAAQ\r\n")
        self.dropped()

    def test_prior_knowledge_preface(self):
        """The HTTP/2 preface is a request of another major version: 505, or 400."""
        client = self.client(self.weir(self.server))
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        self.assertIn(client.response().status, (400, 505))
        self.assertTrue(client.closed())
        self.assertEqual(self.server.received(), b"")


class Declined(RelayCase):
    """The server answers, and does not switch: HTTP goes on."""

    def test_keep_alive_goes_on(self):
        answers = {"/200": OK, "/400": response(b"no", "400 Bad Request"),
                   "/426": response(b"", "426 Upgrade Required",
                                    "Upgrade: websocket\r\nConnection: upgrade\r\n"),
                   "/204": b"HTTP/1.1 204 No Content\r\n\r\n"}

        def script(connection):
            while request := connection.request():
                connection.send(answers[request.target])

        server = self.origin(script)
        weir = self.weir(server, access_log=self.file)
        client = self.client(weir)
        for path in answers:
            self.assertEqual(client.send(offer(path=path)).response().status, int(path[1:]))
            self.assertEqual(client.get("/200").body, b"ok")
        self.assertEqual(len(server.connections), 1)
        self.assert_metric(weir, 0, "weir_relays_total")
        self.assertEqual([line["status"] for line in self.lines(8)],
                         [200, 200, 400, 200, 426, 200, 204, 200])

    def test_upgrade_required(self):
        """RFC 9110 15.5.22: a 426 says to which protocols, whether weir would switch or not; what
        Connection says is weir's own."""
        server = self.origin(answering(response(
            b"", "426 Upgrade Required",
            "Upgrade: TLS/1.3\r\nConnection: Upgrade, X-Hop\r\nX-Hop: 1\r\n")))
        weir = self.weir(server)
        for fields, options in (("", "upgrade"), ("Connection: close\r\n", "upgrade, close")):
            with self.subTest(options=options):
                client = self.client(weir)
                answer = client.get(fields=fields)
                self.assertEqual((answer.status, answer.get("upgrade")), (426, "TLS/1.3"))
                self.assertEqual(answer.get("connection"), options)
                self.assertFalse(answer.has("x-hop"))
                if "close" in options:
                    self.assertTrue(client.closed())

    def test_large_answer(self):
        server = self.origin(lambda connection: (connection.request(),
                                                 connection.send(response(b"x" * 1_000_000))))
        client = self.client(self.weir(server)).send(offer())
        self.assertEqual(client.response().body, b"x" * 1_000_000)

    def test_answer_until_the_end(self):
        """Delimited by the server's close, it is a whole answer with an end of its own."""
        server = self.origin(lambda connection: (connection.request(), connection.send(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end")))
        client = self.client(self.weir(server))
        for _ in range(2):
            answer = client.send(offer()).response()
            self.assertEqual((answer.framing, answer.body), ("chunked", b"until the end"))

    def test_what_was_sent_for_the_tunnel(self):
        """Behind an answer that is no switch it is the next request, and not a valid one."""
        server = self.origin()
        client = self.client(self.weir(server)).send(offer() + b"\x81\x85\0\0\0\0hello")
        self.assertEqual(client.response().status, 200)
        self.assertEqual(client.response().status, 400)
        self.assertTrue(client.closed())
        self.assertNotIn(b"hello", server.received())

    def test_silence(self):
        """Until response_head_timeout, as any request."""
        server = self.origin(lambda connection: (connection.request(), connection.wait_end()))
        weir = self.weir(server, backend={"response_head": "200ms", "retry": {"enabled": False}})
        self.assertEqual(self.client(weir).send(offer()).response().status, 504)


class Untrue(RelayCase):
    """A 101 that nobody has asked for, or that is none. It never reaches the client."""

    def refused(self, answer: bytes, request: bytes, rule: str, **options) -> None:
        def script(connection):
            if connection.request().target == "/next":
                connection.send(OK)
            else:
                connection.send(answer)
                connection.wait_end()

        server = self.origin(script)
        self.file = self.path(f"{len(self.weirs)}.log")
        weir = self.weir(server, access_log=self.file, **options)
        client = self.client(weir).send(request)
        reply = client.response()
        self.assertEqual(reply.status, 502)
        self.assertIn("upstream_protocol", reply.get("proxy-status"))
        self.assertFalse(reply.has("upgrade"))
        line = self.line()
        self.assertEqual((line["error"], line["rule"]), ("upstream_protocol", rule))
        self.assert_metric(weir, 0, "weir_relays_total")
        self.ended(server.connections[0])  # Nobody else gets this connection.
        self.assertEqual(client.get("/next").body, b"ok")
        self.assertEqual(len(server.connections), 2)

    def test_not_asked_for(self):
        get = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        self.refused(switched() + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", get,
                     "unexpected_upgrade")
        self.refused(switched(), offer("chat"), "unexpected_upgrade")
        self.refused(switched(), offer(), "unexpected_upgrade",
                     routes=[{"backend": "app", "upgrade": []}])
        self.refused(switched(), get[:-2] + b"Upgrade: websocket\r\n\r\n", "unexpected_upgrade")

    def test_to_another_protocol(self):
        """Not to what was offered: not even to what the client had offered to weir."""
        for protocol in ("chat", "h2c", "websocket, h2c", "websocket/13"):
            self.refused(switched(protocol), offer("websocket, h2c"), "upgrade_not_offered")

    def test_incomplete(self):
        for answer in (b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
                       b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
                       b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n",
                       switched().replace(b"1.1", b"1.0", 1)):
            self.refused(answer, offer(), "bad_upgrade")

    def test_with_a_body(self):
        for fields in ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"):
            self.refused(switched(fields=fields) + b"hello", offer(), "upgrade_with_body")
