"""TCP mode: bytes both ways, ends and resets carried across, limits of time and memory."""

import hashlib
import socket
import threading

from harness import SANITIZED, seconds, wait_until
from harness.failure import ms
from harness.relaying import RelayCase, echo, flood_and_reset, noise, swallow


class Bytes(RelayCase):

    def test_echo(self):
        """Of any protocol: what looks like HTTP, or like nothing, comes back as it was sent."""
        server = self.origin(echo)
        weir = self.tcp(server)
        client = self.client(weir)
        for piece in (b"\0", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 100, noise(18_432), b"\r\n"):
            client.send(piece)
            self.assertEqual(client.reader.exact(len(piece)), piece)
        client.half_close()
        self.assertTrue(client.closed())
        self.ended(server.connections[0])

    def test_command_line(self):
        """`weir proxy --mode tcp`, without a file."""
        server = self.origin(echo)
        client = self.client(self.plain(server, options=["--mode", "tcp"]))
        client.send(b"SSH-2.0-x\r\n")
        self.assertEqual(client.reader.exact(11), b"SSH-2.0-x\r\n")

    def test_small_messages(self):
        """Each is answered before the next is sent: none waits for company."""
        client = self.client(self.tcp(self.origin(echo), runtime={"workers": 2}))
        for number in range(2_000):
            message = b"%d\n" % number
            client.send(message)
            self.assertEqual(client.reader.exact(len(message)), message)

    def test_both_directions_at_once(self):
        """Two streams that have nothing to do with each other, each to its end."""
        up, down = noise(8 << 20, 1), noise(8 << 20, 2)

        def script(connection):
            sender = threading.Thread(target=lambda: (connection.send(down),
                                                      connection.half_close()))
            sender.start()
            connection.digest = hashlib.sha256(connection.wait_end()).digest()
            sender.join()

        server = self.origin(script, record=False)
        weir = self.tcp(server)
        client = self.client(weir, timeout=seconds(30))
        sender = threading.Thread(target=lambda: (client.send(up), client.half_close()))
        sender.start()
        self.assertEqual(hashlib.sha256(client.rest()).digest(), hashlib.sha256(down).digest())
        sender.join()
        self.ended(server.connections[0])
        self.assertEqual(server.connections[0].digest, hashlib.sha256(up).digest())
        line = self.line()
        self.assertEqual((line["rx"], line["tx"]), (len(up), len(down)))
        self.assertNotIn("error", line)

    def test_connections_do_not_mix(self):
        """Many at one time over two workers: each gets its own bytes back."""
        weir = self.tcp(self.origin(echo, record=False), self.origin(echo, record=False),
                        runtime={"workers": 2})
        clients = [self.client(weir, timeout=seconds(30)) for _ in range(40)]
        data = [noise(100_000 + number, number) for number in range(40)]
        senders = [threading.Thread(target=client.send, args=(mine,))
                   for client, mine in zip(clients, data)]
        for sender in senders:
            sender.start()
        for client, mine in zip(clients, data):
            self.assertEqual(client.reader.exact(len(mine)), mine)
        for sender in senders:
            sender.join()

    def test_server_speaks_first(self):
        """Nothing has to come from the client before it is connected."""
        server = self.origin(lambda connection: (connection.send(b"220 ready\r\n"),
                                                 echo(connection)))
        client = self.client(self.tcp(server))
        self.assertEqual(client.reader.until(b"\n"), b"220 ready\r\n")
        client.send(b"QUIT\r\n")
        self.assertEqual(client.reader.until(b"\n"), b"QUIT\r\n")

    def test_urgent_data(self):
        """A byte sent as urgent comes in its place in the stream, or not at all; what is behind it
        comes in any case."""
        server = self.origin(swallow)
        client = self.client(self.tcp(server))
        client.send(b"before")
        client.sock.send(b"!", socket.MSG_OOB)
        client.send(noise(500_000)).half_close()
        self.assertTrue(client.closed())
        self.ended(server.connections[0])
        self.assertIn(server.received(), (b"before" + noise(500_000), b"before!" + noise(500_000)))

    def test_byte_counters(self):
        weir = self.tcp(self.origin(echo))
        before = weir.metrics()
        client = self.client(weir)
        client.send(noise(10_000))
        client.reader.exact(10_000)
        client.half_close()
        self.assertTrue(client.closed())
        self.line()
        after = weir.metrics()
        for side in ("downstream", "upstream"):
            for name in ("received", "sent"):
                series = f'weir_{name}_bytes_total{{side="{side}"}}'
                self.assertEqual(after[series] - before[series], 10_000, series)
        for kind in ("listener", "server"):
            for name in ("received", "sent"):
                count = weir.metric(f"weir_{kind}_{name}_bytes_total")
                self.assertEqual(count, 10_000, (kind, name))
        self.assertEqual(after["weir_relays_total"] - before["weir_relays_total"], 1)


