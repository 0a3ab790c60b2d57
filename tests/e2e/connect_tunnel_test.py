"""CONNECT: off unless a route names the target; then a tunnel to a server of its backend."""

import threading

from harness import config, wait_until
from harness.failure import ms
from harness.proxy_header import read_header
from harness.relaying import RelayCase, echo, noise, swallow

TARGETS = ["db.example:5432", "[2001:db8:0:0::1]:22", "10.0.0.1:25", "[::ffff:10.0.0.2]:25"]


def connect(target: str = "db.example:5432", fields: str = "", host: str | None = None) -> bytes:
    host = target if host is None else host
    return f"CONNECT {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n".encode()


class ConnectCase(RelayCase):

    def proxy(self, *servers, route: dict | None = None, **options):
        """CONNECT to TARGETS goes to backend `app`, requests to backend `site`."""
        self.site = self.origin()
        backend = {"balance": "first", **options.pop("backend", {})}
        return self.weir(backends={"app": {"servers": list(servers), **backend},
                                   "site": {"servers": [self.site]}},
                         routes=[{"connect": TARGETS, "backend": "app", **(route or {})},
                                 {"backend": "site"}], access_log=self.file, **options)

    def tunnel(self, weir, target: str = "db.example:5432", **options):
        client = self.client(weir, **options).send(connect(target))
        self.accepted(client)
        return client

    def accepted(self, client) -> None:
        """RFC 9110 9.3.6: 2xx, and nothing that speaks of content."""
        answer = client.head()
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.names() & {"content-length", "transfer-encoding", "connection"},
                         set())

    def refused(self, weir, request: bytes, status: int, word: str):
        """And what follows on the connection is nobody's request."""
        client = self.client(weir).send(request)
        answer = client.response()
        self.assertEqual(answer.status, status)
        self.assertIn(word, answer.get("proxy-status"))
        self.assertTrue(client.gone())
        return answer


class Allowed(ConnectCase):

    def test_bytes_both_ways(self):
        server = self.origin(echo)
        client = self.tunnel(self.proxy(server))
        for data in (b"\0", b"GET / HTTP/1.1\r\n\r\n", noise(300_000)):
            client.send(data)
            self.assertEqual(client.reader.exact(len(data)), data)
        client.half_close()
        self.assertTrue(client.closed())
        self.assertEqual(server.received(), b"\0GET / HTTP/1.1\r\n\r\n" + noise(300_000))

    def test_targets(self):
        """Compared without case, or a dot at the end; the port is part of it."""
        server = self.origin(echo)
        weir = self.proxy(server)
        for target in ("db.example:5432", "DB.Example:5432", "db.example.:5432",
                       "[2001:db8::1]:22", "[2001:DB8:0:0::1]:22", "10.0.0.1:25",
                       "[::ffff:10.0.0.2]:25", "[::FFFF:a00:2]:25"):
            with self.subTest(target=target):
                self.tunnel(weir, target).close()
        for target in ("db.example:5433", "db.example:543", "x.db.example:5432", "10.0.0.1:26",
                       "[2001:db8::2]:22", "2001.db8.1:22", "[::ffff:10.0.0.1]:25", "10.0.0.2:25"):
            with self.subTest(target=target):
                self.refused(weir, connect(target), 405, "connect_not_allowed")
        self.assertEqual(len(server.wait_connections(8)), 8)
        self.assertEqual(self.site.connections, [])

    def test_several_backends(self):
        """Which target leads where is in the file; the name itself is never resolved."""
        first, second = (self.origin(lambda connection, name=name: connection.send(name))
                         for name in (b"one", b"two"))
        weir = self.weir(backends={"a": {"servers": [first]}, "b": {"servers": [second]}}, routes=[
            {"connect": "one.invalid:1", "backend": "a"},
            {"connect": ["two.invalid:2", "two.invalid:3"], "backend": "b"}])
        for target, name in (("one.invalid:1", b"one"), ("two.invalid:3", b"two"),
                             ("two.invalid:2", b"two")):
            self.assertEqual(self.tunnel(weir, target).rest(), name)

    def test_early_bytes(self):
        """In one segment with the head, before there is an answer, and more than weir holds."""
        for size in (1, 5_000, 400_000):
            client = self.client(self.proxy(self.origin(echo)))
            sender = threading.Thread(target=client.send, args=(connect() + noise(size),))
            sender.start()
            self.accepted(client)
            self.assertEqual(client.reader.exact(size), noise(size))
            sender.join()

    def test_server_speaks_first(self):
        """Before the client says a word, or hears that it is connected."""
        server = self.origin(lambda connection: (connection.send(b"220 ready\r\n"),
                                                 echo(connection)))
        client = self.tunnel(self.proxy(server))
        self.assertEqual(client.reader.until(b"\n"), b"220 ready\r\n")

    def test_a_fresh_connection_each_time(self):
        """Never one that a request has used, and none is kept."""
        server = self.origin()
        weir = self.weir(server, routes=[{"connect": "a.example:1", "backend": "app"},
                                         {"backend": "app"}])
        client = self.client(weir)
        self.assertEqual(client.get().status, 200)
        client.send(connect("a.example:1"))
        self.accepted(client)
        self.assertEqual(client.get("/through").body, b"ok")
        server.wait_connections(2)
        self.assertEqual([len(connection.requests) for connection in server.connections], [1, 1])
        client.half_close()
        self.assertTrue(client.closed())
        self.assertEqual(self.client(weir).get().status, 200)
        self.assertEqual(len(server.connections), 2)

    def test_pipelined_behind_a_request(self):
        client = self.client(self.proxy(self.origin(echo)))
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + connect() + b"early")
        self.assertEqual(client.response().body, b"ok")
        self.accepted(client)
        self.assertEqual(client.reader.exact(5), b"early")

    def test_send_proxy(self):
        """The server of a tunnel is told who the client is, ahead of its first byte."""
        server = self.origin(lambda connection: (setattr(connection, "header",
                                                         read_header(connection.reader)),
                                                 echo(connection)))
        client = self.client(self.proxy(server, backend={"send_proxy": 1})).send(connect() + b"x")
        self.accepted(client)
        self.assertEqual(client.reader.exact(1), b"x")
        self.assertEqual(server.connections[0].header.source, ("127.0.0.1", client.local_port))

    def test_http10(self):
        client = self.client(self.proxy(self.origin(echo)))
        client.send(b"CONNECT db.example:5432 HTTP/1.0\r\n\r\nx")
        self.assertEqual(client.head().status, 200)
        self.assertEqual(client.reader.exact(1), b"x")

    def test_content_length_zero(self):
        """No content is no content."""
        client = self.client(self.proxy(self.origin(echo)))
        client.send(connect(fields="Content-Length: 0\r\n") + b"x")
        self.accepted(client)
        self.assertEqual(client.reader.exact(1), b"x")

    def test_upgrade_means_nothing(self):
        client = self.client(self.proxy(self.origin(echo)))
        client.send(connect(fields="Connection: upgrade\r\nUpgrade: websocket\r\n") + b"x")
        self.accepted(client)
        self.assertEqual(client.reader.exact(1), b"x")


