"""A route's mirror: another backend gets a copy of the requests, and the client never notices."""

from harness import Case, OK, answering, response, wait_until


def told(origin):
    """What an origin was sent, in the order of the targets: copies may overtake each other."""
    return sorted((request.target, request.method, request.body, request.fields)
                  for request in origin.requests)


class Mirroring(Case):

    def mirrored(self, server, shadow, mirror="shadow", **shadow_keys):
        return self.weir(backends={"app": {"servers": [server]},
                                   "shadow": {"servers": [shadow], **shadow_keys}},
                         routes=[{"backend": "app", "mirror": mirror}])

    def test_every_request_arrives_twice(self):
        server, shadow = self.origin(), self.origin(answering(response(b"other", "404 Not Found")))
        client = self.client(self.mirrored(server, shadow))
        for number, (method, body) in enumerate([("GET", b""), ("HEAD", b""), ("POST", b"abc"),
                                                 ("PUT", b"x" * 10_000), ("DELETE", b"")]):
            answer = client.request(method, f"/{number}?q", body=body)
            self.assertEqual(answer.body, b"" if method == "HEAD" else b"ok")
        wait_until(lambda: told(shadow) == told(server), what="the same five requests")

    def test_a_body_that_comes_late(self):
        server, shadow = self.origin(), self.origin()
        client = self.client(self.mirrored(server, shadow))
        client.send(b"POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n")
        wait_until(lambda: server.requests, what="the head at the server")
        self.assertEqual(shadow.requests, [])
        client.send(b"abc")
        client.send(b"def")
        self.assertEqual(client.response().body, b"ok")
        wait_until(lambda: shadow.requests and shadow.requests[0].body == b"abcdef",
                   what="the copy")

    def test_a_body_too_large_to_be_held_goes_to_the_server_only(self):
        server, shadow = self.origin(), self.origin()
        client = self.client(self.mirrored(server, shadow))
        self.assertEqual(client.request("POST", "/large", body=b"x" * 100_000).status, 200)
        self.assertEqual(client.get("/small").status, 200)
        wait_until(lambda: shadow.requests, what="the small one")
        self.assertEqual([request.target for request in shadow.requests], ["/small"])
        self.assertEqual(len(server.requests[0].body), 100_000)

    def test_mirrors_that_are_dead_deaf_or_silent(self):
        silent = self.origin(lambda connection: connection.request() and connection.wait_end())
        for shadow in (self.free_port(), self.deaf_port(), silent):
            with self.subTest(shadow=shadow):
                client = self.client(self.mirrored(self.origin(), shadow))
                for _ in range(100):  # More than may be under way.
                    self.assertEqual(client.get("/").body, b"ok")

    def test_a_mirror_that_breaks_off(self):
        def script(connection):
            connection.request()
            connection.send(OK[:20]).reset()

        client = self.client(self.mirrored(self.origin(), self.origin(script)))
        for _ in range(20):
            self.assertEqual(client.get("/").body, b"ok")

    def test_none_of_the_requests(self):
        shadow = self.origin()
        weir = self.mirrored(self.origin(), shadow, {"backend": "shadow", "percent": 0})
        client = self.client(weir)
        for _ in range(50):
            self.assertEqual(client.get("/").status, 200)
        self.assertEqual(shadow.requests, [])

    def test_copies_do_not_hold_up_the_end(self):
        """The shutdown grace is 30 seconds; a silent mirror uses none of it."""
        silent = self.origin(lambda connection: connection.request() and connection.wait_end())
        weir = self.mirrored(self.origin(), silent)
        self.assertEqual(self.client(weir).get("/").status, 200)
        wait_until(lambda: silent.requests, what="the copy")
        weir.terminate()
