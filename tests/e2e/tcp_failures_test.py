"""TCP mode when something is wrong or scarce: servers that refuse or are silent, limits and the
queue before them, too many clients, a stop, a reload."""

import itertools
import signal

from harness import config, seconds, wait_until
from harness.failure import ms
from harness.ports import is_listening
from harness.relaying import RelayCase, echo, noise, swallow


def naming(name: str):
    """A script that says its server's name, then echoes."""
    return lambda connection: (connection.send(name.encode()), echo(connection))


class Connecting(RelayCase):

    def test_first_bytes_go_to_the_second_server_once(self):
        server = self.origin(echo)
        weir = self.tcp(self.free_port(), server, backend={"balance": "first"})
        client = self.client(weir).send(b"hello ", b"world")
        self.assertEqual(client.reader.exact(11), b"hello world")
        client.close()
        line = self.line()
        self.assertEqual((line["attempts"], line["server"]), (2, server.address))
        self.assertNotIn("error", line)
        self.assertEqual(server.received(), b"hello world")
        self.assert_metric(weir, 1, "weir_backend_retries_total", reason="other_server")

    def test_more_first_bytes_than_weir_holds(self):
        """What a client sends before it has a server waits in the kernel."""
        data = noise(3 << 20)
        server = self.origin(swallow)
        weir = self.tcp(self.deaf_port(), server,
                        backend={"balance": "first", "connect": ms(300)})
        client = self.client(weir, timeout=seconds(30))
        client.send(data).half_close()
        self.assertTrue(client.closed())
        self.assertEqual(server.received(), data)
        self.assertEqual(self.line()["attempts"], 2)

    def test_nobody_accepts(self):
        """A reset, because an end in order would look like an answer."""
        weir = self.tcp(self.free_port(), self.free_port())
        self.refused(weir)
        line = self.line()
        self.assertEqual((line["error"], line["attempts"]), ("connect_refused", 2))
        self.assertEqual((line["rx"], line["tx"], line["proto"]), (0, 0, "tcp"))
        self.assert_metric(weir, 1, "weir_errors_total", reason="connect_refused")
        self.assert_metric(weir, 0, "weir_relays_total")

    def test_connect_timeout(self):
        weir = self.tcp(self.deaf_port(), backend={"connect": ms(200)})
        self.refused(weir, b"x")
        self.assertEqual(self.line()["error"], "connect_timeout")

    def test_beyond_six_dead_servers(self):
        """Refused connections have a bound of their own: 8 servers."""
        weir = self.tcp(*(self.free_port() for _ in range(6)), self.origin(echo),
                        backend={"balance": "first"})
        client = self.client(weir).send(b"x")
        self.assertEqual(client.reader.exact(1), b"x")

    def test_never_again_after_a_byte_was_passed_on(self):
        """The first server takes the connection and resets it: that is the client's to see."""
        def script(connection):
            connection.reader.exact(1)
            connection.reset()

        other = self.origin(echo)
        weir = self.tcp(self.origin(script), other, backend={"balance": "first"})
        self.refused(weir, b"x")
        self.assertEqual(self.line()["error"], "upstream_reset")
        self.assertEqual(other.connections, [])

    def test_client_leaves_while_weir_connects(self):
        weir = self.tcp(self.deaf_port(), backend={"connect": "60s"})
        client = self.client(weir).send(b"x")
        wait_until(lambda: weir.metric("weir_server_requests_connecting") == 1, 10, "connecting")
        client.reset()
        wait_until(lambda: not self.held(weir), 10, "weir at rest")
        self.assertEqual(self.line()["error"], "client_closed")
        self.assert_metric(weir, 1, "weir_connection_closes_total", reason="client_gone")
        self.assert_metric(weir, 1, "weir_errors_total", reason="client_closed")

    def test_times_in_the_log(self):
        server = self.origin(echo)
        client = self.client(self.tcp(server)).send(b"x").half_close()
        self.assertEqual(client.rest(), b"x")
        line = self.line()
        self.assertTrue(0 <= line["t_connect"] <= line["dur"] < 10)
        self.assertEqual((line["listener"], line["backend"], line["server"], line["route"]),
                         ("web", "app", server.address, "listener web"))
        self.assertEqual((line["client"], line["client_port"] > 0), ("127.0.0.1", True))
        self.assertLessEqual({"status", "method", "path", "host", "t_ttfb", "reused"} & set(line),
                             set())


