"""Methods, versions, targets and Host as the server sees them."""

from harness import Case


class RequestTarget(Case):

    def setUp(self):
        super().setUp()
        self.server = self.origin()
        self.proxy = self.plain(self.server)

    def forwarded(self, data):
        """The request the server got for these bytes."""
        before = len(self.server.requests)
        client = self.client(self.proxy)
        answer = client.send(data).response(data.split(b" ")[0].decode("latin-1"))
        self.assertEqual(answer.status, 200, data)
        client.close()
        self.assertEqual(len(self.server.requests), before + 1)
        return self.server.requests[-1]

    def test_methods_pass_unchanged(self):
        """RFC 9110 9.1: methods are case-sensitive tokens; unknown ones are forwarded."""
        for method in ("GET", "get", "Get", "PURGE", "PROPFIND", "M-SEARCH", "X!#$%&'*+.^_`|~",
                       "OPTIONS", "TRACE", "QUERY"):
            request = self.forwarded(f"{method} /m HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            self.assertEqual(request.method, method)

    def test_targets_pass_unchanged(self):
        """RFC 9110 7.7: path and query are not decoded, re-encoded or normalised."""
        for target in ("/", "//", "/a//b", "/./a/../b", "/%2e%2e/%00", "/%zz", "/a;b=c?d=e&f",
                       "/?", "/??", "/a?b?c", "/a=b,c:d@e!$'()*+", "/[]{}|^`\"<>\\",
                       "/a?u=http://b/c", "/http://x/", "/%41%61", "/a?%0d%0a"):
            request = self.forwarded(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode("latin-1"))
            self.assertEqual(request.target, target)

    def test_bytes_above_ascii(self):
        """RFC 9112 3.2: no such byte belongs into a target; refused or passed, never changed."""
        client = self.client(self.proxy)
        answer = client.send(b"GET /\xe4\xf6 HTTP/1.1\r\nHost: a\r\n\r\n").response()
        if answer.status == 200:
            self.assertEqual(self.server.requests[-1].target, "/\xe4\xf6")
        else:
            self.assertEqual(answer.status, 400)

    def test_fragments(self):
        """RFC 9112 3.2: a fragment is no part of a target; refused or passed, never cut off."""
        client = self.client(self.proxy)
        answer = client.send(b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n").response()
        if answer.status == 200:
            self.assertEqual(self.server.requests[-1].target, "/a#b")
        else:
            self.assertEqual(answer.status, 400)

    def test_absolute_form(self):
        """RFC 9112 3.2.2: its authority replaces Host; origin-form is sent on."""
        for target, host, forwarded in (
                ("http://b.test/p?q", "b.test", "/p?q"), ("http://b.test:81/", "b.test:81", "/"),
                ("http://b.test", "b.test", "/"), ("http://b.test?q", "b.test", "/?q"),
                ("HTTP://B.test/x", "B.test", "/x"), ("http://[::1]:8/x", "[::1]:8", "/x")):
            request = self.forwarded(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            self.assertEqual(request.get("host").lower(), host.lower())
            self.assertEqual(request.target, forwarded)

    def test_https_without_tls(self):
        """RFC 9110 7.4: 421, unless a trusted gateway asks, which has ended TLS."""
        for trusted, status in (("127.0.0.1", 200), ("10.0.0.0/8", 421)):
            server = self.origin()
            weir = self.weir(server, listener={"trusted_proxies": trusted})
            for line in (b"GET https://b.test/x", b"GET HTTPS://b.test", b"OPTIONS https://b.test"):
                answer = self.client(weir).send(line + b" HTTP/1.1\r\nHost: a\r\n\r\n").response()
                self.assertEqual(answer.status, status)
            self.assertEqual(len(server.requests), 3 if status == 200 else 0)
        self.assertIn(b"https_without_tls", answer.body)
        self.assert_metric(weir, 3, "weir_errors_total", reason="https_without_tls")

    def test_options_asterisk(self):
        """RFC 9112 3.2.4: "*" only with OPTIONS."""
        self.assertEqual(self.forwarded(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").target, "*")
        request = self.forwarded(b"OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual((request.target, request.get("host")), ("*", "b"))
        request = self.forwarded(b"OPTIONS /x HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(request.target, "/x")

    def test_connect_is_refused(self):
        """RFC 9110 9.3.6, 9112 3.2.3: this is no forward proxy."""
        for target in (b"a.test:443", b"127.0.0.1:22", b"[::1]:22"):
            client = self.client(self.proxy)
            client.send(b"CONNECT " + target + b" HTTP/1.1\r\nHost: " + target + b"\r\n\r\n"
                        b"GET /tunnelled HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertEqual(client.response("CONNECT").status, 405)
            self.assertTrue(client.closed())
        self.assertEqual(self.server.received(), b"")

    def test_versions(self):
        """RFC 9110 2.5, 9112 2.3: 1.x is treated as 1.1 or 1.0; our own version is always sent."""
        for version in ("1.0", "1.1", "1.2", "1.9"):
            request = self.forwarded(f"GET / HTTP/{version}\r\nHost: a\r\n"
                                     "Connection: close\r\n\r\n".encode())
            self.assertEqual(request.version, "HTTP/1.1")

    def test_other_major_versions(self):
        """RFC 9110 15.6.6: 505 for a major version that is not spoken."""
        for version in ("2.0", "3.0", "0.9", "9.9", "0.0"):
            client = self.client(self.proxy)
            client.send(f"GET / HTTP/{version}\r\nHost: a\r\n\r\n".encode())
            self.assertEqual(client.response().status, 505, version)
            self.assertTrue(client.closed())
        self.assertEqual(self.server.received(), b"")

    def test_valid_hosts(self):
        """RFC 9110 7.2: uri-host and an optional port pass as they are."""
        for host in ("a", "A.Test", "a.test:8080", "127.0.0.1", "127.0.0.1:80", "[::1]",
                     "[2001:db8::1]:8080", "a-b_c.test", "xn--bcher-kva.test", "a.test.", "a:",
                     "a%41b"):
            request = self.forwarded(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            self.assertEqual(request.get("host"), host)

    def test_host_is_trimmed(self):
        request = self.forwarded(b"GET / HTTP/1.1\r\nHost:\t a.test \t\r\n\r\n")
        self.assertEqual(request.get("host"), "a.test")

    def test_http_1_0_without_host(self):
        """RFC 9112 3.2: what is sent on is HTTP/1.1, so it has exactly one Host."""
        request = self.forwarded(b"GET /old HTTP/1.0\r\n\r\n")
        self.assertEqual(len(request.all("host")), 1)

    def test_http_1_0_absolute_form(self):
        request = self.forwarded(b"GET http://b.test/x HTTP/1.0\r\n\r\n")
        self.assertEqual((request.get("host"), request.target), ("b.test", "/x"))