class Refused(ConnectCase):

    def test_off_by_default(self):
        server = self.origin()
        weir = self.weir(server)
        answer = self.refused(weir, connect("127.0.0.1:80"), 405, "connect_not_allowed")
        self.assertTrue(answer.has("allow"))
        self.assertEqual(server.connections, [])

    def test_what_follows_is_no_request(self):
        """A client that did not wait has sent for its tunnel: it must not be read as HTTP."""
        server = self.origin()
        weir = self.weir(server)
        self.refused(weir, connect("x.example:80") + b"GET /inner HTTP/1.1\r\nHost: a\r\n\r\n", 405,
                     "connect_not_allowed")
        self.assertEqual(server.connections, [])

    def test_not_a_target(self):
        server = self.origin(echo)
        weir = self.proxy(server)
        for target in ("/", "*", "db.example", "db.example:", ":5432", "http://db.example:5432/",
                       "db.example:5432/", "u@db.example:5432", "db.example:x", "2001:db8::1:22",
                       "db.example:65536"):
            with self.subTest(target=target):
                client = self.client(weir).send(connect(target, host="a"))
                self.assertIn(client.response().status, (400, 405))
                self.assertTrue(client.gone())
        self.assertEqual(server.connections + self.site.connections, [])

    def test_with_a_body(self):
        """Nobody knows whether it is the tunnel's or not."""
        server = self.origin(echo)
        weir = self.proxy(server)
        for fields, body in (("Content-Length: 5\r\n", b"hello"),
                             ("Transfer-Encoding: chunked\r\n", b"0\r\n\r\n")):
            with self.subTest(fields=fields):
                self.refused(weir, connect(fields=fields) + body, 400, "connect_with_body")
        self.assertEqual(server.connections, [])

    def test_other_methods_on_its_route(self):
        """It takes CONNECT and nothing else, whatever host a request names."""
        server = self.origin(echo)
        weir = self.proxy(server)
        client = self.client(weir)
        self.assertEqual(client.get(host="db.example:5432").body, b"ok")
        self.assertEqual(client.request("OPTIONS", host="db.example:5432").status, 200)
        self.assertEqual((len(server.connections), len(self.site.connections)), (0, 1))

    def test_rate_limit(self):
        port, admin = self.free_port(), self.free_port()
        server = self.origin(echo)
        text = config(port, [server], admin=f"127.0.0.1:{admin}",
                      routes=[{"connect": TARGETS, "backend": "app", "limits": ["few"]}])
        weir = self.run_config(text + '\n[limit.few]\nrate = "2/h"\n', [port], admin_port=admin)
        for _ in range(2):
            self.tunnel(weir).close()
        answer = self.refused(weir, connect(), 429, "rate_limited")
        self.assertTrue(answer.has("retry-after"))
        self.assertEqual(len(server.wait_connections(2)), 2)