class Choosing(RelayCase):

    def names(self, weir, count: int, **options) -> list[str]:
        """Who has greeted the clients that came one after the other."""
        found = []
        for _ in range(count):
            client = self.client(weir, **options)
            found.append(client.reader.exact(1).decode())
            client.close()
            wait_until(lambda: not self.held(weir), 10, "weir at rest")
        return found

    def test_round_robin_with_weights(self):
        weir = self.tcp({"address": self.origin(naming("a")), "weight": 3},
                        self.origin(naming("b")), backend={"balance": "round_robin"})
        found = self.names(weir, 40)
        self.assertEqual((found.count("a"), found.count("b")), (30, 10))

    def test_least_connections(self):
        """Connections that are open count, as requests do."""
        weir = self.tcp(self.origin(naming("a")), self.origin(naming("b")),
                        backend={"balance": "least_connections"})
        clients = [self.client(weir) for _ in range(10)]
        found = [client.reader.exact(1) for client in clients]
        self.assertEqual(found.count(b"a"), 5)

    def test_ip_hash(self):
        """A client keeps its server; others have others."""
        port, admin = self.free_port(), self.free_port()
        servers = [self.origin(naming(name)) for name in "abcd"]
        text = config(listeners={"web": {"bind": f"0.0.0.0:{port}", "mode": "tcp",
                                         "backend": "app"}}, routes=[], servers=servers,
                      backend={"balance": "ip_hash"}, admin=f"127.0.0.1:{admin}")
        weir = self.run_config(text, [port], admin_port=admin)
        found = {}
        for number in range(1, 25):
            source = f"127.0.0.{number}"
            (found[source],) = set(self.names(weir, 3, source=source))
        self.assertGreater(len(set(found.values())), 1)

    def test_health_check_takes_a_server_out(self):
        """Checked by connecting; the one that is down gets nobody until it is back."""
        first, second = self.origin(naming("a")), self.origin(naming("b"))
        weir = self.tcp(first, second, backend={"balance": "round_robin", "health": {
            "type": "tcp", "interval": "50ms", "rise": 1, "fall": 1}})
        first.stop_listening()
        wait_until(lambda: weir.metric("weir_server_up", server=first.address) == 0, 10, "down")
        self.assertEqual(self.names(weir, 6), ["b"] * 6)
        first.listen()
        wait_until(lambda: weir.metric("weir_server_up", server=first.address) == 1, 10, "up")
        wait_until(lambda: self.names(weir, 1) == ["a"], 20, "the one that is back")

    def test_refusals_eject(self):
        """Of a server without a check: after a few nobody is sent there, and nobody notices."""
        server = self.origin(naming("b"))
        weir = self.tcp(self.free_port(), server, backend={"balance": "round_robin"})
        self.assertEqual(self.names(weir, 20), ["b"] * 20)
        self.assert_metric(weir, 1, "weir_server_state", state="ejected")
        self.assertLess(weir.metric("weir_server_connect_failures_total"), 10)


    def test_resets_eject(self):
        """A server that takes connections and resets them unanswered is as good as none."""
        weir = self.tcp(self.origin(lambda connection: connection.reset()),
                        self.origin(naming("b")), backend={"balance": "round_robin"})
        for _ in range(40):
            try:
                self.names(weir, 1)
            except ConnectionError:
                pass
        self.assert_metric(weir, 1, "weir_server_state", state="ejected")
        self.assertEqual(self.names(weir, 10), ["b"] * 10)

    def test_error_rate(self):
        """Every second connection is reset: never two in a row, and yet too many."""
        served = itertools.count()

        def script(connection):
            connection.reader.exact(1)  # A reset before that may look like a refused connection.
            if next(served) % 2:
                connection.send(b"a")
            else:
                connection.reset()

        bad = self.origin(script)
        weir = self.tcp(bad, self.origin(naming("b")), self.origin(naming("b")), backend={
            "balance": "round_robin", "ejection": {
                "consecutive_errors": 0, "error_percent": 40, "window": ms(500), "time": "1h"}})

        def ejected() -> bool:
            for _ in range(12):
                try:
                    with self.client(weir) as client:
                        client.send(b"x").reader.exact(1)
                except ConnectionError:
                    pass
            return "is ejected" in weir.err

        wait_until(ejected, 30, "the ejection")
        self.said(weir, f"server app/{bad.address} is ejected for a while: ")
        self.assertRegex(weir.err, r"ejected for a while: \d+ of \d+ answers were errors")
        self.assertEqual(self.names(weir, 10), ["b"] * 10)


