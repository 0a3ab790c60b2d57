"""The PROXY protocol as weir accepts it: who the client is, for TCP and for HTTP; and that nobody
can say so who may not."""

import signal
import threading

from harness import config, seconds, wait_until
from harness.client_hello import hello
from harness.failure import ms
from harness.proxy_header import (CHECKSUM, LOCAL, PROXY, TCP4, TCP6, TRUSTED, UDP4, UNIX,
                                  raw_v2, tlv, v1, v2, with_checksum)
from harness.relaying import RelayCase, echo, noise

UNTRUSTED = {"accept_proxy": ["10.0.0.0/8", "fd00::/8"]}
ADDRESSES = bytes([192, 0, 2, 7, 198, 51, 100, 9, 0x12, 0x67, 1, 0xBB])  # As v2() has them.

BROKEN = {
    "no header": b"GET / HTTP/1.1\r\n\r\n",
    "one byte that begins none": b"X",
    "lower case": b"proxy TCP4 192.0.2.7 198.51.100.9 1 2\r\n",
    "two spaces": b"PROXY  TCP4 192.0.2.7 198.51.100.9 1 2\r\n",
    "another transport": b"PROXY UDP4 192.0.2.7 198.51.100.9 1 2\r\n",
    "no address": b"PROXY TCP4\r\n",
    "one address": b"PROXY TCP4 192.0.2.7 1 2\r\n",
    "octal": b"PROXY TCP4 192.0.02.7 198.51.100.9 1 2\r\n",
    "a name": b"PROXY TCP4 client.example 198.51.100.9 1 2\r\n",
    "the other family": b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
    "port too large": b"PROXY TCP4 192.0.2.7 198.51.100.9 65536 2\r\n",
    "negative port": b"PROXY TCP4 192.0.2.7 198.51.100.9 -1 2\r\n",
    "one word more": b"PROXY TCP4 192.0.2.7 198.51.100.9 1 2 3\r\n",
    "bare LF": b"PROXY TCP4 192.0.2.7 198.51.100.9 1 2\n",
    "bare CR": b"PROXY TCP4 192.0.2.7 198.51.100.9 1 2\r ",
    "line too long": b"PROXY UNKNOWN " + b"x" * 200,
    "version 1 in version 2": raw_v2(0x11, TCP4, ADDRESSES),
    "version 3": raw_v2(0x31, TCP4, ADDRESSES),
    "another command": raw_v2(0x22, TCP4, ADDRESSES),
    "family 4": raw_v2(PROXY, 0x41, ADDRESSES),
    "of datagrams": raw_v2(PROXY, UDP4, ADDRESSES),
    "transport 3": raw_v2(PROXY, 0x13, ADDRESSES),
    "addresses cut short": raw_v2(PROXY, TCP4, ADDRESSES[:-1]),
    "IPv6 with an IPv4 block": raw_v2(PROXY, TCP6, ADDRESSES),
    "block too large": raw_v2(PROXY, TCP4, ADDRESSES, 65_535),
    "TLV cut short": v2(tlvs=tlv(5, b"abc")[:-1]),
    "TLV header cut short": v2(tlvs=b"\x05\x00"),
    "wrong checksum": v2(tlvs=tlv(CHECKSUM, b"\1\2\3\4")),
    "short checksum": v2(tlvs=tlv(CHECKSUM, b"\1\2")),
    "two checksums": v2(tlvs=tlv(CHECKSUM, bytes(4)) * 2),
}


class ProxyCase(RelayCase):

    def refused_at_once(self, weir, data: bytes, word: str, count: int = 1) -> None:
        """Closed without a byte, whatever else the client would send; and counted."""
        client = self.client(weir).send(data)
        self.assertTrue(client.gone())
        wait_until(lambda: weir.metric("weir_errors_total", reason=word) == count, 10,
                   f"{count} {word} counted")


