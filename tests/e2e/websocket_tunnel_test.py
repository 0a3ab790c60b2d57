"""Tunnels behind a 101: from its first byte on weir adds, drops and understands nothing."""

import hashlib
import threading

from harness import config, response, seconds, wait_until
from harness.relaying import RelayCase, echo, noise, offer, switched

SWITCH = switched(fields="Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-Any: 1\r\n")


def switching(then=echo, answer: bytes = SWITCH):
    """A script that switches at an offer and answers everything else."""
    def script(connection):
        while request := connection.request():
            if request.has("upgrade"):
                connection.send(answer)
                return then(connection)
            connection.send(response(request.target.encode()))

    return script


class TunnelCase(RelayCase):

    def proxy(self, *servers, **options):
        return self.weir(*servers, access_log=self.file, **options)

    def tunnel(self, weir, **options):
        """A client that has got its 101."""
        client = self.client(weir, **options).send(offer("websocket"))
        self.assertEqual(client.head().status, 101)
        return client

    def echoes(self, client, data: bytes) -> None:
        client.send(data)
        self.assertEqual(client.reader.exact(len(data)), data)


class Bytes(TunnelCase):

    def test_the_101(self):
        """The server's own, complete; and nothing about lengths or persistence."""
        server = self.origin(switching())
        client = self.client(self.proxy(server)).send(offer())
        answer = client.head()
        self.assertEqual((answer.status, answer.reason), (101, "Switching Protocols"))
        self.assertEqual(answer.get("upgrade"), "websocket")
        self.assertEqual(answer.get("connection").lower(), "upgrade")
        self.assertEqual(answer.get("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        self.assertEqual(answer.get("x-any"), "1")
        self.assertEqual(answer.names() & {"content-length", "transfer-encoding", "keep-alive"},
                         set())
        self.echoes(client, b"\x81\x05hello")

    def test_fields_of_one_hop(self):
        """What Connection names goes no further, in either direction; the switch itself does."""
        fields = "X-Hop: 1\r\nConnection: close, X-Hop\r\nKeep-Alive: timeout=5\r\nX-End: 2\r\n"
        server = self.origin(switching(answer=switched(fields=fields)))
        client = self.client(self.proxy(server))
        client.send(offer().replace(b"Connection: Upgrade",
                                    b"X-Own: 1\r\nConnection: close, Upgrade, X-Own"))
        answer = client.head()
        self.assertEqual(answer.names(), {"upgrade", "connection", "x-end"})
        self.assertEqual(answer.get("connection").lower(), "upgrade")
        request = server.requests[0]
        self.assertEqual((request.get("connection"), request.has("x-own")), ("upgrade", False))
        self.echoes(client, b"x")

    def test_other_methods(self):
        """POST without content, and HEAD, whose 101 is followed by bytes all the same."""
        for method, fields in (("POST", "Content-Length: 0\r\n"), ("HEAD", ""), ("PROPFIND", "")):
            with self.subTest(method=method):
                client = self.client(self.proxy(self.origin(switching())))
                head = offer().replace(b"GET", method.encode()).replace(
                    b"Host: a\r\n", b"Host: a\r\n" + fields.encode())
                client.send(head + b"early")
                self.assertEqual(client.head().status, 101)
                self.assertEqual(client.reader.exact(5), b"early")

    def test_no_copy_for_a_mirror(self):
        mirror = self.origin()
        weir = self.weir(backends={"app": {"servers": [self.origin(switching())]},
                                   "shadow": {"servers": [mirror]}},
                         routes=[{"backend": "app", "mirror": "shadow"}])
        self.echoes(self.tunnel(weir), b"x")
        self.assert_metric(weir, 0, "weir_mirrored_requests_total")
        self.assertEqual(mirror.connections, [])

    def test_anything_passes(self):
        """Frames, HTTP, zeros: nobody looks."""
        client = self.tunnel(self.proxy(self.origin(switching())))
        for data in (b"\0", b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 101 x\r\n\r\n", noise(200_000),
                     b"0\r\n\r\n"):
            self.echoes(client, data)

    def test_the_clients_early_bytes(self):
        """Sent with the request, before anybody knows what the server says to it."""
        for size in (1, 100, 12_000, 300_000):
            server = self.origin(switching())
            client = self.client(self.proxy(server))
            data = noise(size)
            sender = threading.Thread(target=client.send, args=(offer() + data,))
            sender.start()
            self.assertEqual(client.head().status, 101)
            self.assertEqual(client.reader.exact(size), data)
            sender.join()

    def test_the_servers_early_bytes(self):
        """In one segment with the 101."""
        for size in (1, 100, 12_000, 300_000):
            data = noise(size)
            server = self.origin(switching(answer=SWITCH + data))
            client = self.tunnel(self.proxy(server))
            self.assertEqual(client.reader.exact(size), data)
            self.echoes(client, b"x")

    def test_early_bytes_of_both(self):
        server = self.origin(switching(answer=SWITCH + noise(5_000, 1)))
        client = self.client(self.proxy(server)).send(offer() + noise(5_000, 2))
        self.assertEqual(client.head().status, 101)
        self.assertEqual(client.reader.exact(10_000), noise(5_000, 1) + noise(5_000, 2))

    def test_head_in_pieces(self):
        def script(connection):
            connection.request()
            connection.send(*(bytes([byte]) for byte in SWITCH), b"first")
            echo(connection)

        client = self.client(self.proxy(self.origin(script)))
        client.send(*(bytes([byte]) for byte in offer()))
        self.assertEqual(client.head().status, 101)
        self.assertEqual(client.reader.exact(5), b"first")
        self.echoes(client, b"second")

    def test_interim_answers_before_it(self):
        hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        client = self.client(self.proxy(self.origin(switching(answer=hint * 3 + SWITCH))))
        client.send(offer())
        self.assertEqual([client.head().status for _ in range(4)], [103, 103, 103, 101])
        self.echoes(client, b"x")

    def test_another_protocol(self):
        server = self.origin(switching(answer=switched("irc/6.9")))
        weir = self.proxy(server, routes=[{"backend": "app", "upgrade": ["irc"]}])
        client = self.client(weir).send(offer("h2c, irc/6.9"))
        self.assertEqual(client.head().get("upgrade"), "irc/6.9")
        self.echoes(client, b"NICK x\r\n")

    def test_much_both_ways(self):
        up, down = noise(8 << 20, 1), noise(8 << 20, 2)

        def both(connection):
            sender = threading.Thread(target=lambda: (connection.send(down),
                                                      connection.half_close()))
            sender.start()
            connection.digest = hashlib.sha256(connection.wait_end()).digest()
            sender.join()

        server = self.origin(switching(both), record=False)
        client = self.tunnel(self.proxy(server), timeout=seconds(30))
        sender = threading.Thread(target=lambda: (client.send(up), client.half_close()))
        sender.start()
        self.assertEqual(hashlib.sha256(client.rest()).digest(), hashlib.sha256(down).digest())
        sender.join()
        self.ended(server.connections[0])
        self.assertEqual(server.connections[0].digest, hashlib.sha256(up).digest())

    def test_many_do_not_mix(self):
        weir = self.proxy(self.origin(switching()), runtime={"workers": 2})
        clients = [self.tunnel(weir) for _ in range(50)]
        for size in (10, 3_000, 40_000):
            for number, client in enumerate(clients):
                client.send(noise(size, number))
            for number, client in enumerate(clients):
                self.assertEqual(client.reader.exact(size), noise(size, number))

    def test_behind_other_requests(self):
        """On a kept client connection and a kept server connection; both are spent by it."""
        server = self.origin(switching())
        weir = self.proxy(server)
        client = self.client(weir)
        self.assertEqual(client.get("/1").body, b"/1")
        client.send(offer())
        self.assertEqual(client.head().status, 101)
        self.assertEqual(len(server.connections), 1)
        self.echoes(client, b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        other = self.client(weir)
        self.assertEqual(other.get("/3").body, b"/3")
        self.assertEqual(len(server.connections), 2)
        client.half_close()
        self.assertTrue(client.closed())
        self.assertEqual(other.get("/4").body, b"/4")
        self.assertEqual(len(server.connections), 2)

    def test_pipelined_behind_a_request(self):
        client = self.client(self.proxy(self.origin(switching())))
        client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n" + offer() + b"early")
        self.assertEqual(client.response().body, b"/1")
        self.assertEqual(client.head().status, 101)
        self.assertEqual(client.reader.exact(5), b"early")


class Ends(TunnelCase):

    def test_client_ends_first(self):
        def counting(connection):
            connection.send(b"got %d" % len(connection.wait_end()))

        client = self.tunnel(self.proxy(self.origin(switching(counting))))
        client.send(b"x" * 1_000).half_close()
        self.assertEqual(client.rest(), b"got 1000")

    def test_client_ends_with_its_request(self):
        """The offer, bytes and the end of the client's side in one go."""
        client = self.client(self.proxy(self.origin(switching())))
        client.send(offer() + b"all").half_close()
        self.assertEqual(client.head().status, 101)
        self.assertEqual(client.rest(), b"all")

    def test_server_ends_first(self):
        def leaving(connection):
            connection.half_close()
            connection.rest = connection.wait_end()

        server = self.origin(switching(leaving))
        client = self.tunnel(self.proxy(server))
        self.assertTrue(client.closed())
        client.send(b"still talking").half_close()
        self.ended(server.connections[0])
        self.assertEqual(server.connections[0].rest, b"still talking")

    def test_server_closes_right_behind_the_101(self):
        client = self.client(self.proxy(self.origin(switching(lambda connection: None,
                                                              SWITCH + b"bye")))).send(offer())
        self.assertEqual(client.head().status, 101)
        self.assertEqual(client.rest(), b"bye")

    def test_server_resets(self):
        """The client gets what was sent before, and a reset."""
        def breaking(connection):
            connection.reader.exact(1)
            connection.send(b"almost")
            connection.reset()

        weir = self.proxy(self.origin(switching(breaking)))
        client = self.tunnel(weir).send(b"x")
        self.assertEqual(self.was_reset(client), b"almost")
        line = self.line()
        self.assertEqual((line["status"], line["error"]), (101, "upstream_reset"))
        self.assertEqual((line["rx"], line["tx"]), (1, 6))
        self.assert_metric(weir, 1, "weir_connection_closes_total", reason="server_broken")

    def test_server_resets_in_the_middle_of_much(self):
        data = noise(4 << 20)
        server = self.origin(switching(lambda connection: (connection.send(data),
                                                           connection.reset())))
        got = self.was_reset(self.tunnel(self.proxy(server)))
        self.assertEqual(got, data[:len(got)])

    def test_client_resets(self):
        server = self.origin(switching())
        weir = self.proxy(server)
        client = self.tunnel(weir)
        self.echoes(client, b"x")
        client.reset()
        self.ended(server.connections[0])
        self.assertTrue(server.connections[0].saw_reset)
        self.assertEqual(self.line()["status"], 101)
        self.assert_metric(weir, 1, "weir_connection_closes_total", reason="client_gone")

    def test_client_resets_before_the_101(self):
        go = threading.Event()
        self.addCleanup(go.set)

        def script(connection):
            connection.request()
            go.wait(seconds(10))
            connection.send(SWITCH)
            connection.wait_end()

        server = self.origin(script)
        client = self.client(self.proxy(server)).send(offer() + b"early")
        server.wait_requests(1)
        client.reset()
        self.assertEqual(self.line()["status"], 499)
        go.set()
        self.ended(server.connections[0])


class Before(TunnelCase):
    """Attempts before the 101 are those of any request."""

    def test_next_server_when_one_refuses(self):
        server = self.origin(switching())
        client = self.client(self.proxy(self.free_port(), server, backend={"balance": "first"}))
        client.send(offer() + b"early")
        self.assertEqual(client.head().status, 101)
        self.assertEqual(client.reader.exact(5), b"early")
        client.close()
        self.assertEqual(self.line()["attempts"], 2)

    def test_kept_connection_that_the_server_closes(self):
        """As for any request: the offer goes out again on a fresh one."""
        def script(connection):
            connection.request()
            if connection.requests[0].has("upgrade"):
                return connection.send(SWITCH), echo(connection)
            connection.send(response(b"first"))
            return connection.request()  # Taken and not answered.

        server = self.origin(script)
        client = self.client(self.proxy(server))
        self.assertEqual(client.get().body, b"first")
        client.send(offer() + b"early")
        self.assertEqual(client.head().status, 101)
        self.assertEqual(client.reader.exact(5), b"early")
        self.assertEqual([len(connection.requests) for connection in server.connections], [2, 1])

    def test_next_server_when_one_breaks(self):
        """Of what the client has sent early no server has seen a byte before its 101."""
        breaking = self.origin(lambda connection: (connection.request(), connection.reset()))
        server = self.origin(switching())
        client = self.client(self.proxy(breaking, server, backend={"balance": "first"}))
        client.send(offer() + b"early")
        self.assertEqual(client.head().status, 101)
        self.assertEqual(client.reader.exact(5), b"early")
        self.assertNotIn(b"early", breaking.received())
        self.assertEqual(server.received().count(b"early"), 1)

    def test_nobody_there(self):
        client = self.client(self.proxy(self.free_port())).send(offer())
        self.assertEqual(client.response().status, 503)
        self.assertFalse(client.reader.buffer)

    def test_queue(self):
        """A place in line for the tunnel, as for a request."""
        weir = self.proxy(self.origin(switching()), backend={
            "server_limit": 1, "queue": {"timeout": "60s", "target": "0s"}})
        first = self.tunnel(weir)
        second = self.client(weir).send(offer() + b"early")
        wait_until(lambda: weir.metric("weir_backend_queue_length") == 1, 10, "one waits")
        first.half_close()
        self.assertTrue(first.closed())
        self.assertEqual(second.head().status, 101)
        self.assertEqual(second.reader.exact(5), b"early")


class Told(TunnelCase):

    def test_log(self):
        server = self.origin(switching(answer=SWITCH + b"hi"))
        weir = self.proxy(server)
        client = self.client(weir).send(offer(path="/live?x=1") + b"abc")
        self.assertEqual(client.head().status, 101)
        self.assertEqual(client.reader.exact(5), b"hiabc")
        self.echoes(client, b"defg")
        client.half_close()
        self.assertTrue(client.closed())
        line = self.line()
        self.assertEqual((line["status"], line["path"], line["query"], line["proto"]),
                         (101, "/live", "x=1", "1.1"))
        self.assertEqual((line["rx"], line["tx"], line["attempts"]), (7, 9, 1))
        self.assertEqual((line["server"], line["backend"]), (server.address, "app"))
        self.assertTrue(0 < line["t_ttfb"] <= line["dur"])
        self.assertNotIn("error", line)

    def test_metrics(self):
        weir = self.proxy(self.origin(switching()))
        clients = [self.tunnel(weir) for _ in range(3)]
        self.assert_metric(weir, 3, "weir_relays")
        self.assert_metric(weir, 3, "weir_http_requests_in_flight")
        self.assert_metric(weir, 3, "weir_server_requests_in_flight")
        self.assert_metric(weir, 0, "weir_http_requests_total")
        for client in clients:
            client.half_close()
            self.assertTrue(client.closed())
        wait_until(lambda: weir.metric("weir_relays") == 0, 10, "no tunnel")
        self.assert_metric(weir, 3, "weir_relays_total")
        self.assert_metric(weir, 3, "weir_http_requests_total", code="1xx")
        self.assert_metric(weir, 3, "weir_server_responses_total")
        self.assert_metric(weir, 0, "weir_server_errors_total")
        self.assert_metric(weir, 0, "weir_errors_total")

    def test_reload(self):
        """A tunnel lives on when its route takes no more of them."""
        server = self.origin(switching())
        weir = self.proxy(server)
        client = self.tunnel(weir)
        options = {**weir.options, "routes": [{"backend": "app", "upgrade": []}]}
        weir.write_config(config(servers=[server], **options))
        weir.reload()
        wait_until(lambda: weir.metric("weir_config_generation") == 2, 10, "the reload")
        self.echoes(client, noise(100_000))
        self.assertEqual(self.client(weir).send(offer()).response().status, 200)
