"""TCP listeners that choose by the server name of TLS: hellos of a real TLS client, whole, in
pieces and spoilt. What is read is passed on as it came, and nothing is answered by weir."""

import contextlib
import signal
import ssl
import threading

from harness import config, wait_until
from harness.client_hello import hello, records
from harness.failure import ms
from harness.relaying import RelayCase, echo, noise

LONGEST = ".".join(["a" * 63] * 3 + ["b" * 61])


class SniCase(RelayCase):
    """Backends `exact`, `below`, `second` by name, and `app` for the rest."""

    ROUTES = [{"sni": ["shop.example", "Other.Example"], "backend": "exact"},
              {"sni": "*.shop.example", "backend": "below"},
              {"sni": ["a.shop.example", "second.example"], "backend": "second"}]

    def setUp(self) -> None:
        super().setUp()
        self.servers = {name: self.origin(echo) for name in ("app", "exact", "below", "second")}

    def sni(self, routes: list | None = None, **listener):
        backends = {name: {"servers": [server]} for name, server in self.servers.items()}
        if listener.get("backend", "app") is None:
            del backends["app"]
        return self.tcp(listener=listener, backends=backends,
                        routes=self.ROUTES if routes is None else routes)

    def goes_to(self, weir, data: bytes, backend: str, pieces: list | None = None) -> None:
        """All of `data` arrives at a server of this backend and of no other, and comes back."""
        before = {name: len(server.connections) for name, server in self.servers.items()}
        client = self.client(weir)
        client.send(*(pieces or [data]))
        self.assertEqual(client.reader.exact(len(data)), data)
        client.close()
        after = {name: len(server.connections) for name, server in self.servers.items()}
        self.assertEqual({name for name in after if after[name] != before[name]}, {backend})

    def closed_in_order(self, weir, data: bytes) -> None:
        """An end and no reset, nothing said, and no server asked."""
        client = self.client(weir).send(data)
        self.assertTrue(client.closed())
        self.assertEqual(sum(len(server.connections) for server in self.servers.values()), 0)


class Names(SniCase):

    def test_which_backend(self):
        weir = self.sni()
        for name, backend in (("shop.example", "exact"), ("SHOP.Example", "exact"),
                              ("other.example", "exact"), ("x.shop.example", "below"),
                              ("x.y.shop.example", "below"),
                              ("a.shop.example", "below"),  # An earlier route takes it.
                              ("second.example", "second"), ("notshop.example", "app"),
                              ("shop.example.org", "app"), ("example", "app"),
                              ("127.0.0.1", "app"), (None, "app")):
            with self.subTest(name=name):
                self.goes_to(weir, hello(name), backend)

    def test_log(self):
        weir = self.sni()
        self.goes_to(weir, hello("X.Shop.example"), "below")
        line = self.line()
        self.assertEqual((line["sni"], line["backend"], line["proto"]),
                         ("x.shop.example", "below", "tcp"))
        self.assertRegex(line["route"], r"^line \d+$")
        self.goes_to(weir, hello(), "app")
        self.assertNotIn("sni", self.lines(2)[1])

    def test_older_tls(self):
        """A TLS 1.2 client has other extensions, in another order."""
        self.goes_to(self.sni(), hello("shop.example", ssl.TLSVersion.TLSv1_2), "exact")

    def test_longest_name(self):
        self.assertEqual(len(LONGEST), 253)
        weir = self.sni([{"sni": LONGEST, "backend": "exact"}])
        self.goes_to(weir, hello(LONGEST), "exact")

    def test_not_tls(self):
        """Told by the first byte or two: nobody waits for more."""
        weir = self.sni(client_head="60s")
        for data in (b"G", b"SSH-2.0-x\r\n", b"\x16\x02", b"\x15\x03\x01\x00\x02\x02\x28",
                     b"\0" * 50):
            with self.subTest(data=data):
                self.goes_to(weir, data, "app")

    def test_what_follows_the_hello_is_kept(self):
        """In the same segment, and more of it than weir holds."""
        weir = self.sni()
        data = hello("shop.example")
        self.goes_to(weir, data + b"\x14\x03\x03\x00\x01\x01", "exact")
        client = self.client(weir)
        sender = threading.Thread(target=client.send, args=(data + noise(1 << 20),))
        sender.start()
        self.assertEqual(client.reader.exact(len(data) + (1 << 20)), data + noise(1 << 20))
        sender.join()

    def test_routes_of_other_listeners(self):
        """A route for one listener is not seen by another, and a listener without any looks for
        no name: its server may speak first."""
        first, second, admin = (self.free_port() for _ in range(3))
        greeting = self.origin(lambda connection: (connection.send(b"220\r\n"), echo(connection)))
        text = config(listeners={
            "named": {"bind": f"127.0.0.1:{first}", "mode": "tcp", "backend": "app"},
            "plain": {"bind": f"127.0.0.1:{second}", "mode": "tcp", "backend": "greeting"}},
            routes=[{"listener": "named", "sni": "shop.example", "backend": "exact"}],
            backends={"app": {"servers": [self.servers["app"]]},
                      "exact": {"servers": [self.servers["exact"]]},
                      "greeting": {"servers": [greeting]}}, admin=f"127.0.0.1:{admin}")
        weir = self.run_config(text, [first, second], admin_port=admin)
        self.goes_to(weir, hello("shop.example"), "exact")
        client = self.client(second)
        self.assertEqual(client.reader.until(b"\n"), b"220\r\n")
        data = hello("shop.example")
        client.send(data)
        self.assertEqual(client.reader.exact(len(data)), data)

    def test_reload_of_the_routes(self):
        weir = self.sni()
        old = self.client(weir).send(hello("shop.example"))
        data = hello("shop.example")
        wait_until(lambda: self.servers["exact"].connections, 10, "the relay")
        options = {**weir.options, "routes": [{"sni": "shop.example", "backend": "second"}]}
        options["backends"] = {name: values for name, values in options["backends"].items()
                               if name in ("app", "second")}
        weir.write_config(config(**options))
        weir.reload()
        wait_until(lambda: weir.metric("weir_config_generation") == 2, 10, "the reload")
        self.goes_to(weir, data, "second")
        old.half_close()
        self.assertGreater(len(old.rest()), 100)


