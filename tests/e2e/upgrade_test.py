"""Upgrades are not tunnelled: the offer is dropped and the request is served (RFC 9110 7.8)."""

from harness import Case, curl


class Upgrade(Case):

    def setUp(self):
        super().setUp()
        self.server = self.origin()
        self.proxy = self.plain(self.server)

    def check(self):
        request = self.server.requests[-1]
        self.assertFalse(request.has("upgrade"))
        self.assertFalse(request.has("http2-settings"))
        self.assertNotIn("upgrade", (request.get("connection") or "").lower())

    def test_curl_http2(self):
        """curl offers h2c in HTTP/1.1 and gets its page in HTTP/1.1."""
        result = curl("--http2", "-w", "%{http_version} %{http_code}",
                      f"http://127.0.0.1:{self.proxy.port}/")
        self.assertEqual(result.stdout, b"ok1.1 200")
        self.check()

    def test_http2_settings_that_connection_does_not_name(self):
        """RFC 9113 3.1: HTTP2-Settings means nothing behind this hop, named or not."""
        self.client(self.proxy).get(fields="HTTP2-Settings: AAMAAABkAAQ\r\n")
        self.check()

    def test_websocket_offer(self):
        answer = self.client(self.proxy).get(
            fields="Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
                   "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n")
        self.assertEqual((answer.status, answer.body), (200, b"ok"))
        self.check()

    def test_upgrade_without_connection(self):
        self.client(self.proxy).get(fields="Upgrade: h2c\r\n")
        self.check()

    def test_prior_knowledge_preface(self):
        """The HTTP/2 preface is a request of another major version: 505, or 400."""
        server_bytes = len(self.server.received())
        client = self.client(self.proxy)
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        self.assertIn(client.response().status, (400, 505))
        self.assertTrue(client.closed())
        self.assertEqual(len(self.server.received()), server_bytes)
