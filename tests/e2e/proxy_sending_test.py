"""The PROXY protocol as weir sends it: each connection to a server begins with one header, and
serves the one client that the header names."""

from harness import config, response, seconds, wait_until
from harness.errors import Truncated
from harness.proxy_header import (CHECKSUM, LOCAL, TRUSTED, crc32c, raw_v2, read_header, tlv, v1,
                                  v2, with_checksum)
from harness.relaying import RelayCase, echo, noise


def introduced(then=echo):
    """A script for a server that has to be told who the client is."""
    def script(connection):
        connection.header = read_header(connection.reader)
        then(connection)

    return script


def serving(connection) -> None:
    while request := connection.request():
        connection.send(response(request.target.encode()))


class ProxyCase(RelayCase):

    def header(self, server, index: int = -1):
        """What the server was told, once it was."""
        wait_until(lambda: server.connections and hasattr(server.connections[index], "header"), 10,
                   "a header at the server")
        return server.connections[index].header


class Sent(ProxyCase):
    """To servers of TCP."""

    def sending(self, server, version: int, listener: dict | None = None, **backend):
        return self.tcp(server, listener=listener, backend={"send_proxy": version, **backend})

    def test_addresses(self):
        for version in (1, 2):
            with self.subTest(version=version):
                server = self.origin(introduced())
                weir = self.sending(server, version)
                client = self.client(weir).send(b"hello")
                self.assertEqual(client.reader.exact(5), b"hello")
                header = self.header(server)
                self.assertEqual((header.version, header.local, header.tlvs), (version, False, b""))
                self.assertEqual(header.source, ("127.0.0.1", client.local_port))
                self.assertEqual(header.target, ("127.0.0.1", weir.port))

    def test_before_a_word_of_the_client(self):
        server = self.origin(introduced(lambda connection: connection.send(b"220\r\n")))
        client = self.client(self.sending(server, 2))
        self.assertEqual(client.rest(), b"220\r\n")

    def test_it_does_not_count(self):
        """rx and tx are the client's bytes."""
        server = self.origin(introduced())
        client = self.client(self.sending(server, 1)).send(b"hello").half_close()
        self.assertEqual(client.rest(), b"hello")
        self.assertEqual((self.line()["rx"], self.line()["tx"]), (5, 5))

    def test_passed_on(self):
        """What was accepted is what is sent, in either version."""
        for sent, version in ((v1("192.0.2.1", 7), 2), (v2("192.0.2.1", 7), 1),
                              (v1("192.0.2.1", 7), 1)):
            server = self.origin(introduced())
            client = self.client(self.sending(server, version, TRUSTED)).send(sent + b"x")
            self.assertEqual(client.reader.exact(1), b"x")
            header = self.header(server)
            self.assertEqual((header.version, header.source, header.target),
                             (version, ("192.0.2.1", 7), ("198.51.100.9", 443)))
        server = self.origin(introduced())
        client = self.client(self.sending(server, 1, TRUSTED))
        client.send(v2("2001:db8::1", 7, "2001:db8::2", 8) + b"x")
        self.assertEqual(client.reader.exact(1), b"x")
        self.assertEqual(self.header(server).raw, b"PROXY TCP6 2001:db8::1 2001:db8::2 7 8\r\n")

    def test_tlvs_are_kept(self):
        server = self.origin(introduced())
        tlvs = tlv(1, b"h2") + tlv(2, b"shop.example") + tlv(0x20, noise(1_500)) + tlv(0xE0, b"")
        client = self.client(self.sending(server, 2, TRUSTED)).send(v2(tlvs=tlvs) + b"x")
        self.assertEqual(client.reader.exact(1), b"x")
        self.assertEqual(self.header(server).raw, v2(tlvs=tlvs))

    def test_checksum_is_right(self):
        server = self.origin(introduced())
        sent = with_checksum(v2(tlvs=tlv(2, b"name") + tlv(CHECKSUM, bytes(4))))
        client = self.client(self.sending(server, 2, TRUSTED)).send(sent + b"x")
        self.assertEqual(client.reader.exact(1), b"x")
        raw = self.header(server).raw
        self.assertEqual(crc32c(raw[:-4] + bytes(4)), int.from_bytes(raw[-4:], "big"))

    def test_nobody_is_named(self):
        """The proxy's own connection is then the client."""
        for sent in (b"PROXY UNKNOWN\r\n", raw_v2(LOCAL, 0, b"")):
            server = self.origin(introduced())
            weir = self.sending(server, 2, TRUSTED)
            client = self.client(weir).send(sent + b"x")
            self.assertEqual(client.reader.exact(1), b"x")
            header = self.header(server)
            self.assertEqual((header.source, header.target),
                             (("127.0.0.1", client.local_port), ("127.0.0.1", weir.port)))

    def test_once_on_another_server(self):
        """The first does not accept; the second gets header and bytes once."""
        server = self.origin(introduced())
        weir = self.tcp(self.free_port(), server, backend={"send_proxy": 1, "balance": "first"})
        client = self.client(weir).send(b"hello").half_close()
        self.assertEqual(client.rest(), b"hello")
        header = self.header(server)
        self.assertEqual(server.received(), header.raw + b"hello")

    def test_large_tlvs_and_a_slow_server(self):
        """A header as large as may be, and megabytes behind it, to a server with a small window."""
        data = noise(2 << 20)
        got = []
        server = self.origin(introduced(lambda connection: got.append(connection.wait_end())),
                             receive_buffer=4096)
        sent = v2(tlvs=tlv(0xE1, noise(4_081)))
        self.assertEqual(len(sent), 16 + 4096)
        weir = self.sending(server, 2, TRUSTED)
        client = self.client(weir, timeout=seconds(30)).send(sent + data).half_close()
        self.assertTrue(client.closed())
        self.assertEqual(self.header(server).raw, sent)
        self.assertEqual(got, [data])

    def test_health_checks(self):
        """Their connections are weir's own: version 1 says UNKNOWN, version 2 LOCAL."""
        for version in (1, 2):
            for kind in ("tcp", "http"):
                with self.subTest(version=version, kind=kind):
                    checks = []

                    def script(connection, seen=checks):
                        try:
                            seen.append(read_header(connection.reader))
                        except Truncated:
                            return  # weir stops in the middle of a check.
                        while connection.request():
                            connection.send(response(b"fine"))

                    server = self.origin(script)
                    weir = self.weir(server, backend={"send_proxy": version, "health": {
                        "type": kind, "interval": "50ms"}})
                    wait_until(lambda s=checks: len(s) >= 3, 10, "checks with a header")
                    wait_until(lambda w=weir: w.metric("weir_health_checks_total",
                                                       result="passed") >= 2, 10, "passed checks")
                    self.assert_metric(weir, 0, "weir_health_check_failures_total")
                    for header in list(checks):
                        self.assertIsNone(header.source)
                        self.assertEqual(header.raw, b"PROXY UNKNOWN\r\n" if version == 1
                                         else raw_v2(LOCAL, 0, b""))