class Pieces(SniCase):

    def test_byte_by_byte(self):
        """Each in a segment of its own, seen by weir before the next is sent."""
        weir = self.sni()
        data = hello("x.shop.example")
        client = self.client(weir)

        def received() -> float:
            return weir.metric("weir_received_bytes_total", side="downstream")

        for number, byte in enumerate(data[:80]):
            client.send(bytes([byte]))
            wait_until(lambda n=number: received() == n + 1, 10, "the byte at weir")
        for byte in data[80:]:
            client.send(bytes([byte]))
        self.assertEqual(client.reader.exact(len(data)), data)
        self.assertEqual(len(self.servers["below"].connections), 1)

    def test_records(self):
        """RFC 8446 5.1: a message may be cut into records anywhere, its header too."""
        weir = self.sni()
        message = hello("shop.example")[5:]
        for sizes in ((1,), (1, 1, 1, 1), (4,), (100, 100), (len(message) - 1,), (1,) * 200):
            with self.subTest(sizes=sizes[:5]):
                self.goes_to(weir, records(message, *sizes), "exact")

    def test_records_and_segments(self):
        weir = self.sni()
        data = records(hello("shop.example")[5:], *(3,) * 60)
        self.goes_to(weir, data, "exact", [data[at:at + 7] for at in range(0, len(data), 7)])

    def test_end_within_the_hello(self):
        """A client that ends before its name is complete has none; its bytes go to the default."""
        weir = self.sni()
        data = hello("shop.example")[:60]
        client = self.client(weir).send(data).half_close()
        self.assertEqual(client.rest(), data)
        self.assertEqual(len(self.servers["app"].connections), 1)
        line = self.line()
        self.assertEqual((line["rule"], line.get("error")), ("hello_truncated", None))