class Accepted(ProxyCase):
    """On a TCP listener."""

    def says(self, weir, header: bytes, address: str, port: int, count: int) -> None:
        client = self.client(weir).send(header + b"hello")
        self.assertEqual(client.reader.exact(5), b"hello")
        client.close()
        line = self.lines(count)[-1]
        self.assertEqual((line["client"], line["client_port"]), (address, port))
        self.assertEqual((line["rx"], line["tx"]), (5, 5))

    def test_who_the_client_is(self):
        """The header is taken off, and the log says who it named."""
        server = self.origin(echo)
        weir = self.tcp(server, listener=TRUSTED)
        headers = [(v1(), "192.0.2.7", 4711), (v2(), "192.0.2.7", 4711),
                   (v1("2001:db8::7", 1, "2001:db8::9", 2), "2001:db8::7", 1),
                   (v2("2001:db8::7", 1, "2001:db8::9", 2), "2001:db8::7", 1),
                   (v1("255.255.255.255", 0, "0.0.0.0", 65535), "255.255.255.255", 0),
                   (v2(tlvs=tlv(2, b"shop.example") + tlv(0xE0, b"")), "192.0.2.7", 4711),
                   (with_checksum(v2(tlvs=tlv(5, b"id") + tlv(CHECKSUM, bytes(4)))), "192.0.2.7",
                    4711)]
        for count, (header, address, port) in enumerate(headers, 1):
            with self.subTest(header=header):
                self.says(weir, header, address, port, count)
        self.assertEqual({connection.received for connection in server.connections}, {b"hello"})

    def test_nobody_is_named(self):
        """A proxy's own connection, and an unknown client: the real addresses stand."""
        weir = self.tcp(self.origin(echo), listener=TRUSTED)
        for count, header in enumerate((
                b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff::1 anything 1\r\n",
                raw_v2(LOCAL, 0, b""), raw_v2(LOCAL, TCP4, ADDRESSES),
                raw_v2(LOCAL, 0x77, noise(50)), raw_v2(PROXY, 0, b""),
                raw_v2(PROXY, UNIX, bytes(216))), 1):
            with self.subTest(header=header):
                client = self.client(weir).send(header + b"x")
                port = client.local_port
                self.assertEqual(client.reader.exact(1), b"x")
                client.close()
                line = self.lines(count)[-1]
                self.assertEqual((line["client"], line["client_port"]), ("127.0.0.1", port))

    def test_in_pieces(self):
        server = self.origin(echo)
        weir = self.tcp(server, listener=TRUSTED)
        for header in (v1(), v2(tlvs=tlv(4, noise(300)))):
            client = self.client(weir)
            client.send(*(bytes([byte]) for byte in header + b"hello"))
            self.assertEqual(client.reader.exact(5), b"hello")
        self.assertEqual({connection.received for connection in server.connections}, {b"hello"})

    def test_a_second_header_is_the_clients_own(self):
        client = self.client(self.tcp(self.origin(echo), listener=TRUSTED))
        client.send(v1() + v1("203.0.113.1"))
        self.assertEqual(client.reader.exact(len(v1("203.0.113.1"))), v1("203.0.113.1"))

    def test_end_behind_the_header(self):
        server = self.origin(lambda connection: connection.send(b"rest: " + connection.wait_end()))
        client = self.client(self.tcp(server, listener=TRUSTED)).send(v2()).half_close()
        self.assertEqual(client.rest(), b"rest: ")

    def test_no_server_before_the_header(self):
        server = self.origin(echo)
        weir = self.tcp(server, listener={**TRUSTED, "client_head": "60s"})
        client = self.client(weir).send(v1()[:-1])
        wait_until(lambda: weir.metric("weir_received_bytes_total", side="downstream") ==
                   len(v1()) - 1, 10, "all but its end at weir")
        self.assert_metric(weir, 0, "weir_server_connects_total")
        client.send(b"\nx")
        self.assertEqual(client.reader.exact(1), b"x")

    def test_server_name_behind_it(self):
        weir = self.tcp(listener={**TRUSTED, "backend": None},
                        routes=[{"sni": "shop.example", "backend": "app"}],
                        backends={"app": {"servers": [self.origin(echo)]}})
        data = hello("shop.example")
        client = self.client(weir).send(v2() + data)
        self.assertEqual(client.reader.exact(len(data)), data)
        client.close()
        self.assertEqual((self.line()["sni"], self.line()["client"]), ("shop.example", "192.0.2.7"))

    def test_limit_of_connections(self):
        """A reset, as for a client that comes without a header; and the log has its address."""
        port, admin = self.free_port(), self.free_port()
        listener = {"bind": f"127.0.0.1:{port}", "mode": "tcp", "backend": "app",
                    "limits": ["few"], **TRUSTED}
        text = config(listeners={"web": listener}, routes=[], servers=[self.origin(echo)],
                      admin=f"127.0.0.1:{admin}", access_log=self.file)
        weir = self.run_config(text + '\n[limit.few]\nrate = "1/h"\n', [port], admin_port=admin)
        client = self.client(weir).send(v1() + b"x")
        self.assertEqual(client.reader.exact(1), b"x")
        self.assertEqual(self.was_reset(self.client(weir).send(v1())), b"")
        line = self.line()
        self.assertEqual((line["client"], line["error"]), ("192.0.2.7", "rate_limited"))
        self.assert_metric(weir, 1, "weir_errors_total", reason="rate_limited")

    def test_address_hashing(self):
        """ip_hash keeps the client that is named at its server, not the proxy."""
        servers = [self.origin(lambda connection, name=name: (connection.send(name),
                                                              echo(connection)))
                   for name in (b"a", b"b", b"c", b"d")]
        weir = self.tcp(*servers, listener=TRUSTED, backend={"balance": "ip_hash"})
        found = set()
        for number in range(20):
            names = set()
            for port in range(2):
                client = self.client(weir).send(v1(f"192.0.2.{number}", port))
                names.add(client.reader.exact(1))
                client.close()
                wait_until(lambda: not self.held(weir), 10, "weir at rest")
            self.assertEqual(len(names), 1, f"192.0.2.{number}")
            found |= names
        self.assertGreater(len(found), 1)


