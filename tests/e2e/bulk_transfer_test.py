"""Bulk in both directions at once, byte for byte, in TCP mode and in HTTP; memory stays flat.

Both ends hash what they send and what they receive. WEIR_HUGE_MIB sets the size of each direction
(default 64). The full proof, by hand, without the time limit of the check:

    WEIR_HUGE_MIB=10240 python3 tests/e2e/run.py -v --child tests/e2e/bulk_transfer_test.py
"""

import hashlib
import os
import random
import socket
import threading

from harness import Case, SANITIZED, seconds, wait_until

MIB = int(os.environ.get("WEIR_HUGE_MIB", "64"))
MEMORY_MAX = 32 << 20
PIECE = 1 << 20
LAST = b"the end of a body"
NOISE = memoryview(random.Random(11).randbytes(2 * PIECE))
LIMIT_S = seconds(60 + MIB / 10)


def piece(number: int) -> memoryview:
    """A MiB that differs from its neighbours, so that none can be left out or swapped."""
    at = number * 4099 % PIECE
    return NOISE[at:at + PIECE]


class Sum:
    """Counts and hashes what it is called with."""

    def __init__(self):
        self.size, self.hash = 0, hashlib.sha256()

    def __call__(self, data) -> None:
        self.size += len(data)
        self.hash.update(data)

    def value(self) -> tuple[int, str]:
        return self.size, self.hash.hexdigest()


def send_pieces(sock: socket.socket, first: int, framed=socket.socket.sendall) -> Sum:
    """MIB pieces from number `first` on; `framed` writes one to the socket."""
    total = Sum()
    for number in range(first, first + MIB):
        data = piece(number)
        total(data)
        framed(sock, data)
    return total


def send_chunk(sock: socket.socket, data) -> None:
    sock.sendall(b"%x\r\n" % len(data))
    sock.sendall(data)
    sock.sendall(b"\r\n")


def receive_to_end(sock: socket.socket) -> Sum:
    total, buffer = Sum(), memoryview(bytearray(PIECE))
    while got := sock.recv_into(buffer):
        total(buffer[:got])
    return total


class Task(threading.Thread):
    """A function on a thread; its result, or what it raised, is had by `get`."""

    def __init__(self, function, *arguments):
        super().__init__(daemon=True)
        self.function, self.arguments = function, arguments
        self.result, self.error = None, None
        self.start()

    def run(self) -> None:
        try:
            self.result = self.function(*self.arguments)
        except BaseException as error:  # noqa: BLE001, raised where the result is wanted
            self.error = error

    def get(self):
        self.join(LIMIT_S)
        if self.is_alive():
            raise AssertionError("bytes stopped flowing")
        if self.error:
            raise self.error
        return self.result


class BulkCase(Case):

    def check(self, weir, client_side: list[tuple[Sum, Sum]],
              server_side: list[tuple[Sum, Sum]]) -> None:
        """What each side sent and received, for every connection."""
        self.assertEqual(sorted((sent.value(), received.value()) for sent, received in client_side),
                         sorted((sent.value(), received.value()) for received, sent in server_side))
        for sums in client_side:
            for total in sums:
                self.assertEqual(total.size >> 20, MIB)
        if not SANITIZED:
            self.assertLess(weir.memory_peak(), MEMORY_MAX)


class Tcp(BulkCase):

    def transfer(self, connections: int) -> None:
        ends = []

        def script(connection):
            connection.sock.settimeout(LIMIT_S)
            sender = Task(send_all, connection.sock, 1 + 100 * connection.index)
            received = receive_to_end(connection.sock)
            ends.append((sender.get(), received))

        def send_all(sock, first):
            total = send_pieces(sock, first)
            sock.shutdown(socket.SHUT_WR)
            return total

        weir = self.plain(self.origin(script, record=False), options=["--mode", "tcp"])
        clients = [self.client(weir, timeout=LIMIT_S) for _ in range(connections)]
        tasks = [(Task(send_all, client.sock, 50 + 100 * number),
                  Task(receive_to_end, client.sock)) for number, client in enumerate(clients)]
        sums = [(up.get(), down.get()) for up, down in tasks]
        wait_until(lambda: len(ends) == connections, 10, "the server's side to end")
        self.check(weir, sums, ends)

    def test_both_ways_at_once(self):
        self.transfer(1)

    def test_several_at_once(self):
        self.transfer(4)


class Http(BulkCase):

    def transfer(self, fields: str, framed, end: bytes = b"") -> None:
        """A request and its response with the same framing. The end of the response waits for that
        of the request, because a complete answer may end both."""
        ends = []

        def script(connection):
            connection.sock.settimeout(LIMIT_S)
            request = connection.head()
            received = Sum()
            receiver = Task(connection.body, request, received)
            connection.send(b"HTTP/1.1 200 OK\r\n", fields.encode(), b"\r\n")
            sent = send_pieces(connection.sock, 1, framed)
            receiver.get()
            finish(connection.sock, sent)
            ends.append((sent, received))

        def finish(sock, total):
            framed(sock, LAST)
            sock.sendall(end)
            total(LAST)

        weir = self.plain(self.origin(script, record=False))
        client = self.client(weir, timeout=LIMIT_S)
        down = Sum()
        receiver = Task(client.response, "POST", down)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\n", fields.encode(), b"\r\n")
        up = send_pieces(client.sock, 50, framed)
        finish(client.sock, up)
        self.assertEqual(receiver.get().status, 200)
        wait_until(lambda: ends, 10, "the server's side to end")
        self.check(weir, [(up, down)], ends)

    def test_with_a_length(self):
        self.transfer(f"Content-Length: {(MIB << 20) + len(LAST)}\r\n", socket.socket.sendall)

    def test_in_chunks(self):
        self.transfer("Transfer-Encoding: chunked\r\n", send_chunk, b"0\r\n\r\n")
