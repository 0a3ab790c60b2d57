"""TCP mode on every kind of socket, with every kind of epoll, short of descriptors, and with peers
that do anything at any time."""

import concurrent.futures
import hashlib
import random
import resource
import socket
import struct
import threading

from harness import Client, config, seconds, wait_until
from harness.proxy_header import raw_v2, read_header
from harness.relaying import RelayCase, echo, noise


class Sockets(RelayCase):

    def test_unix(self):
        """Listener and server: splice() does not know all of them, the bytes come all the same."""
        listen, serve = self.path("listen.sock"), self.path("serve.sock")
        server = self.origin(lambda connection: connection.send(connection.wait_end()),
                             unix_path=serve)
        text = config(listeners={"web": {"bind": f"unix:{listen}", "mode": "tcp",
                                         "backend": "app"}}, routes=[], servers=[server],
                      access_log=self.file)
        weir = self.run_config(text, [], ready=False)
        wait_until(lambda: "listening" in weir.output, 10, "weir to listen")
        data = noise(2 << 20)
        client = self.client(listen, timeout=seconds(30))
        sender = threading.Thread(target=lambda: (client.send(data), client.half_close()))
        sender.start()
        self.assertEqual(client.rest(), data)
        sender.join()
        line = self.line()
        self.assertEqual((line["client"], line["client_port"], line["rx"], line["tx"]),
                         ("", 0, len(data), len(data)))

    def test_mixed(self):
        """A TCP client and a server on a unix socket."""
        server = self.origin(lambda connection: connection.send(connection.wait_end()),
                             unix_path=self.path("serve.sock"))
        client = self.client(self.tcp(server), timeout=seconds(30))
        data = noise(2 << 20)
        sender = threading.Thread(target=lambda: (client.send(data), client.half_close()))
        sender.start()
        self.assertEqual(client.rest(), data)
        sender.join()

    def test_proxy_header_of_a_unix_client(self):
        """It has no address to be told."""
        for version, expected in ((1, b"PROXY UNKNOWN\r\n"), (2, raw_v2(0x21, 0, b""))):
            listen = self.path(f"listen{version}.sock")
            headers = []
            server = self.origin(lambda connection, seen=headers: (
                seen.append(read_header(connection.reader)), echo(connection)))
            text = config(listeners={"web": {"bind": f"unix:{listen}", "mode": "tcp",
                                             "backend": "app"}}, routes=[], servers=[server],
                          backend={"send_proxy": version})
            weir = self.run_config(text, [], ready=False)
            wait_until(lambda w=weir: "listening" in w.output, 10, "weir to listen")
            client = self.client(listen).send(b"x")
            self.assertEqual(client.reader.exact(1), b"x")
            self.assertEqual(headers[0].raw, expected)

    def test_ipv6(self):
        port, admin = self.free_port(), self.free_port()
        server = self.origin(echo, host="::1")
        text = config(listeners={"web": {"bind": f"[::1]:{port}", "mode": "tcp", "backend": "app"}},
                      routes=[], servers=[server], admin=f"127.0.0.1:{admin}",
                      access_log=self.file)
        self.run_config(text, [port], admin_port=admin)
        client = self.client(("::1", port)).send(b"x")
        self.assertEqual(client.reader.exact(1), b"x")
        client.close()
        self.assertEqual(self.line()["client"], "::1")


class Triggers(RelayCase):

    def everything(self, trigger: str) -> None:
        def script(connection):
            kind = connection.reader.exact(1)
            if kind == b"e":
                echo(connection)
            elif kind == b"c":
                connection.send(hashlib.sha256(connection.wait_end()).digest())
            elif kind == b"r":
                connection.send(b"bytes")
                connection.reset()

        server = self.origin(script, record=False)
        weir = self.tcp(server, runtime={"trigger": trigger})
        client = self.client(weir).send(b"e")
        for number in range(200):
            client.send(noise(number + 1, number))
            self.assertEqual(client.reader.exact(number + 1), noise(number + 1, number))
        data = noise(6 << 20)
        bulk = self.client(weir, timeout=seconds(30)).send(b"c", data).half_close()
        self.assertEqual(bulk.rest(), hashlib.sha256(data).digest())
        self.assertEqual(self.was_reset(self.client(weir).send(b"r")), b"bytes")
        self.assertLess(weir.cpu_share(0.2), 0.1, "an event is reported again and again")
        client.half_close()
        self.assertTrue(client.closed())

    def test_edge(self):
        self.everything("edge")

    def test_level(self):
        self.everything("level")

    def test_oneshot(self):
        self.everything("oneshot")


