"""What bounds a tunnel: idle time, limits of server and listener, a stop; and what does not."""

import signal
import threading

from harness import SANITIZED, seconds, wait_until
from harness.failure import ms
from harness.ports import is_listening
from harness.relaying import (RelayCase, echo, flood_and_reset, noise, offer, swallow,
                              switched)


def switching(then=echo):
    def script(connection):
        while request := connection.request():
            if request.has("upgrade"):
                connection.send(switched())
                return then(connection)
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    return script


class LimitCase(RelayCase):

    def proxy(self, server, **options):
        return self.weir(server, access_log=self.file, **options)

    def tunnel(self, weir, **options):
        client = self.client(weir, **options).send(offer())
        self.assertEqual(client.head().status, 101)
        return client

    def echoes(self, client, data: bytes = b"still here") -> None:
        client.send(data)
        self.assertEqual(client.reader.exact(len(data)), data)


class Time(LimitCase):

    def test_idle(self):
        """Both sides are reset; the log says why, and how long it was."""
        server = self.origin(switching())
        weir = self.proxy(server, listener={"tunnel_idle_timeout": ms(200)})
        client = self.tunnel(weir)
        self.echoes(client)
        self.assertEqual(self.was_reset(client), b"")
        self.ended(server.connections[0])
        self.assertTrue(server.connections[0].saw_reset)
        line = self.line()
        self.assertEqual((line["status"], line["error"], line["rx"], line["tx"]),
                         (101, "tunnel_idle_timeout", 10, 10))
        self.assertGreaterEqual(line["dur"], 0.15)
        self.assert_metric(weir, 1, "weir_errors_total", reason="tunnel_idle_timeout")
        client.close()
        name = "weir_connection_closes_total"
        wait_until(lambda: weir.metric(name, reason="idle_timeout") == 1, 10, "the close counted")

    def test_idle_half_closed(self):
        hold = threading.Event()
        self.addCleanup(hold.set)
        server = self.origin(switching(lambda connection: (connection.wait_end(),
                                                           hold.wait(seconds(20)))))
        client = self.tunnel(self.proxy(server, listener={"tunnel_idle_timeout": ms(200)}))
        client.half_close()
        self.assertEqual(self.was_reset(client), b"")
        self.assertEqual(self.line()["error"], "tunnel_idle_timeout")

    def test_one_direction_keeps_it(self):
        """Pings of the server, which nobody answers."""
        go = threading.Semaphore(0)
        self.addCleanup(lambda: go.release(1_000))

        def pinging(connection):
            for _ in range(12):
                go.acquire(timeout=seconds(10))
                connection.send(b"\x89\0")
            connection.wait_end()

        client = self.tunnel(self.proxy(self.origin(switching(pinging)),
                                        listener={"tunnel_idle_timeout": ms(600)}))
        for _ in range(12):
            self.assertTrue(client.quiet(seconds(0.1)))
            go.release()
            self.assertEqual(client.reader.exact(2), b"\x89\0")
        self.assertEqual(self.was_reset(client), b"")

    def test_timeouts_of_requests_mean_nothing(self):
        """All of them pass, one after the other, and the tunnel stays."""
        server = self.origin(switching())
        weir = self.proxy(server, listener={"client_head": ms(100), "client_idle": ms(100),
                                            "client_body": ms(100)},
                          backend={"response_head": ms(100), "response_body": ms(100),
                                   "idle": ms(100), "request_timeout": ms(200)})
        client = self.tunnel(weir)
        self.assertTrue(client.quiet(seconds(0.6)))
        self.echoes(client)

    def test_stalled_reader(self):
        """A client that takes nothing for tunnel_idle_timeout is given up, however much waits."""
        server = self.origin(switching(lambda connection: (connection.send(noise(16 << 20)),
                                                           connection.wait_end())), record=False)
        weir = self.proxy(server, listener={"tunnel_idle_timeout": ms(300)})
        self.tunnel(weir, receive_buffer=4096)
        self.ended(server.connections[0])
        self.assertEqual(self.line()["error"], "tunnel_idle_timeout")

    def test_what_a_reset_server_leaves(self):
        """And the client does not take: that is the server's failure, not silence."""
        weir = self.proxy(self.origin(switching(flood_and_reset)),
                          listener={"tunnel_idle_timeout": ms(1500)})
        client = self.tunnel(weir, receive_buffer=4096).send(b"x")
        self.assertEqual(self.line()["error"], "upstream_reset")
        self.was_reset(client)
        name = "weir_connection_closes_total"
        wait_until(lambda: weir.metric(name, reason="server_broken") == 1, 10, "the close counted")