class Limits(RelayCase):

    def one_slot(self, **queue):
        server = self.origin(naming("+"))
        weir = self.tcp(server, backend={"server_limit": 1, "queue": {
            "timeout": "60s", "target": "0s", **queue}})
        first = self.client(weir)
        self.assertEqual(first.reader.exact(1), b"+")
        return weir, server, first

    def waiting(self, weir, count: int) -> None:
        wait_until(lambda: weir.metric("weir_backend_queue_length") == count, 10, f"{count} wait")

    def test_the_next_waits_for_the_end_of_the_first(self):
        weir, server, first = self.one_slot()
        second = self.client(weir).send(b"mine")
        self.waiting(weir, 1)
        self.assertEqual(len(server.connections), 1)
        self.assert_metric(weir, 1, "weir_server_requests_in_flight")
        first.close()
        self.assertEqual(second.reader.exact(5), b"+mine")
        second.close()
        lines = self.lines(2)
        self.assertNotIn("t_queue", lines[0])
        self.assertGreater(lines[1]["t_queue"], 0)

    def test_requests_and_connections_share_a_limit(self):
        """A backend of an HTTP listener and of a TCP listener: one server, one slot, one queue."""
        ports = [self.free_port(), self.free_port()]
        admin = self.free_port()
        server = self.origin()
        text = config(listeners={"tcp": {"bind": f"127.0.0.1:{ports[0]}", "mode": "tcp",
                                         "backend": "app"},
                                 "web": {"bind": f"127.0.0.1:{ports[1]}"}},
                      routes=[{"listener": "web", "backend": "app"}], servers=[server],
                      backend={"server_limit": 1, "queue": {"timeout": "60s", "target": "0s"}},
                      admin=f"127.0.0.1:{admin}")
        weir = self.run_config(text, ports, admin_port=admin)
        relay = self.client(ports[0])
        server.wait_connections(1)
        request = self.client(ports[1]).send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.waiting(weir, 1)
        relay.close()
        self.assertEqual(request.response().status, 200)

    def test_a_reset_gives_the_slot_back(self):
        weir, _, first = self.one_slot()
        second = self.client(weir)
        self.waiting(weir, 1)
        first.reset()
        self.assertEqual(second.reader.exact(1), b"+")

    def test_who_waits_and_leaves_gives_up_its_place(self):
        weir, server, first = self.one_slot()
        gone = self.client(weir).send(b"gone")
        self.waiting(weir, 1)
        stays = self.client(weir).send(b"stays")
        self.waiting(weir, 2)
        gone.reset()
        self.waiting(weir, 1)
        self.assertEqual(self.line()["error"], "client_closed")
        first.close()
        self.assertEqual(stays.reader.exact(6), b"+stays")
        self.assertEqual(len(server.connections), 2)

    def test_end_while_waiting(self):
        """A half-close is no leaving: bytes and end wait too."""
        weir, _, first = self.one_slot()
        second = self.client(weir).send(b"all").half_close()
        self.waiting(weir, 1)
        first.close()
        self.assertEqual(second.rest(), b"+all")

    def test_queue_timeout(self):
        weir, server, first = self.one_slot(timeout=ms(200))
        self.refused(weir, b"x")
        self.assertEqual(self.line()["error"], "queue_timeout")
        self.assert_metric(weir, 1, "weir_backend_queue_ended_total", result="timed_out")
        first.close()
        self.assertEqual(self.client(weir).reader.exact(1), b"+")
        self.assertEqual(len(server.connections), 2)

    def test_queue_full(self):
        weir, _, first = self.one_slot(size=1)
        second = self.client(weir)
        self.waiting(weir, 1)
        self.refused(weir)
        self.assertEqual(self.line()["error"], "queue_full")
        first.close()
        self.assertEqual(second.reader.exact(1), b"+")

    def test_max_connections(self):
        """One more waits in the kernel; relays are never closed for it."""
        server = self.origin(naming("+"))
        weir = self.tcp(server, listener={"max_connections": 2})
        clients = [self.client(weir) for _ in range(2)]
        for client in clients:
            self.assertEqual(client.reader.exact(1), b"+")
        third = self.client(weir)
        hits = "weir_listener_connections_limit_hits_total"
        wait_until(lambda: weir.metric(hits, listener="web") >= 1, 10, "the pause")
        weir.wait_turns(5)
        self.assertEqual(len(server.connections), 2)
        clients[0].close()
        self.assertEqual(third.reader.exact(1), b"+")
        clients[1].send(b"still here")
        self.assertEqual(clients[1].reader.exact(10), b"still here")

    def test_a_client_that_owes_its_hello_makes_room(self):
        server = self.origin(naming("+"))
        weir = self.tcp(server, listener={"max_connections": 1, "client_head": "60s"},
                        routes=[{"sni": "a.example", "backend": "app"}])
        silent = self.client(weir)
        talking = self.client(weir).send(b"no TLS")
        self.assertTrue(silent.gone())
        self.assertEqual(talking.reader.exact(1), b"+")
        self.assert_metric(weir, 1, "weir_connection_closes_total", reason="crowded")

    def test_rate_limit(self):
        """Of connections: beyond it a reset, and no server is asked."""
        server = self.origin(naming("+"))
        port, admin = self.free_port(), self.free_port()
        text = config(listeners={"web": {"bind": f"127.0.0.1:{port}", "mode": "tcp",
                                         "backend": "app", "limits": ["few"]}},
                      routes=[], servers=[server], admin=f"127.0.0.1:{admin}")
        weir = self.run_config(text + '\n[limit.few]\nrate = "3/h"\n', [port], admin_port=admin)
        for _ in range(3):
            self.assertEqual(self.client(weir).reader.exact(1), b"+")
        for _ in range(2):
            self.refused(weir)
        self.assertEqual(len(server.connections), 3)
        self.assert_metric(weir, 2, "weir_limit_refused_total", limit="few")
        self.assert_metric(weir, 2, "weir_errors_total", reason="rate_limited")


