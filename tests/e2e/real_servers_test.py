"""In front of the servers people really have: nginx, Python's http.server, Node; with curl, wrk."""

import hashlib
import json
import random
import threading

from harness import Case, curl, seconds, wrk


class Nginx(Case):

    def test_load_over_two(self):
        """20,000 requests over 64 connections: no error, both used, connections reused."""
        first, second = self.nginx(name="first"), self.nginx(name="second")
        weir = self.plain(first, second, workers=2)
        load = wrk(f"http://127.0.0.1:{weir.port}/name", 20_000)
        self.assertEqual(load.failures, [])
        for server in (first, second):
            uses = server.uses()
            self.assertGreater(sum(uses.values()), 8_000)
            self.assertLess(len(uses), 400, "a new connection for nearly every request")
            self.assertGreater(max(uses.values()), 50)

    def test_files_are_byte_identical(self):
        server = self.nginx()
        source = random.Random(5)
        weir = self.plain(server, workers=2)
        for size in (0, 1, 1_000, 65_536, 3_000_000, 20_000_000):
            data = source.randbytes(size)
            server.write(f"file{size}", data)
            got = curl(f"http://127.0.0.1:{weir.port}/file{size}").stdout
            self.assertEqual(hashlib.sha256(got).digest(), hashlib.sha256(data).digest(), size)

    def test_ranges_and_conditions(self):
        server = self.nginx()
        server.write("f", b"0123456789")
        weir = self.plain(server)
        url = f"http://127.0.0.1:{weir.port}/f"
        self.assertEqual(curl("-r", "2-4", url).stdout, b"234")
        etag = self.client(weir).get("/f").get("etag")
        answer = self.client(weir).get("/f", f"If-None-Match: {etag}\r\n")
        self.assertEqual(answer.status, 304)
        self.assertEqual(curl("-I", url).stdout.split()[1], b"200")
        self.assertEqual(self.client(weir).get("/none").status, 404)


class PythonHttpServer(Case):

    def test_a_thousand_requests_over_eight_connections(self):
        """HTTP/1.0, a connection for each request, a backlog of five: still no error."""
        servers = [self.python_server() for _ in range(2)]
        weir = self.plain(*servers, workers=2)
        bad = []

        def run():
            client = self.client(weir, timeout=seconds(30))
            for _ in range(125):
                answer = client.get("/file")
                if (answer.status, answer.body) != (200, b"from python\n"):
                    bad.append((answer.status, answer.body))

        threads = [threading.Thread(target=run, daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(seconds(60))
            self.assertFalse(thread.is_alive(), "a client still waits")
        self.assertEqual(bad, [])

    def test_directory_listing(self):
        weir = self.plain(self.python_server())
        self.assertIn(b"Directory listing", curl(f"http://127.0.0.1:{weir.port}/").stdout)


class Node(Case):

    def setUp(self):
        super().setUp()
        self.proxy = self.plain(self.node())
        self.url = f"http://127.0.0.1:{self.proxy.port}"

    def test_echo_with_curl(self):
        """Content-Length and chunked uploads, answered in chunks."""
        data = random.Random(1).randbytes(2_000_000)
        path = self.path("upload")
        with open(path, "wb") as file:
            file.write(data)
        for options in (["-T", path], ["-T", "-", "-H", "Transfer-Encoding: chunked"],
                        ["--data-binary", f"@{path}"],
                        ["--data-binary", f"@{path}", "-H", "Expect: 100-continue"],
                        ["--data-binary", f"@{path}", "-0"]):
            if options[:2] == ["-T", "-"]:
                options[1] = path
            self.assertEqual(curl(*options, f"{self.url}/echo").stdout, data, options)

    def test_trailers(self):
        """RFC 9110 6.5: trailers pass in both directions."""
        client = self.client(self.proxy)
        client.send(b"POST /trailers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
                    b"Trailer: X-In\r\nTE: trailers\r\n\r\n3\r\nabc\r\n0\r\nX-In: in\r\n\r\n")
        answer = client.response()
        self.assertEqual((answer.body, answer.trailers), (b"body", [("X-Sum", "3:in")]))

    def test_early_hints(self):
        answer = self.client(self.proxy).get("/hints")
        self.assertEqual(answer.body, b"hinted")
        self.assertEqual([head.status for head in answer.interim], [103])
        self.assertTrue(answer.interim[0].get("link").startswith("</a.css>"))

    def test_expect_continue(self):
        client = self.client(self.proxy)
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
                    b"Expect: 100-continue\r\n\r\n")
        self.assertEqual(client.head().status, 100)
        client.send(b"abc")
        self.assertEqual(client.response().body, b"abc")

    def test_what_node_sees(self):
        seen = json.loads(self.client(self.proxy).get("/fields?x", "X-A: b\r\n").body)
        self.assertEqual((seen["method"], seen["url"], seen["version"]),
                         ("GET", "/fields?x", "1.1"))
        self.assertIn("X-A", seen["raw"])

    def test_connection_is_reused(self):
        client = self.client(self.proxy)
        self.assertEqual(len({client.get().body for _ in range(20)}), 1)


class Curl(Case):

    def test_usual_ways(self):
        weir = self.plain(self.origin())
        url = f"http://127.0.0.1:{weir.port}/"
        for options in ([], ["-0"], ["--http1.1"], ["--http2"], ["--compressed"],
                        ["-X", "DELETE"], ["-d", "a=b"], ["-F", "a=b"]):
            self.assertEqual(curl(*options, url).stdout, b"ok", options)
        self.assertEqual(curl(url, url, url).stdout, b"ok" * 3)