class Places(LimitCase):

    def test_slot_of_the_server(self):
        """Held for as long as the tunnel is; requests wait for it."""
        server = self.origin(switching())
        weir = self.proxy(server, backend={"server_limit": 1,
                                           "queue": {"timeout": "60s", "target": "0s"}})
        client = self.tunnel(weir)
        other = self.client(weir).send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: weir.metric("weir_backend_queue_length") == 1, 10, "it waits")
        self.echoes(client)
        self.assert_metric(weir, 1, "weir_server_requests_in_flight")
        client.half_close()
        self.assertTrue(client.closed())
        self.assertEqual(other.response().status, 200)

    def test_slot_comes_back_by_a_reset(self):
        weir = self.proxy(self.origin(switching()), backend={"server_limit": 1, "queue": {
            "timeout": "60s", "target": "0s"}})
        for _ in range(5):
            client = self.tunnel(weir)
            self.echoes(client)
            client.reset()
        self.tunnel(weir)

    def test_max_connections(self):
        """A tunnel is never closed to make room, however silent it is."""
        weir = self.proxy(self.origin(switching()), listener={"max_connections": 2})
        tunnels = [self.tunnel(weir) for _ in range(2)]
        late = self.client(weir).send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        hits = "weir_listener_connections_limit_hits_total"
        wait_until(lambda: weir.metric(hits, listener="web") >= 1, 10, "the pause")
        weir.wait_turns(5)
        for client in tunnels:
            self.echoes(client)
        tunnels[0].close()
        self.assertEqual(late.response().status, 200)
        self.echoes(tunnels[1])

    def test_idle_tunnels_hold_no_blocks(self):
        """Fifty of them, after much has passed through each."""
        weir = self.proxy(self.origin(switching()))
        clients = [self.tunnel(weir) for _ in range(50)]
        for number, client in enumerate(clients):
            self.echoes(client, noise(40_000, number))
        name = "weir_worker_buffers"
        # With an access log each keeps the block in which its line has begun.
        wait_until(lambda: weir.metric(name, worker="0") <= len(clients), 10, "blocks given back")

    def test_slow_readers_do_not_matter_to_others(self):
        """Each is stopped with a bounded amount on its way; a lively one beside them is served."""
        stop = threading.Event()
        self.addCleanup(stop.set)
        block = noise(1 << 20)

        def flood(connection):
            if connection.reader.exact(1) == b"e":
                return echo(connection)
            while not stop.is_set():
                try:
                    connection.sock.send(block)
                except TimeoutError:
                    pass

        weir = self.proxy(self.origin(switching(flood), record=False))
        memory = weir.memory()
        for _ in range(10):
            self.tunnel(weir, receive_buffer=4096).send(b"f")
        self.still(lambda: weir.metric("weir_received_bytes_total", side="upstream"),
                   "every buffer full")
        lively = self.tunnel(weir).send(b"e")
        for number in range(200):
            self.echoes(lively, noise(1_000, number))
        self.assertLessEqual(weir.metric("weir_worker_buffers", worker="0"), 3 * 11 + 2)
        if not SANITIZED:
            self.assertLess(weir.memory() - memory, 4 << 20)


class Stopping(LimitCase):

    def stop(self, weir) -> None:
        weir.signal(signal.SIGTERM)
        wait_until(lambda: not is_listening(weir.port), 10, "the listener closed")

    def test_tunnels_go_last(self):
        """Idle clients are closed at once, the tunnel goes on, and weir ends behind it."""
        server = self.origin(switching())
        weir = self.proxy(server)
        tunnel, idle = self.tunnel(weir), self.client(weir)
        self.assertEqual(idle.get().status, 200)
        self.stop(weir)
        self.assertTrue(idle.closed())
        for number in range(5):
            self.echoes(tunnel, noise(50_000, number))
        self.assertTrue(weir.running())
        tunnel.half_close()
        self.assertTrue(tunnel.closed())
        self.assertEqual(weir.wait(), 0)
        self.assertEqual({line.get("error") for line in self.lines(2)}, {None})

    def test_until_the_grace_is_over(self):
        server = self.origin(switching())
        weir = self.proxy(server, runtime={"shutdown_grace": ms(400)})
        client = self.tunnel(weir)
        self.stop(weir)
        self.was_reset(client)
        self.ended(server.connections[0])
        self.assertEqual(weir.wait(), 0)
        line = self.line()
        self.assertEqual((line["status"], line["error"]), (101, "shutting_down"))

    def test_an_offer_under_way(self):
        """What the server takes long to answer becomes a tunnel all the same."""
        go = threading.Event()
        self.addCleanup(go.set)

        def script(connection):
            connection.request()
            go.wait(seconds(10))
            connection.send(switched())
            echo(connection)

        server = self.origin(script)
        weir = self.proxy(server)
        client = self.client(weir).send(offer())
        server.wait_requests(1)
        self.stop(weir)
        go.set()
        self.assertEqual(client.head().status, 101)
        self.echoes(client)
        client.half_close()
        self.assertTrue(client.closed())
        self.assertEqual(weir.wait(), 0)

    def test_second_signal(self):
        weir = self.proxy(self.origin(switching(swallow)))
        client = self.tunnel(weir)
        self.stop(weir)
        weir.signal(signal.SIGINT)
        self.was_reset(client)
        self.assertEqual(weir.wait(), 0)
