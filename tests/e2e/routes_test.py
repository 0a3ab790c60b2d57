"""Which backend a request goes to: the first route, in written order, whose parts all match."""

from harness import Case, answering, config, response

EXPECT = (b"POST / HTTP/1.1\r\nHost: x.test\r\nContent-Length: 5\r\n"
          b"Expect: 100-continue\r\n\r\n")


class Routes(Case):

    def proxy(self, routes, listeners=None, names="abcd"):
        """A weir with one scripted server for each of the backends `a`, `b`, ..."""
        backends = {}
        for name in names:
            server = self.origin(answering(response(name.encode())))
            backends[name] = {"servers": [server]}
        self.ports = {name: self.free_port() for name in (listeners or ["web"])}
        admin = self.free_port()
        text = config(
            listeners={name: {"bind": f"127.0.0.1:{port}"} for name, port in self.ports.items()},
            routes=routes, backends=backends, admin=f"127.0.0.1:{admin}")
        return self.run_config(text, list(self.ports.values()), admin_port=admin)

    def check(self, weir, table, port=None):
        client = self.client(port or weir.port)
        for method, host, path, expected in table:
            with self.subTest(method=method, host=host, path=path):
                answer = client.request(method, path, host=host)
                got = answer.body.decode() if answer.status == 200 else answer.status
                self.assertEqual(got, expected)
                if (answer.get("connection") or "").lower() == "close":
                    client = self.client(port or weir.port)

    def test_hosts(self):
        weir = self.proxy([{"host": "exact.test", "backend": "a"},
                           {"host": "*.wild.test", "backend": "b"},
                           {"host": ["one.test", "two.test"], "backend": "c"},
                           {"backend": "d"}])
        self.check(weir, [
            ("GET", "exact.test", "/", "a"), ("GET", "EXACT.Test", "/", "a"),
            ("GET", "exact.test:8080", "/", "a"), ("GET", "xexact.test", "/", "d"),
            ("GET", "exact.test.evil", "/", "d"), ("GET", "www.exact.test", "/", "d"),
            ("GET", "x.wild.test", "/", "b"), ("GET", "y.x.wild.test", "/", "b"),
            ("GET", "X.WILD.TEST:1", "/", "b"), ("GET", "wild.test", "/", "d"),
            ("GET", "xwild.test", "/", "d"), ("GET", "one.test", "/", "c"),
            ("GET", "two.test", "/", "c"), ("GET", "other.test", "/", "d"),
            ("GET", "[::1]:80", "/", "d")])

    def test_paths(self):
        """A prefix matches on segment borders; "=" in front means exactly this path."""
        weir = self.proxy([{"path": "=/only", "backend": "a"}, {"path": "/api", "backend": "b"},
                           {"path": "/dir/", "backend": "c"}, {"path": "/", "backend": "d"}])
        self.check(weir, [
            ("GET", "h", "/only", "a"), ("GET", "h", "/only?q=1", "a"), ("GET", "h", "/only/", "d"),
            ("GET", "h", "/onlyx", "d"), ("GET", "h", "/api", "b"), ("GET", "h", "/api/", "b"),
            ("GET", "h", "/api/v1?x", "b"), ("GET", "h", "/api?x=/dir/", "b"),
            ("GET", "h", "/apix", "d"), ("GET", "h", "/API", "d"), ("GET", "h", "/ap", "d"),
            ("GET", "h", "/api%2fv1", "d"), ("GET", "h", "/dir/x", "c"), ("GET", "h", "/dirx", "d"),
            ("GET", "h", "/", "d"), ("GET", "h", "/x?/api", "d")])

    def test_methods(self):
        weir = self.proxy([{"methods": ["POST", "PUT"], "backend": "a"},
                           {"methods": ["GET"], "path": "/x", "backend": "b"},
                           {"backend": "c"}])
        self.check(weir, [("POST", "h", "/", "a"), ("PUT", "h", "/x", "a"), ("GET", "h", "/x", "b"),
                          ("GET", "h", "/", "c"), ("DELETE", "h", "/x", "c"),
                          ("post", "h", "/x", "c"), ("PURGE", "h", "/x", "c")])

    def test_first_match_wins(self):
        weir = self.proxy([{"path": "/a", "backend": "a"}, {"path": "/a/b", "backend": "b"},
                           {"host": "h.test", "backend": "c"}, {"path": "/", "backend": "d"}])
        self.check(weir, [("GET", "h.test", "/a/b", "a"), ("GET", "h.test", "/c", "c"),
                          ("GET", "x.test", "/c", "d")])

    def test_all_parts_must_match(self):
        weir = self.proxy([{"host": "h.test", "path": "/a", "methods": ["GET"], "backend": "a"},
                           {"host": "h.test", "path": "/a", "backend": "b"},
                           {"host": "h.test", "backend": "c"}, {"backend": "d"}])
        self.check(weir, [("GET", "h.test", "/a", "a"), ("PUT", "h.test", "/a", "b"),
                          ("GET", "h.test", "/b", "c"), ("GET", "x.test", "/a", "d")])

    def test_listeners(self):
        weir = self.proxy([{"listener": "one", "backend": "a"},
                           {"listener": ["one", "two"], "backend": "b"},
                           {"backend": "c"}], ["one", "two", "three"])
        for name, expected in (("one", "a"), ("two", "b"), ("three", "c")):
            self.check(weir, [("GET", "h", "/", expected)], self.ports[name])

    def test_no_route(self):
        """404 with the usual page; the connection goes on."""
        weir = self.proxy([{"host": "h.test", "backend": "a"}], names="a")
        client = self.client(weir)
        for _ in range(3):
            answer = client.get("/", host="x.test")
            self.assertEqual(answer.status, 404)
            self.assertTrue(answer.has("proxy-status"))
            self.assertEqual(client.get("/", host="h.test").body, b"a")
        answer = client.request("POST", "/", body=b"x" * 50, host="x.test")
        self.assertEqual(answer.status, 404)

    def test_no_route_for_a_client_that_waits_for_100(self):
        """RFC 9110 10.1.1: whether its content still comes is open, so the page says close."""
        weir = self.proxy([{"host": "h.test", "backend": "a"}], names="a")
        client = self.client(weir)
        answer = client.send(EXPECT).response()
        self.assertEqual((answer.status, answer.get("connection")), (404, "close"))
        self.assertEqual(answer.interim, [])
        self.assertTrue(client.closed())

    def test_absolute_form_routes_by_its_authority(self):
        """RFC 9112 3.2.2: the authority of the target counts, not Host."""
        weir = self.proxy([{"host": "h.test", "path": "/p", "backend": "a"}, {"backend": "b"}])
        client = self.client(weir)
        client.send(b"GET http://h.test:99/p/x HTTP/1.1\r\nHost: other\r\n\r\n")
        self.assertEqual(client.response().body, b"a")
        client.send(b"GET http://other/p HTTP/1.1\r\nHost: h.test\r\n\r\n")
        self.assertEqual(client.response().body, b"b")

    def test_http_1_0_without_host(self):
        weir = self.proxy([{"host": "h.test", "backend": "a"}, {"backend": "b"}])
        client = self.client(weir)
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        self.assertEqual(client.response().body, b"b")

    def test_options_asterisk(self):
        weir = self.proxy([{"path": "/api", "backend": "a"}, {"backend": "b"}])
        client = self.client(weir)
        client.send(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertEqual(client.response().body, b"b")