class SentToHttp(ProxyCase):

    def sending(self, *servers, version: int = 2, **options):
        backend = {"send_proxy": version, **options.pop("backend", {})}
        return self.weir(*servers, backend=backend, **options)

    def test_one_connection_for_one_client(self):
        """Its requests go over the same connection, which has one header; nobody else's do."""
        for version in (1, 2):
            server = self.origin(introduced(serving))
            weir = self.sending(server, version=version)
            clients = [self.client(weir) for _ in range(3)]
            for step in range(4):
                for number, client in enumerate(clients):
                    path = f"/{number}/{step}"
                    self.assertEqual(client.get(path).body, path.encode())
            self.assertEqual(len(server.connections), 3)
            ports = {}
            for connection in server.connections:
                (number,) = {request.target.split("/")[1] for request in connection.requests}
                self.assertEqual(len(connection.requests), 4)
                ports[int(number)] = connection.header.source
            self.assertEqual(ports, {number: ("127.0.0.1", client.local_port)
                                     for number, client in enumerate(clients)})

    def test_a_later_client_does_not_inherit_it(self):
        server = self.origin(introduced(serving))
        weir = self.sending(server)
        for number in range(5):
            client = self.client(weir)
            client.get()
            self.assertEqual(self.header(server, number).source, ("127.0.0.1", client.local_port))
            client.close()
        self.assertEqual(len(server.connections), 5)

    def test_a_client_takes_its_connections_along(self):
        """Nobody else could ever use them."""
        server = self.origin(introduced(serving))
        weir = self.sending(server, backend={"idle": "60s"})
        stays = self.client(weir)
        stays.get()
        for _ in range(10):
            client = self.client(weir)
            client.get()
            client.close()
        name = "weir_server_connections"
        wait_until(lambda: weir.metric(name, state="idle") == 1, 10, "only that of who is there")
        stays.get()
        self.assertEqual(len(server.connections), 11)

    def test_mirror(self):
        """A copy is the client's request too, on a connection of its own."""
        mirror, server = self.origin(introduced(serving)), self.origin()
        weir = self.weir(backends={"app": {"servers": [server]},
                                   "shadow": {"servers": [mirror], "send_proxy": 1}},
                         routes=[{"backend": "app", "mirror": "shadow"}])
        clients = [self.client(weir) for _ in range(2)]
        for number, client in enumerate(clients):
            client.get(f"/{number}")
            mirror.wait_requests(number + 1)
        self.assertEqual([connection.header.source for connection in mirror.connections],
                         [("127.0.0.1", client.local_port) for client in clients])
        self.assertEqual([connection.requests[0].target for connection in mirror.connections],
                         ["/0", "/1"])

    def test_clients_behind_one_proxy(self):
        """Two that came over one address are two."""
        server = self.origin(introduced(serving))
        weir = self.sending(server, listener=TRUSTED)
        clients = [self.client(weir).send(v1(f"192.0.2.{number}", 9)) for number in range(2)]
        for _ in range(2):
            for client in clients:
                client.get()
        self.assertEqual([connection.header.source for connection in server.connections],
                         [("192.0.2.0", 9), ("192.0.2.1", 9)])

    def test_tlvs_with_every_connection(self):
        """The header is kept for as long as the client is there."""
        def script(connection):
            connection.header = read_header(connection.reader)
            connection.request()
            connection.send(response(b"bye", fields="Connection: close\r\n"))

        server = self.origin(script)
        weir = self.sending(server, listener=TRUSTED)
        client = self.client(weir).send(v2(tlvs=tlv(2, b"name")))
        for number in range(3):
            self.assertEqual(client.get().body, b"bye")
            self.assertEqual(self.header(server, number).raw, v2(tlvs=tlv(2, b"name")))

    def test_connect_is_tried_on_another_server(self):
        server = self.origin(introduced(serving))
        weir = self.sending(self.free_port(), server, backend={"balance": "first"})
        self.assertEqual(self.client(weir).request("POST", "/a", body=b"x" * 1_000).body, b"/a")
        self.assertEqual(server.connections[0].requests[0].body, b"x" * 1_000)
        self.assertEqual(len(server.connections), 1)

    def test_request_is_tried_on_another_server(self):
        """A header for each connection, exactly one on each."""
        seen = []

        def script(connection):
            seen.append(read_header(connection.reader))
            connection.request()
            connection.reset()

        server = self.origin(introduced(serving))
        weir = self.sending(self.origin(script), server, backend={"balance": "first"})
        client = self.client(weir)
        self.assertEqual(client.get("/again").body, b"/again")
        self.assertEqual([header.raw for header in seen], [self.header(server).raw])
        self.assertEqual(server.received(), seen[0].raw + server.requests[0].raw_head)

    def test_kept_connection_that_the_server_closed(self):
        """The request is repeated on a fresh one, behind a header of its own."""
        def script(connection):
            connection.header = read_header(connection.reader)
            connection.request()
            connection.send(response(b"first"))
            connection.request()  # Taken and not answered.

        server = self.origin(script)
        weir = self.sending(server)
        client = self.client(weir)
        self.assertEqual(client.get("/1").body, b"first")
        self.assertEqual(client.get("/2").body, b"first")
        self.assertEqual(server.connections[0].header.raw, self.header(server, 1).raw)
        self.assertEqual([len(connection.requests) for connection in server.connections], [2, 1])

    def test_bodies(self):
        """A large body behind the header, both ways."""
        data = noise(1 << 20)

        def script(connection):
            connection.header = read_header(connection.reader)
            while request := connection.request():
                connection.send(response(request.body))

        weir = self.sending(self.origin(script, record=False), version=1)
        client = self.client(weir, timeout=seconds(30))
        for _ in range(2):
            self.assertEqual(client.request("POST", "/", body=data).body, data)

    def test_ipv6_client(self):
        port, admin = self.free_port(), self.free_port()
        server = self.origin(introduced(serving))
        text = config(f"[::1]:{port}", [server], backend={"send_proxy": 1},
                      admin=f"127.0.0.1:{admin}")
        weir = self.run_config(text, [port], admin_port=admin)
        client = self.client(("::1", weir.port))
        client.get(host="a")
        header = self.header(server)
        self.assertEqual((header.source, header.target),
                         (("::1", client.local_port), ("::1", weir.port)))