class Refused(ProxyCase):

    def either(self, mode: str, client_head: str = "60s"):
        """A listener of this mode, with a log of its own."""
        self.file = self.path(f"{len(self.weirs)}.log")
        tcp = mode == "tcp"
        return self.weir(self.origin(), routes=[] if tcp else [{"backend": "app"}],
                         access_log=self.file, listener={
                             **TRUSTED, "mode": mode, "client_head": client_head,
                             "backend": "app" if tcp else None})

    def test_broken_header_tcp(self):
        server = self.origin(echo)
        weir = self.tcp(server, listener={**TRUSTED, "client_head": "60s"})
        for count, (name, data) in enumerate(BROKEN.items(), 1):
            with self.subTest(name):
                self.refused_at_once(weir, data, "bad_proxy_header", count)
        self.assertEqual(server.connections, [])
        self.assertEqual({line["error"] for line in self.lines(len(BROKEN))}, {"bad_proxy_header"})

    def test_broken_header_http(self):
        """No page is sent: who knows what is spoken there."""
        server = self.origin()
        weir = self.weir(server, listener={**TRUSTED, "client_head": "60s"})
        for count, (name, data) in enumerate(BROKEN.items(), 1):
            with self.subTest(name):
                self.refused_at_once(weir, data, "bad_proxy_header", count)
        self.assertEqual(server.connections, [])
        self.assert_metric(weir, 0, "weir_http_requests_received_total")

    def test_stalled_header(self):
        for mode, header in (("tcp", v1()[:20]), ("tcp", v2()[:20]), ("tcp", b""),
                             ("http", v2()[:13]), ("http", b"")):
            with self.subTest(mode=mode, header=header):
                weir = self.either(mode, client_head=ms(200))
                self.refused_at_once(weir, header, "bad_proxy_header")
                self.assertEqual(self.origins[-1].connections, [])
                rule = self.line().get("rule")
                self.assertEqual(rule, "proxy_truncated" if header else None)

    def test_trickled_header(self):
        """The deadline counts from the connection's begin."""
        weir = self.tcp(self.origin(echo), listener={**TRUSTED, "client_head": ms(300)})
        client = self.client(weir)
        try:
            for byte in b"PROXY UNKNOWN " + b"x" * 90:
                client.send(bytes([byte]))
                if not client.quiet(seconds(0.03)):
                    break
            else:
                self.fail("it was let in with half a header")
        except ConnectionError:
            pass
        self.assert_metric(weir, 1, "weir_errors_total", reason="bad_proxy_header")

    def test_stop_during_the_header(self):
        """Who has not begun with it is not waited for when weir stops."""
        for mode in ("tcp", "http"):
            weir = self.either(mode)
            client = self.client(weir)
            name = "weir_listener_connections_active"
            wait_until(lambda w=weir: w.metric(name, listener="web") == 1, 10, "it is at weir")
            weir.signal(signal.SIGTERM)
            self.assertTrue(client.gone())
            self.assertEqual(weir.wait(), 0)

    def test_client_that_leaves_within_it(self):
        """A header that ends too early is a broken one; nothing is wrong with saying nothing."""
        for mode in ("tcp", "http"):
            weir = self.either(mode)
            self.client(weir).close()
            wait_until(lambda w=weir: w.metric("weir_listener_connections_total") == 1, 10)
            wait_until(lambda w=weir: not self.held(w), 10, "weir at rest")
            self.assert_metric(weir, 0, "weir_errors_total")
            told = 1 if mode == "tcp" else 0
            headers = (b"P", b"PROXY TCP4 1.2", v1()[:-1], b"\r\n", v2()[:18], v2()[:-1])
            for count, header in enumerate(headers, 1):
                with self.subTest(mode=mode, header=header):
                    self.assertTrue(self.client(weir).send(header).half_close().gone())
                    line = self.lines(told + count)[-1]
                    self.assertEqual((line["error"], line["rule"]),
                                     ("bad_proxy_header", "proxy_truncated"))
            for name, reason in (("errors", "bad_proxy_header"), ("connection_closes", "refused")):
                self.assert_metric(weir, len(headers), f"weir_{name}_total", reason=reason)

    def test_client_that_resets_within_it(self):
        """On an HTTP listener that is a client without a request, as ever."""
        for mode in ("tcp", "http"):
            weir = self.either(mode)
            client = self.client(weir).send(v1()[:10])
            wait_until(lambda w=weir: w.metric(
                "weir_received_bytes_total", side="downstream") == 10, 10, "the bytes at weir")
            client.reset()
            wait_until(lambda w=weir: not self.held(w), 10, "weir at rest")
            self.assert_metric(weir, 1, "weir_connection_closes_total", reason="client_gone")
            self.assert_metric(weir, mode == "tcp", "weir_errors_total", reason="client_closed")