class Stopping(RelayCase):

    def stop(self, weir) -> None:
        """Returns when weir listens no more."""
        weir.signal(signal.SIGTERM)
        wait_until(lambda: not is_listening(weir.port), 10, "the listener closed")

    def test_relays_go_on(self):
        """As long as they like, within the grace; then weir ends by itself."""
        weir = self.tcp(self.origin(naming("+")))
        client = self.client(weir)
        self.assertEqual(client.reader.exact(1), b"+")
        self.stop(weir)
        for number in range(5):
            client.send(noise(50_000, number))
            self.assertEqual(client.reader.exact(50_000), noise(50_000, number))
        self.assertTrue(weir.running())
        client.half_close()
        self.assertTrue(client.closed())
        self.assertEqual(weir.wait(), 0)
        self.assertNotIn("error", self.line())

    def test_until_the_grace_is_over(self):
        server = self.origin(naming("+"))
        weir = self.tcp(server, runtime={"shutdown_grace": ms(300)})
        client = self.client(weir)
        self.assertEqual(client.reader.exact(1), b"+")
        weir.signal(signal.SIGTERM)
        self.was_reset(client)
        self.ended(server.connections[0])
        self.assertEqual(weir.wait(), 0)
        self.assertEqual(self.line()["error"], "shutting_down")

    def test_who_waits_is_served(self):
        weir = self.tcp(self.origin(naming("+")), backend={
            "server_limit": 1, "queue": {"timeout": "60s", "target": "0s"}})
        first, second = self.client(weir), self.client(weir)
        self.assertEqual(first.reader.exact(1), b"+")
        wait_until(lambda: weir.metric("weir_backend_queue_length") == 1, 10, "one waits")
        self.stop(weir)
        first.close()
        self.assertEqual(second.reader.exact(1), b"+")
        second.close()
        self.assertEqual(weir.wait(), 0)

    def test_second_signal(self):
        weir = self.tcp(self.origin(naming("+")))
        client = self.client(weir)
        self.assertEqual(client.reader.exact(1), b"+")
        self.stop(weir)
        weir.signal(signal.SIGTERM)
        self.was_reset(client)
        self.assertEqual(weir.wait(), 0)


class Reloading(RelayCase):

    def test_old_relays_live_and_new_ones_go_elsewhere(self):
        first, second = self.origin(naming("1")), self.origin(naming("2"))
        weir = self.tcp(first)
        old = self.client(weir)
        self.assertEqual(old.reader.exact(1), b"1")
        weir.write_config(config(servers=[second], access_log=self.file, routes=[], **{
            key: value for key, value in weir.options.items()
            if key not in ("routes", "access_log")}))
        weir.reload()
        wait_until(lambda: weir.metric("weir_config_generation") == 2, 10, "the reload")
        new = self.client(weir)
        self.assertEqual(new.reader.exact(1), b"2")
        old.send(b"x" * 100_000)
        self.assertEqual(old.reader.exact(100_000), b"x" * 100_000)
        self.assert_metric(weir, 2, "weir_relays")
        old.half_close()
        self.assertTrue(old.closed())
        line = self.line()
        self.assertEqual((line["server"], line["rx"]), (first.address, 100_000))

    def test_while_connecting(self):
        """An attempt finishes with the file it began with; the next one goes by the new file."""
        weir = self.tcp(self.deaf_port(), backend={"connect": ms(400)})
        client = self.client(weir).send(b"x")
        wait_until(lambda: weir.metric("weir_server_requests_connecting") == 1, 10, "connecting")
        options = {key: value for key, value in weir.options.items()}
        weir.write_config(config(servers=[self.origin(naming("2"))], **options))
        weir.reload()
        wait_until(lambda: weir.metric("weir_config_generation") == 2, 10, "the reload")
        self.assertEqual(client.reader.exact(2), b"2x")
        self.assertEqual(self.client(weir).reader.exact(1), b"2")