class Spoilt(SniCase):

    UNUSABLE = "weir_listener_client_hellos_unusable_total"

    def spoilt(self) -> list[bytes]:
        data = hello("shop.example")
        message = data[5:]
        at = data.index(b"shop.example")
        return [
            b"\x16\x03\x01\x00\x00" + data,                      # A record without content.
            records(message, 10)[:15] + b"\x16\x03\x01\x00\x00" + records(message, 10)[15:],
            b"\x16\x03\x01\xff\xff" + noise(100),                # Larger than a record may be.
            b"\x16\x03\x01\x00\x40" + noise(64),                 # No handshake message.
            b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",             # A ServerHello.
            records(message, 10)[:15] + b"\x17" + records(message, 10)[16:],  # Other data within.
            data[:at] + b"shop\0exampl" + data[at + 11:],        # Not a name.
            data[:at] + b"shop.exampl." + data[at + 12:],        # RFC 6066 3: no dot at the end.
            data[:at - 2] + b"\xff\xff" + data[at:],             # Longer than its list.
            data[:5] + b"\x01\xff\xff\xff" + data[9:],           # 16 MiB announced.
        ]

    def test_without_a_default(self):
        """Closed in order, as soon as it is known; the reason is in log and metrics."""
        weir = self.sni(backend=None, client_head="60s")
        for number, data in enumerate(self.spoilt(), 1):
            with self.subTest(data=data[:20]):
                self.closed_in_order(weir, data)
                line = self.lines(number)[-1]
                self.assertEqual(line["error"], "bad_client_hello")
                self.assertIn(line["rule"], ("hello_malformed", "hello_too_large"))
        self.assert_metric(weir, len(self.spoilt()), "weir_errors_total", reason="bad_client_hello")
        self.assert_metric(weir, len(self.spoilt()), self.UNUSABLE, listener="web")
        self.assert_metric(weir, 0, "weir_relays_total")

    def test_with_a_default(self):
        """Served there, and the log says why it is not served by name."""
        weir = self.sni(client_head="60s")
        for number, data in enumerate(self.spoilt(), 1):
            with self.subTest(data=data[:20]):
                self.goes_to(weir, data, "app")
                line = self.lines(number)[-1]
                last = number == len(self.spoilt())
                self.assertEqual(line["rule"], "hello_too_large" if last else "hello_malformed")
                self.assertNotIn("error", line)
        self.assert_metric(weir, 0, "weir_errors_total", reason="bad_client_hello")
        self.assert_metric(weir, len(self.spoilt()), self.UNUSABLE, listener="web")

    def test_nothing_is_wrong_with_the_rest(self):
        """Who has another name, none, or speaks no TLS: they leave no rule behind."""
        weir = self.sni(client_head="60s")
        for number, data in enumerate((hello("unknown.example"), hello(), b"SSH-2.0-x\r\n",
                                       hello("shop.example")), 1):
            with self.subTest(data=data[:20]):
                self.goes_to(weir, data, "exact" if number == 4 else "app")
                self.assertNotIn("rule", self.lines(number)[-1])
        self.assert_metric(weir, 0, self.UNUSABLE, listener="web")

    def test_too_large(self):
        """Padding that would make it larger than what weir looks at: known from the header."""
        message = hello("shop.example")[5:]
        large = b"\x01" + (20_000).to_bytes(3, "big") + message[4:]
        large += bytes(20_000 - len(message) + 4)
        data = records(large, 10_000)
        self.closed_in_order(self.sni(backend=None, client_head="60s"), data[:400])
        self.assertEqual(self.line()["error"], "bad_client_hello")
        self.goes_to(self.sni(), data, "app")

    def test_no_route(self):
        weir = self.sni(backend=None)
        for number, data in enumerate((hello("unknown.example"), hello(),
                                       b"GET / HTTP/1.1\r\n\r\n"), 1):
            with self.subTest(data=data[:20]):
                self.closed_in_order(weir, data)
                line = self.lines(number)[-1]
                self.assertEqual((line["error"], line["attempts"]), ("no_route", 0))
                self.assertNotIn("backend", line)
        self.assertEqual(self.lines(3)[0]["sni"], "unknown.example")

    def test_no_route_where_headers_might_come(self):
        weir = self.sni(backend=None, accept_proxy=["10.0.0.0/8"])
        for number, data in enumerate((hello("unknown.example"), hello(), b"GET / HTTP/1.1"), 1):
            self.closed_in_order(weir, data)
            self.assertEqual(self.lines(number)[-1]["error"], "no_route")

    def test_who_never_says_anything_is_no_mistake_of_the_routes(self):
        """What looks whether the port is open, every few seconds."""
        weir = self.sni(backend=None)
        self.client(weir).close()
        self.assertEqual(self.line().get("error"), None)
        self.assert_metric(weir, 0, "weir_errors_total", reason="no_route")
        self.assert_metric(weir, 1, "weir_connection_closes_total", reason="client_gone")

    def test_a_spoofed_header_is_one_however_it_is_cut(self):
        header = b"PROXY TCP4 10.1.2.3 10.0.0.1 1234 443\r\n"
        for cut in (1, 2, 5, len(header)):
            with self.subTest(cut=cut):
                self.spoof(header, cut)

    def spoof(self, header: bytes, cut: int) -> None:
        weir = self.sni(backend=None, accept_proxy=["10.0.0.0/8"])
        client = self.client(weir).send(header[:cut])
        wait_until(lambda w=weir, n=cut: w.metric(
            "weir_received_bytes_total", side="downstream") == n, 10, "the first bytes")
        with contextlib.suppress(ConnectionError):
            client.send(header[cut:] + b"more")
        self.assertTrue(client.gone())
        self.assert_metric(weir, 1, "weir_errors_total", reason="untrusted_proxy_header")
        self.assert_metric(weir, 0, "weir_errors_total", reason="no_route")

    def test_no_route_and_much_to_say(self):
        """A client that goes on sending gets no reset before it has seen the end."""
        weir = self.sni(backend=None)
        client = self.client(weir).send(hello("unknown.example") + noise(100_000))
        self.assertTrue(client.closed())