class Untrusted(ProxyCase):
    """From addresses that may not send a header."""

    SPOOFED = (v1("10.1.2.3"), v2("10.1.2.3"), b"PROXY UNKNOWN\r\n", raw_v2(LOCAL, 0, b""),
               b"PROXY nonsense\r\n", raw_v2(PROXY, 0x41, b"nonsense"))

    def test_header_tcp(self):
        """Refused, counted, and not a byte of it reaches a server."""
        server = self.origin(echo)
        weir = self.tcp(server, listener=UNTRUSTED)
        for count, header in enumerate(self.SPOOFED, 1):
            with self.subTest(header=header):
                self.refused_at_once(weir, header + b"more", "untrusted_proxy_header", count)
                self.assertEqual(self.lines(count)[-1]["client"], "127.0.0.1")
        self.assertEqual(server.received(), b"")

    def test_header_in_pieces(self):
        """The first of them arrive long before the rest."""
        server = self.origin(echo)
        weir = self.tcp(server, listener=UNTRUSTED)
        for count, header in enumerate((v1("10.1.2.3"), v2("10.1.2.3")), 1):
            client = self.client(weir)

            def received() -> float:
                return weir.metric("weir_received_bytes_total", side="downstream")

            before = received()
            for number, byte in enumerate(header[:12]):
                try:
                    client.send(bytes([byte]))
                    if number < 5:  # Nothing is known yet.
                        wait_until(lambda n=number: received() == before + n + 1, 10, "the byte")
                except ConnectionError:
                    break
            self.assertTrue(client.gone())
            self.assert_metric(weir, count, "weir_errors_total", reason="untrusted_proxy_header")
        self.assertEqual(server.received(), b"")

    def test_header_http(self):
        server = self.origin()
        weir = self.weir(server, listener=UNTRUSTED)
        for count, header in enumerate(self.SPOOFED, 1):
            with self.subTest(header=header):
                self.refused_at_once(weir, header + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                                     "untrusted_proxy_header", count)
        self.assertEqual(server.connections, [])

    def test_plain_clients_tcp(self):
        """Served as on any other listener, and what they send counts from the first byte."""
        server = self.origin(echo)
        weir = self.tcp(server, listener=UNTRUSTED)
        for count, data in enumerate((b"hello", b"PROTOCOL", b"\r\n\r\nQUIT", noise(100_000)), 1):
            with self.subTest(data=data[:20]):
                client = self.client(weir).send(data)
                self.assertEqual(client.reader.exact(len(data)), data)
                client.close()
                line = self.lines(count)[-1]
                self.assertEqual((line["client"], line["rx"], line["tx"]),
                                 ("127.0.0.1", len(data), len(data)))

    def test_first_byte_after_the_greeting(self):
        """Counted like all others."""
        server = self.origin(lambda connection: (connection.send(b"220\r\n"), echo(connection)))
        client = self.client(self.tcp(server, listener=UNTRUSTED))
        self.assertEqual(client.reader.until(b"\n"), b"220\r\n")
        client.send(b"QUIT\r\n")
        self.assertEqual(client.reader.until(b"\n"), b"QUIT\r\n")
        client.half_close()
        self.assertTrue(client.closed())
        line = self.line()
        self.assertEqual((line["rx"], line["tx"]), (6, 11))

    def test_header_after_the_greeting(self):
        """It is the first the client says, and must not reach the server."""
        server = self.origin(lambda connection: (connection.send(b"220\r\n"), echo(connection)))
        weir = self.tcp(server, listener=UNTRUSTED)
        client = self.client(weir)
        self.assertEqual(client.reader.until(b"\n"), b"220\r\n")
        client.send(v1("10.1.2.3") + b"MAIL\r\n")
        self.was_reset(client)
        self.assert_metric(weir, 1, "weir_errors_total", reason="untrusted_proxy_header")
        self.ended(server.connections[0])
        self.assertTrue(server.connections[0].saw_reset)
        self.assertEqual(server.received(), b"")

    def test_server_goes_on_while_it_is_not_known(self):
        """One byte that may begin a header holds back what the client says, not the server."""
        go = threading.Event()
        self.addCleanup(go.set)

        def script(connection):
            connection.send(b"one")
            go.wait(seconds(10))
            connection.send(b"two")
            echo(connection)

        weir = self.tcp(self.origin(script), listener=UNTRUSTED)
        client = self.client(weir)
        self.assertEqual(client.reader.exact(3), b"one")
        client.send(b"P")
        wait_until(lambda: weir.metric("weir_received_bytes_total", side="downstream") == 1, 10)
        go.set()
        self.assertEqual(client.reader.exact(3), b"two")
        client.send(b"ASS")
        self.assertEqual(client.reader.exact(4), b"PASS")

    def test_the_rest_of_a_header_after_a_pause(self):
        """What is passed on once nobody waits for the rest would have the rest follow."""
        for first in (b"", b"+"):
            for begun in (b"\r\n", b"PROX"):
                with self.subTest(server_speaks_first=bool(first), begun=begun):
                    server = self.origin(lambda connection, f=first: (connection.send(f),
                                                                      echo(connection)))
                    listener = {**UNTRUSTED, "client_head": ms(300)}
                    weir = self.tcp(server, listener=listener)
                    client = self.client(weir)
                    client.reader.exact(len(first))
                    client.send(begun)
                    self.was_reset(client)
                    self.assertEqual(
                        weir.metric("weir_errors_total", reason="untrusted_proxy_header"), 1)
                    self.ended(server.connections[0])
                    self.assertTrue(server.connections[0].saw_reset)
                    self.assertEqual(server.received(), b"")

    def test_header_where_a_name_is_looked_for(self):
        """A header is no TLS: what counts is that it is one."""
        for backend in ("app", None):
            server = self.origin(echo)
            weir = self.tcp(listener={**UNTRUSTED, "backend": backend},
                            routes=[{"sni": "a.example", "backend": "app"}],
                            backends={"app": {"servers": [server]}})
            self.refused_at_once(weir, v1("10.1.2.3") + b"more", "untrusted_proxy_header")
            self.refused_at_once(weir, v2("10.1.2.3") + b"more", "untrusted_proxy_header", 2)
            self.assertEqual(server.received(), b"")

    def test_methods_that_begin_like_a_header(self):
        """The request is read as it comes, from its first byte on."""
        server = self.origin()
        weir = self.weir(server, listener=UNTRUSTED)
        for head in (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
                     b"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n",
                     b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"):
            client = self.client(weir)
            client.send(*(bytes([byte]) for byte in head))
            self.assertEqual(client.response().status, 200)

    def test_plain_clients_http(self):
        server = self.origin()
        weir = self.weir(server, listener=UNTRUSTED)
        client = self.client(weir)
        for _ in range(2):
            self.assertEqual(client.get().status, 200)
        self.assertEqual(server.requests[0].get("x-forwarded-for"), "127.0.0.1")

    def test_silent_client_http(self):
        """It has broken no rule."""
        weir = self.weir(self.origin(), listener={**UNTRUSTED, "client_head": ms(200)})
        self.assertTrue(self.client(weir).closed())
        self.assert_metric(weir, 0, "weir_errors_total")


class ForHttp(ProxyCase):

    def test_forwarding_fields_and_log(self):
        server = self.origin()
        weir = self.weir(server, listener=TRUSTED, access_log=self.file)
        for number, header in enumerate((v1("192.0.2.1", 1), v2("2001:db8::1", 2, "::1", 3))):
            client = self.client(weir).send(header)
            for _ in range(2):  # The second request of a connection has no header, and needs none.
                self.assertEqual(client.get().status, 200)
            client.close()
            address = ("192.0.2.1", "2001:db8::1")[number]
            self.assertEqual([request.get("x-forwarded-for") for request in server.requests[-2:]],
                             [address] * 2)
            line = self.lines(2 * number + 2)[-1]
            self.assertEqual((line["client"], line["client_port"]), (address, number + 1))

    def test_trusted_proxies(self):
        """X-Forwarded-For is believed from the client that is named, not from its proxy."""
        server = self.origin()
        weir = self.weir(server, listener={**TRUSTED, "trusted_proxies": ["192.0.2.0/24"]})
        for address, expected in (("192.0.2.1", "203.0.113.5, 192.0.2.1"),
                                  ("192.1.2.1", "192.1.2.1")):
            client = self.client(weir).send(v1(address))
            client.get(fields="X-Forwarded-For: 203.0.113.5\r\n")
            self.assertEqual(server.requests[-1].get("x-forwarded-for"), expected)

    def test_header_and_request_in_one_segment(self):
        server = self.origin()
        client = self.client(self.weir(server, listener=TRUSTED))
        client.send(v2() + b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual([client.response().status for _ in range(2)], [200, 200])
        self.assertEqual([request.target for request in server.requests], ["/a", "/b"])

    def test_a_header_before_each_request_is_an_error(self):
        client = self.client(self.weir(self.origin(), listener=TRUSTED)).send(v1())
        self.assertEqual(client.get().status, 200)
        client.send(v1())
        self.assertEqual(client.response().status, 400)

    def test_rate_limits(self):
        """Of requests and of connections: by the client that is named."""
        port, admin = self.free_port(), self.free_port()
        text = config(listeners={"web": {"bind": f"127.0.0.1:{port}", "limits": ["connections"],
                                         **TRUSTED}},
                      routes=[{"backend": "app", "limits": ["requests"]}], servers=[self.origin()],
                      admin=f"127.0.0.1:{admin}")
        text += '\n[limit.requests]\nrate = "2/h"\n\n[limit.connections]\nrate = "3/h"\n'
        weir = self.run_config(text, [port], admin_port=admin)
        for address in ("192.0.2.1", "192.0.2.2"):
            client = self.client(weir).send(v1(address))
            self.assertEqual([client.get().status for _ in range(3)], [200, 200, 429])
            for _ in range(2):
                client = self.client(weir).send(v2(address))
                self.assertEqual(client.get().status, 429)
            client = self.client(weir).send(v1(address))
            self.assertEqual(self.was_reset(client), b"")
        self.assert_metric(weir, 2, "weir_limit_refused_total", limit="connections")

    def test_listener_without_accept_proxy(self):
        """There it is a request that is none."""
        server = self.origin()
        client = self.client(self.weir(server)).send(v1())
        self.assertEqual(client.response().status, 400)
        self.assertEqual(server.connections, [])