class Ends(RelayCase):

    def test_client_ends_first(self):
        """The server's answer comes behind the client's end."""
        def script(connection):
            connection.send(b"got %d" % len(connection.wait_end()))

        server = self.origin(script)
        weir = self.tcp(server)
        client = self.client(weir)
        client.send(noise(300_000)).half_close()
        self.assertEqual(client.rest(), b"got 300000")
        self.assertEqual(server.received(), noise(300_000))
        closes = 'weir_connection_closes_total{reason="relay_finished"}'
        wait_until(lambda: weir.metrics()[closes] == 1, 10, "the close counted")
        self.assertNotIn("error", self.line())
        self.assert_metric(weir, 0, "weir_errors_total", reason="client_closed")

    def test_client_ends_before_it_has_a_server(self):
        """Its bytes and its end wait for the connection."""
        server = self.origin(lambda connection: connection.send(connection.wait_end()[::-1]))
        weir = self.tcp(self.free_port(), server, backend={"balance": "first"})
        client = self.client(weir).send(b"abc").half_close()
        self.assertEqual(client.rest(), b"cba")

    def test_client_ends_without_a_byte(self):
        server = self.origin(lambda connection: (connection.wait_end(), connection.send(b"bye")))
        client = self.client(self.tcp(server)).half_close()
        self.assertEqual(client.rest(), b"bye")

    def test_server_ends_first(self):
        """The client sees the end, and can go on sending for as long as it likes."""
        def script(connection):
            connection.send(b"hello")
            connection.half_close()
            connection.wait_end()

        server = self.origin(script)
        client = self.client(self.tcp(server))
        self.assertEqual(client.rest(), b"hello")
        for piece in range(10):
            client.send(noise(50_000, piece))
        wait_until(lambda: len(server.received()) == 500_000, 10, "all of it at the server")
        self.assertFalse(server.connections[0].done.is_set())
        client.half_close()
        self.ended(server.connections[0])
        self.assertTrue(server.connections[0].saw_end)

    def test_server_closes_while_the_client_sends(self):
        """A close with bytes unread resets; the client learns of it, and not by an end."""
        def script(connection):
            connection.reader.exact(1)
            connection.close()

        client = self.client(self.tcp(self.origin(script)))
        with self.assertRaises(ConnectionError):
            while True:
                client.send(noise(100_000))

    def test_client_sends_to_a_server_that_is_gone(self):
        """It has its answer and its end; for what it sends now there is a reset, soon."""
        server = self.origin(lambda connection: (connection.reader.exact(1),
                                                 connection.send(b"answer")))
        client = self.client(self.tcp(server)).send(b"x")
        self.assertEqual(client.rest(), b"answer")
        with self.assertRaises(ConnectionError):
            while True:
                client.send(noise(10_000))
        self.assertEqual(self.line()["tx"], 6)

    def test_client_resets(self):
        server = self.origin(echo)
        weir = self.tcp(server)
        client = self.client(weir)
        client.send(b"x")
        self.assertEqual(client.reader.exact(1), b"x")
        client.reset()
        self.ended(server.connections[0])
        self.assertTrue(server.connections[0].saw_reset)
        line = self.line()
        self.assertEqual((line["error"], line["rx"], line["tx"]), ("client_closed", 1, 1))
        self.assert_metric(weir, 1, "weir_errors_total", reason="client_closed")
        self.assert_metric(weir, 1, "weir_connection_closes_total", reason="client_gone")

    def test_client_that_has_said_nothing_resets(self):
        """One who is still suspected of a PROXY header that it may not send."""
        def script(connection):
            connection.send(b"hello")
            swallow(connection)

        server = self.origin(script)
        client = self.client(self.tcp(server, listener={"accept_proxy": ["10.0.0.0/8"]}))
        self.assertEqual(client.reader.exact(5), b"hello")
        client.reset()
        self.ended(server.connections[0])
        self.assertTrue(server.connections[0].saw_reset)
        self.assertEqual(self.line()["error"], "client_closed")

    def test_client_resets_behind_bytes(self):
        """The server gets them first, then the reset."""
        go = threading.Event()
        self.addCleanup(go.set)

        def script(connection):
            connection.send(b"!")
            go.wait(seconds(10))
            swallow(connection)

        server = self.origin(script)
        client = self.client(self.tcp(server))
        self.assertEqual(client.reader.exact(1), b"!")
        client.send(b"last words").reset()
        self.assertEqual(self.line()["error"], "client_closed")  # weir is done with it.
        go.set()
        self.ended(server.connections[0])
        self.assertEqual(server.received(), b"last words")
        self.assertTrue(server.connections[0].saw_reset)

    def test_server_resets(self):
        """Behind the bytes it had sent. The log and the metrics say who it was."""
        def script(connection):
            connection.reader.exact(2)
            connection.send(b"some bytes")
            connection.reset()

        weir = self.tcp(self.origin(script))
        client = self.client(weir).send(b"go")
        self.assertEqual(self.was_reset(client), b"some bytes")
        line = self.line()
        self.assertEqual((line["error"], line["rx"], line["tx"]), ("upstream_reset", 2, 10))
        self.assert_metric(weir, 1, "weir_errors_total", reason="upstream_reset")
        self.assert_metric(weir, 1, "weir_connection_closes_total", reason="server_broken")

    def test_server_resets_in_the_middle_of_much(self):
        """What the client has got is a beginning of what was sent, and the end is no end."""
        data = noise(4 << 20)

        def script(connection):
            connection.send(data)
            connection.reset()

        client = self.client(self.tcp(self.origin(script)))
        got = self.was_reset(client)
        self.assertEqual(got, data[:len(got)])

    def test_server_resets_a_client_that_does_not_read(self):
        reset = threading.Event()
        self.addCleanup(reset.set)

        def script(connection):
            connection.sock.settimeout(0.2)
            try:
                while True:
                    connection.send(noise(65_536))
            except TimeoutError:
                pass
            connection.stuffed = True
            reset.wait(seconds(10))
            connection.reset()

        server = self.origin(script, record=False)
        client = self.client(self.tcp(server), receive_buffer=4096)
        (connection,) = server.wait_connections(1)
        wait_until(lambda: hasattr(connection, "stuffed"), 10, "every buffer full")
        reset.set()
        self.was_reset(client)

    def test_client_resets_while_the_server_does_not_read(self):
        """What it had sent before comes first, if the server takes it, and no end but a reset."""
        go = threading.Event()
        self.addCleanup(go.set)

        def script(connection):
            go.wait(seconds(20))
            swallow(connection)

        server = self.origin(script, receive_buffer=4096)
        client = self.client(self.tcp(server))
        client.sock.settimeout(0.2)
        with self.assertRaises(TimeoutError):
            while True:
                client.send(noise(65_536))
        client.reset()
        go.set()
        self.ended(server.connections[0])
        got = server.received()
        self.assertEqual(got, (noise(65_536) * (len(got) // 65_536 + 1))[:len(got)])
        self.assertTrue(server.connections[0].saw_reset)


class Crowded(RelayCase):
    """max_connections: who has never said anything, nor been told anything, makes room."""

    LIMIT = {"max_connections": 4}

    def test_silent_connections_keep_nobody_out(self):
        weir = self.tcp(self.origin(echo), listener=self.LIMIT)
        speaking = self.client(weir)
        speaking.send(b"x")
        self.assertEqual(speaking.reader.exact(1), b"x")
        silent = [self.client(weir) for _ in range(3)]
        wait_until(lambda: weir.metric("weir_relays") == 4, 10, "all relayed")
        late = self.client(weir)
        late.send(b"late")
        self.assertEqual(late.reader.exact(4), b"late")
        self.assertTrue(silent[0].gone())
        self.assertTrue(speaking.quiet(0.001) and silent[1].quiet(0.001))
        self.assertEqual(self.line()["error"], "made_room")
        self.assert_metric(weir, 1, "weir_errors_total", reason="made_room")
        self.assert_metric(weir, 1, "weir_connection_closes_total", reason="crowded")

    def test_connections_in_use_keep_their_places(self):
        """Those of a server that speaks first are in use, too."""
        server = self.origin(lambda connection: (connection.send(b"220"), echo(connection)))
        weir = self.tcp(server, listener=self.LIMIT)
        inside = [self.client(weir) for _ in range(4)]
        for client in inside:
            self.assertEqual(client.reader.exact(3), b"220")
        late = self.client(weir)
        wait_until(lambda: weir.metric("weir_listener_connections_limit_hits_total",
                                       listener="web") >= 1, 10, "the pause")
        weir.wait_turns(5)
        self.assertTrue(all(client.quiet(0.001) for client in inside))
        inside[0].close()
        self.assertEqual(late.reader.exact(3), b"220")


class IdleTimeout(RelayCase):

    def test_both_sides_are_reset(self):
        server = self.origin(echo)
        weir = self.tcp(server, listener={"tunnel_idle_timeout": ms(200)})
        client = self.client(weir)
        client.send(b"x")
        self.assertEqual(client.reader.exact(1), b"x")
        self.assertEqual(self.was_reset(client), b"")
        self.ended(server.connections[0])
        self.assertTrue(server.connections[0].saw_reset)
        self.assertEqual(self.line()["error"], "tunnel_idle_timeout")
        self.assert_metric(weir, 1, "weir_connection_closes_total", reason="idle_timeout")
        self.assert_metric(weir, 1, "weir_errors_total", reason="tunnel_idle_timeout")

    def test_half_an_answer(self):
        """Nobody may take it for a whole one: an end in order would say that it is."""
        server = self.origin(lambda connection: (connection.send(b"half"), connection.wait_end()))
        client = self.client(self.tcp(server, listener={"tunnel_idle_timeout": ms(200)}))
        self.assertEqual(self.was_reset(client), b"half")
        self.ended(server.connections[0])
        self.assertTrue(server.connections[0].saw_reset)

    def test_what_a_reset_server_leaves(self):
        """And nobody takes: that is the server's failure, not silence."""
        weir = self.tcp(self.origin(flood_and_reset), listener={"tunnel_idle_timeout": ms(1500)})
        client = self.client(weir, receive_buffer=4096).send(b"x")
        self.assertEqual(self.line()["error"], "upstream_reset")
        name = "weir_connection_closes_total"
        self.assert_metric(weir, 1, name, reason="server_broken")
        self.was_reset(client)

    def test_before_the_first_byte(self):
        client = self.client(self.tcp(self.origin(swallow),
                                      listener={"tunnel_idle_timeout": ms(200)}))
        self.assertEqual(self.was_reset(client), b"")

    def test_half_closed(self):
        """One direction has ended, and nothing comes in the other."""
        hold = threading.Event()
        self.addCleanup(hold.set)
        server = self.origin(lambda connection: (connection.wait_end(), hold.wait(seconds(20))))
        client = self.client(self.tcp(server, listener={"tunnel_idle_timeout": ms(200)}))
        client.send(b"x").half_close()
        self.assertEqual(self.was_reset(client), b"")
        self.assertEqual(self.line()["error"], "tunnel_idle_timeout")

    def test_a_slow_reader_is_not_silent(self):
        """weir has passed everything on long before, and the kernel holds it: what the client takes
        of that counts, though weir hears nothing of it."""
        whole, piece = 2 << 20, 32 << 10
        server = self.origin(lambda connection: (connection.send(bytes(whole)),
                                                 connection.wait_end()))
        client = self.client(self.tcp(server, listener={"tunnel_idle_timeout": ms(600)}),
                             receive_buffer=piece)
        pace = threading.Event()
        for _ in range(24):
            client.reader.exact(piece)
            pace.wait(seconds(0.1))
        client.reader.exact(whole - 24 * piece)
        self.assertEqual(self.was_reset(client), b"")
        self.assertEqual(self.line()["tx"], whole)

    def test_either_direction_counts(self):
        """Bytes one way keep the connection, though the other is silent for much longer."""
        server = self.origin(swallow)
        client = self.client(self.tcp(server, listener={"tunnel_idle_timeout": ms(600)}))
        for _ in range(12):
            client.send(b".")
            self.assertTrue(client.quiet(seconds(0.1)))
        wait_until(lambda: server.received() == b"." * 12, 10, "all at the server")
        self.assertEqual(self.was_reset(client), b"")


class SlowReaders(RelayCase):

    def test_memory_is_bounded(self):
        """A server that sends all it can to clients that read nothing: it is stopped, weir holds
        next to nothing of it, and everybody else is served."""
        flood = threading.Event()
        self.addCleanup(flood.set)

        def script(connection):
            if connection.reader.exact(1) == b"e":
                return echo(connection)
            while not flood.is_set():
                try:
                    connection.sock.send(block)
                except TimeoutError:
                    pass

        block = noise(1 << 20)
        weir = self.tcp(self.origin(script, record=False))
        memory = weir.memory()
        slow = [self.client(weir, receive_buffer=4096).send(b"f") for _ in range(20)]
        self.still(lambda: weir.metric("weir_received_bytes_total", side="upstream"),
                   "every buffer full")
        fast = self.client(weir).send(b"e")
        for number in range(200):
            fast.send(noise(1_000, number))
            self.assertEqual(fast.reader.exact(1_000), noise(1_000, number))
        self.assertLessEqual(weir.metric("weir_worker_buffers", worker="0"), 2 * len(slow) + 2)
        if not SANITIZED:
            self.assertLess(weir.memory() - memory, 4 << 20)

    def test_it_goes_on_where_it_stopped(self):
        """A reader that pauses until everything is full, and then reads all of it."""
        data = noise(24 << 20)
        server = self.origin(lambda connection: connection.send(data), record=False)
        weir = self.tcp(server)
        client = self.client(weir, receive_buffer=8192, timeout=seconds(30))

        def taken() -> float:
            return weir.metric("weir_received_bytes_total", side="upstream")

        self.still(taken, "the flow to stand still")
        self.assertLess(taken(), len(data))
        self.assertEqual(hashlib.sha256(client.rest()).digest(), hashlib.sha256(data).digest())
