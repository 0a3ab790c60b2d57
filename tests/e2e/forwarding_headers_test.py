"""X-Forwarded-*, Forwarded and Via: what servers may believe about the client."""

from harness import Case

CLAIMS = ("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n"
          "Forwarded: for=6.6.6.6;host=evil\r\n")


class ForwardingHeaders(Case):

    def seen(self, fields="", host="site.test:81", forwarded=None):
        server = self.origin()
        listener = forwarded or {}
        weir = self.weir(server, listener=listener)
        answer = self.client(weir).get("/", fields, host)
        self.assertEqual(answer.status, 200)
        return server.requests[-1], answer

    def test_set_by_default(self):
        request, _ = self.seen()
        self.assertEqual(request.get("x-forwarded-for"), "127.0.0.1")
        self.assertEqual(request.get("x-forwarded-proto"), "http")
        self.assertEqual(request.get("x-forwarded-host"), "site.test:81")
        self.assertFalse(request.has("forwarded") or request.has("via"))

    def test_claims_of_strangers_are_dropped(self):
        request, _ = self.seen(CLAIMS + "x-forwarded-FOR: 7.7.7.7\r\nX-Real-IP: 6.6.6.6\r\n")
        self.assertEqual(request.get("x-forwarded-for"), "127.0.0.1")
        self.assertEqual(request.get("x-forwarded-proto"), "http")
        self.assertEqual(request.get("x-forwarded-host"), "site.test:81")
        self.assertNotIn(b"6.6.6.6", request.raw_head)
        self.assertNotIn(b"evil", request.raw_head)

    def test_claims_of_trusted_proxies_are_kept(self):
        """A trusted proxy's list is appended to; its words about scheme and host stay."""
        for networks in (["127.0.0.1"], ["10.0.0.0/8", "127.0.0.0/8"]):
            request, _ = self.seen(CLAIMS, forwarded={"trusted_proxies": networks})
            chain = ", ".join(request.all("x-forwarded-for"))
            self.assertEqual(chain.replace(" ", ""), "6.6.6.6,127.0.0.1")
            self.assertEqual(request.get("x-forwarded-proto"), "https")
            self.assertEqual(request.get("x-forwarded-host"), "evil")

    def test_trust_does_not_spread(self):
        request, _ = self.seen(CLAIMS, forwarded={"trusted_proxies": ["10.0.0.0/8"]})
        self.assertEqual(request.get("x-forwarded-for"), "127.0.0.1")

    def test_off(self):
        request, _ = self.seen(forwarded={"x_forwarded": False})
        for name in ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"):
            self.assertFalse(request.has(name))

    def test_forwarded(self):
        """RFC 7239: one element for this hop."""
        request, _ = self.seen("Forwarded: for=6.6.6.6\r\n", forwarded={"forwarded": True})
        value = request.get("forwarded").lower()
        self.assertIn("for=127.0.0.1", value)
        self.assertIn("proto=http", value)
        self.assertIn('host="site.test:81"', value)
        self.assertNotIn("6.6.6.6", value)
        self.assertNotIn(",", value)

    def test_forwarded_of_a_trusted_proxy(self):
        request, _ = self.seen("Forwarded: for=6.6.6.6\r\n", forwarded={
            "forwarded": True, "trusted_proxies": ["127.0.0.1"]})
        chain = ", ".join(request.all("forwarded")).lower().replace(" ", "")
        self.assertTrue(chain.startswith("for=6.6.6.6,"), chain)
        self.assertIn("for=127.0.0.1", chain)

    def test_via(self):
        """RFC 9110 7.6.3: a list; ours is appended, with the version that was received."""
        request, answer = self.seen("Via: 1.0 other\r\n", forwarded={"via": True})
        chain = ", ".join(request.all("via"))
        self.assertRegex(chain, r"^1\.0 other, 1\.1 \S+$")
        self.assertRegex(", ".join(answer.all("via")), r"^1\.1 \S+$")