class Servers(ConnectCase):

    def test_refuses(self):
        """503 in place of the 200, never behind one."""
        self.refused(self.proxy(self.free_port()), connect() + b"early", 503, "connect_refused")
        line = self.line()
        self.assertEqual((line["status"], line["error"]), (503, "connect_refused"))

    def test_silent(self):
        weir = self.proxy(self.deaf_port(), backend={"connect": ms(200)})
        self.refused(weir, connect(), 504, "connect_timeout")

    def test_the_next_one(self):
        server = self.origin(echo)
        client = self.client(self.proxy(self.free_port(), server)).send(connect() + b"early")
        self.accepted(client)
        self.assertEqual(client.reader.exact(5), b"early")
        self.assertEqual(server.received(), b"early")
        client.close()
        self.assertEqual(self.line()["attempts"], 2)

    def test_queue(self):
        weir = self.proxy(self.origin(echo), backend={
            "server_limit": 1, "queue": {"timeout": "60s", "target": "0s"}})
        first = self.tunnel(weir)
        second = self.client(weir).send(connect() + b"early")
        name = "weir_backend_queue_length"
        wait_until(lambda: weir.metric(name, backend="app") == 1, 10, "one waits")
        first.close()
        self.accepted(second)
        self.assertEqual(second.reader.exact(5), b"early")

    def test_closes_at_once(self):
        """It did accept: the client has its 200, then the end."""
        client = self.tunnel(self.proxy(self.origin(lambda connection: connection.half_close()
                                                    or swallow(connection))))
        self.assertTrue(client.closed())

    def test_resets(self):
        def breaking(connection):
            connection.reader.exact(1)
            connection.send(b"almost")
            connection.reset()

        client = self.tunnel(self.proxy(self.origin(breaking))).send(b"x")
        self.assertEqual(self.was_reset(client), b"almost")
        line = self.line()
        self.assertEqual((line["status"], line["error"]), (200, "upstream_reset"))

    def test_client_resets(self):
        server = self.origin(swallow)
        client = self.tunnel(self.proxy(server)).send(b"x")
        wait_until(lambda: server.received() == b"x", 10, "the byte")
        client.reset()
        self.ended(server.connections[0])
        self.assertTrue(server.connections[0].saw_reset)

    def test_half_close(self):
        server = self.origin(lambda connection: connection.send(connection.wait_end()[::-1]))
        client = self.tunnel(self.proxy(server)).send(b"abc").half_close()
        self.assertEqual(client.rest(), b"cba")


class Told(ConnectCase):

    def test_log(self):
        server = self.origin(echo)
        weir = self.proxy(server)
        client = self.client(weir).send(connect(fields="User-Agent: probe\r\n") + b"hello")
        self.accepted(client)
        self.assertEqual(client.reader.exact(5), b"hello")
        client.half_close()
        self.assertTrue(client.closed())
        line = self.line()
        self.assertEqual((line["method"], line["host"], line["status"], line["ua"]),
                         ("CONNECT", "db.example", 200, "probe"))
        self.assertEqual((line["rx"], line["tx"], line["attempts"]), (5, 5, 1))
        self.assertEqual((line["backend"], line["server"]), ("app", server.address))
        self.assertNotIn("error", line)
        self.assert_metric(weir, 1, "weir_http_requests_total", code="2xx")
        self.assert_metric(weir, 1, "weir_relays_total")

    def test_log_of_a_refusal(self):
        self.refused(self.proxy(self.origin(echo)), connect("evil.example:25"), 405,
                     "connect_not_allowed")
        line = self.line()
        self.assertEqual((line["method"], line["host"], line["error"], line["attempts"]),
                         ("CONNECT", "evil.example", "connect_not_allowed", 0))
        self.assertNotIn("server", line)

    def test_idle_timeout(self):
        server = self.origin(echo)
        client = self.tunnel(self.proxy(server, listener={"tunnel_idle_timeout": ms(200)}))
        self.assertEqual(self.was_reset(client), b"")
        self.ended(server.connections[0])
        self.assertEqual(self.line()["error"], "tunnel_idle_timeout")

    def test_reload(self):
        """A target that is struck off the list: no new tunnel, the open one stays."""
        weir = self.proxy(self.origin(echo))
        client = self.tunnel(weir)
        options = {**weir.options, "routes": [{"connect": TARGETS[1:], "backend": "app"},
                                              {"backend": "site"}]}
        weir.write_config(config(**options))
        weir.reload()
        wait_until(lambda: weir.metric("weir_config_generation") == 2, 10, "the reload")
        self.refused(weir, connect(), 405, "connect_not_allowed")
        client.send(b"still")
        self.assertEqual(client.reader.exact(5), b"still")