class Waiting(SniCase):

    def test_server_that_speaks_first(self):
        """The client says nothing: after client_head_timeout it goes to the default."""
        greeting = self.origin(lambda connection: (connection.send(b"220\r\n"), echo(connection)))
        self.servers["app"] = greeting
        client = self.client(self.sni(client_head=ms(200)))
        self.assertEqual(client.reader.until(b"\n"), b"220\r\n")
        client.send(b"EHLO\r\n")
        self.assertEqual(client.reader.until(b"\n"), b"EHLO\r\n")
        client.half_close()
        line = self.line()
        self.assertEqual((line["rule"], line.get("error")), ("hello_late", None))

    def test_stalled_hello(self):
        """What came of it goes to the default; without one the connection is closed."""
        data = hello("shop.example")[:80]
        client = self.client(self.sni(client_head=ms(200))).send(data)
        self.assertEqual(client.reader.exact(80), data)
        client.half_close()
        line = self.line()
        self.assertEqual((line["rule"], line.get("error")), ("hello_late", None))
        self.file = self.path("second.log")
        weir = self.sni(client_head=ms(200), backend=None)
        self.assertTrue(self.client(weir).send(data).closed())
        self.assert_metric(weir, 1, "weir_errors_total", reason="bad_client_hello")
        self.assertEqual(self.line()["rule"], "hello_late")

    def test_end_within_the_hello(self):
        weir = self.sni(client_head="60s", backend=None)
        self.assertTrue(self.client(weir).send(hello("shop.example")[:80]).half_close().closed())
        self.assert_metric(weir, 1, "weir_errors_total", reason="bad_client_hello")

    def test_silence_without_a_default(self):
        weir = self.sni(client_head=ms(200), backend=None)
        self.assertTrue(self.client(weir).closed())
        self.assert_metric(weir, 0, "weir_relays_total")

    def test_reset_within_the_hello(self):
        weir = self.sni(client_head="60s")
        client = self.client(weir).send(hello("shop.example")[:50])
        wait_until(lambda: weir.metric("weir_received_bytes_total", side="downstream") == 50, 10,
                   "the bytes at weir")
        client.reset()
        wait_until(lambda: weir.metric("weir_connection_closes_total", reason="client_gone") == 1,
                   10, "the end of the connection")
        wait_until(lambda: not self.held(weir), 10, "weir at rest")
        self.assertEqual(self.line()["error"], "client_closed")

    def test_reset_before_the_hello(self):
        """Who has said nothing has looked whether the port is open."""
        weir = self.sni(client_head="60s")
        client = self.client(weir)
        name = "weir_listener_connections_active"
        wait_until(lambda: weir.metric(name, listener="web") == 1, 10, "it is at weir")
        client.reset()
        self.assertNotIn("error", self.line())
        self.assert_metric(weir, 0, "weir_errors_total", reason="client_closed")

    def test_stop_during_the_hello(self):
        """A hello that is on its way when weir is told to stop still gets its server; who says
        nothing is not waited for."""
        weir = self.sni(client_head="60s", backend=None)
        data = hello("shop.example")
        client = self.client(weir).send(data[:50])
        silent = self.client(weir)
        name = "weir_listener_connections_active"
        wait_until(lambda: weir.metric(name, listener="web") == 2, 10, "both at weir")
        weir.signal(signal.SIGTERM)
        client.send(data[50:])
        self.assertEqual(client.reader.exact(len(data)), data)
        client.close()
        self.assertTrue(silent.closed())
        self.assertEqual(weir.wait(), 0)