class Pipes(RelayCase):

    def test_a_pipe_with_bytes_is_not_used_again(self):
        """Clients that leave in the middle of much; those that come then get their own bytes."""
        def script(connection):
            seed = connection.reader.exact(1)[0]
            connection.send(noise(4 << 20, seed))
            connection.half_close()
            connection.wait_end()

        server = self.origin(script, record=False)
        weir = self.tcp(server)

        def spilled() -> float:
            return weir.metric("weir_worker_pipes_spilled_total", worker="0")

        for seed in range(8):
            client = self.client(weir, receive_buffer=4096).send(bytes([seed]))
            client.reader.exact(1_000)
            self.still(lambda: weir.metric("weir_received_bytes_total", side="upstream"),
                       "every buffer full")
            client.reset()
            wait_until(lambda: not self.held(weir), 10, "weir at rest")
        self.assertGreater(spilled(), 0)
        clients = [self.client(weir, timeout=seconds(30)).send(bytes([seed + 100]))
                   for seed in range(4)]
        for seed, client in enumerate(clients):
            self.assertEqual(hashlib.sha256(client.rest()).digest(),
                             hashlib.sha256(noise(4 << 20, seed + 100)).digest())

    def test_without_descriptors_for_pipes(self):
        """Bytes are copied then, and it is counted."""
        data = noise(3 << 20)
        server = self.origin(lambda connection: (connection.reader.exact(1), connection.send(data)),
                             record=False)
        weir = self.tcp(server)
        weir.admin_client = self.client(weir.admin_port)
        weir.metric("weir_relays")
        clients = [self.client(weir, receive_buffer=8192, timeout=seconds(30)) for _ in range(4)]
        server.wait_connections(4)
        wait_until(lambda: weir.metric("weir_relays") == 4, 10, "the relays")
        self.set_descriptors(weir, weir.descriptors())
        for client in clients:
            client.send(b"x")
        wait_until(lambda: weir.metric("weir_worker_pipes_refused_total", worker="0") > 0, 10,
                   "a pipe refused")
        for client in clients:
            self.assertEqual(hashlib.sha256(client.rest()).digest(), hashlib.sha256(data).digest())
        self.set_descriptors(weir, 10_000)

    def set_descriptors(self, weir, number: int) -> None:
        hard = resource.prlimit(weir.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(weir.pid, resource.RLIMIT_NOFILE, (min(number, hard), hard))


class Anything(RelayCase):
    """Peers that send, end, reset, pause and leave as they like: weir neither breaks nor mixes
    bytes up, and in the end it has nothing left."""

    CONNECTIONS = 400

    def setUp(self) -> None:
        super().setUp()
        self.faults: list[str] = []

    def play(self, sock: socket.socket, dice: random.Random, value: int) -> None:
        """Says nothing but this byte, so that a stranger's byte would show at the other end."""
        sock.settimeout(seconds(10))
        for _ in range(dice.randrange(1, 7)):
            if dice.randrange(3):
                sock.sendall(bytes([value]) * dice.choice((1, 10, 3_000, 20_000, 150_000)))
            else:
                self.listen(sock, value, 100_000, 0.02)
        end = dice.randrange(4)
        if end == 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif end > 1:
            sock.shutdown(socket.SHUT_WR)
            while self.listen(sock, value, 262_144, seconds(10)):
                pass

    def listen(self, sock: socket.socket, value: int, most: int, patience: float) -> bool:
        """False at the end."""
        sock.settimeout(patience)
        try:
            data = sock.recv(most)
        except TimeoutError:
            return False
        finally:
            sock.settimeout(seconds(10))
        if set(data) - {value}:
            self.faults.append(f"the one of {value} got {sorted(set(data))[:10]}")
        return bool(data)

    def serve(self, connection) -> None:
        number = connection.sock.recv(2, socket.MSG_WAITALL)
        if len(number) == 2:
            self.play(connection.sock, random.Random(number), number[0])

    def visit(self, weir, number: int) -> None:
        try:
            with Client(weir.port, receive_buffer=(None, 4096)[number % 2]) as client:
                client.send(bytes([number % 256, number // 256]))
                self.play(client.sock, random.Random(number), number % 256)
        except OSError:
            pass  # One of the two has reset, or left.

    def test_any_order(self):
        weir = self.tcp(self.origin(self.serve), self.origin(self.serve), runtime={"workers": 2})
        sockets = weir.sockets()
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda number: self.visit(weir, number), range(self.CONNECTIONS)))
        self.assertEqual(self.faults, [])
        for origin in self.origins:
            origin.reset_connections()
        wait_until(lambda: not self.held(weir), 20, "weir at rest")
        wait_until(lambda: weir.sockets() <= sockets, 10, "no socket more than before")
        self.assertEqual(len(self.lines(self.CONNECTIONS)), self.CONNECTIONS)
