"""A slow reader slows its own sender, and nobody else; nothing piles up in weir."""

import threading
import time

from harness import Case, OK, SANITIZED, response, seconds, wait_until

BLOCK = b"0123456789abcdef" * 4096
TOTAL = 256 << 20
MEMORY_MAX = 32 << 20


class Counter:
    def __init__(self):
        self.value = 0


def wait_stalled(counter, least=1):
    """Waits until the counter stopped moving; its last value."""
    state = {"value": -1, "since": time.monotonic()}

    def stalled():
        if counter.value != state["value"]:
            state["value"], state["since"] = counter.value, time.monotonic()
        return state["value"] >= least and time.monotonic() - state["since"] > 0.3

    wait_until(stalled, 20, "the sender to be stopped")
    return state["value"]


class BackPressure(Case):

    def test_client_that_does_not_read(self):
        sent = Counter()

        def script(connection):
            while request := connection.request():
                if request.target == "/small":
                    connection.send(OK)
                    continue
                connection.sock.settimeout(seconds(60))
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % TOTAL)
                while sent.value < TOTAL:
                    connection.send(BLOCK)
                    sent.value += len(BLOCK)

        weir = self.plain(self.origin(script))
        slow = self.client(weir, timeout=60, receive_buffer=16_384)
        slow.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        stalled = wait_stalled(sent)
        self.assertLess(stalled, 64 << 20, "the server's answer was read without bound")
        if not SANITIZED:
            self.assertLess(weir.memory_peak(), MEMORY_MAX)
        self.assertLess(weir.cpu_share(0.3), 0.2, "waiting for the client costs CPU")
        other = self.client(weir)
        for _ in range(10):
            self.assertEqual(other.get("/small").body, b"ok")
        received = Counter()

        def check(data):
            received.value += len(data)

        slow.response(sink=check)
        self.assertEqual(received.value, TOTAL)

    def test_server_that_does_not_read(self):
        gate, received = threading.Event(), Counter()

        def script(connection):
            connection.sock.settimeout(seconds(60))
            request = connection.head()
            gate.wait(seconds(30))

            def count(data):
                received.value += len(data)

            connection.body(request, count)
            connection.send(OK)

        weir = self.plain(self.origin(script, record=False, receive_buffer=16_384))
        client = self.client(weir, timeout=60)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % TOTAL)
        sent = Counter()

        def upload():
            while sent.value < TOTAL:
                client.send(BLOCK)
                sent.value += len(BLOCK)

        sender = threading.Thread(target=upload, daemon=True)
        sender.start()
        self.assertLess(wait_stalled(sent), 64 << 20, "the content was read without bound")
        if not SANITIZED:
            self.assertLess(weir.memory_peak(), MEMORY_MAX)
        self.assertLess(weir.cpu_share(0.3), 0.2, "waiting for the server costs CPU")
        gate.set()
        self.assertEqual(client.response().body, b"ok")
        self.assertEqual(received.value, TOTAL)

    def test_chunked_to_a_client_that_does_not_read(self):
        sent = Counter()

        def script(connection):
            connection.request()
            connection.sock.settimeout(seconds(60))
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            framed = b"%x\r\n%s\r\n" % (len(BLOCK), BLOCK)
            while sent.value < TOTAL:
                connection.send(framed)
                sent.value += len(BLOCK)
            connection.send(b"0\r\n\r\n")

        weir = self.plain(self.origin(script))
        slow = self.client(weir, timeout=60, receive_buffer=16_384)
        slow.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertLess(wait_stalled(sent), 64 << 20)
        if not SANITIZED:
            self.assertLess(weir.memory_peak(), MEMORY_MAX)
        received = Counter()

        def check(data):
            received.value += len(data)

        slow.response(sink=check)
        self.assertEqual(received.value, TOTAL)

    def test_interim_answers_to_a_client_that_does_not_read(self):
        """They wait with the server, and all of them come in their order once they are wanted."""
        sent, hints = Counter(), 20_000
        padding = b"p" * 3_000

        def script(connection):
            connection.sock.settimeout(seconds(60))
            while request := connection.request():
                while request.target == "/hints" and sent.value < hints:
                    connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </%d>\r\nX-P: %s\r\n\r\n"
                                    % (sent.value, padding))
                    sent.value += 1
                connection.send(OK)

        weir = self.plain(self.origin(script))
        other = self.client(weir)
        self.assertEqual(other.get("/small").body, b"ok")
        before = weir.memory()
        slow = self.client(weir, timeout=60, receive_buffer=16_384)
        slow.send(b"GET /hints HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertLess(wait_stalled(sent), hints, "the server was not held back")
        if not SANITIZED:
            self.assertLess(weir.memory() - before, 4 << 20)
        self.assertLess(weir.cpu_share(0.3), 0.2, "waiting for the client costs CPU")
        for _ in range(10):
            self.assertEqual(other.get("/small").body, b"ok")
        for number in range(hints):
            self.assertEqual(slow.head().get("link"), f"</{number}>")
        self.assertEqual(slow.response().body, b"ok")

    def test_client_that_pipelines_without_end(self):
        """Requests behind one that waits are left in the kernel, not collected in memory."""
        gate = threading.Event()

        def script(connection):
            connection.sock.settimeout(seconds(60))
            while connection.request():
                gate.wait(seconds(30))
                connection.send(OK)

        weir = self.plain(self.origin(script, record=False))
        client = self.client(weir, timeout=60)
        sent, stop = Counter(), threading.Event()
        block = b"GET /pipelined HTTP/1.1\r\nHost: a\r\n\r\n" * 500

        def flood():
            try:
                while not stop.is_set() and sent.value < TOTAL:
                    client.send(block)
                    sent.value += len(block)
            except OSError:
                pass

        threading.Thread(target=flood, daemon=True).start()
        self.assertLess(wait_stalled(sent), 32 << 20)
        if not SANITIZED:
            self.assertLess(weir.memory_peak(), MEMORY_MAX)
        self.assertLess(weir.cpu_share(0.3), 0.2)
        stop.set()
        gate.set()
        for _ in range(100):
            self.assertEqual(client.response().body, b"ok")

    def test_many_clients_that_never_read(self):
        """A hundred stuck clients keep weir small and the next client served."""
        body = response(b"z" * 4_000_000)

        def script(connection):
            connection.sock.settimeout(seconds(60))
            while request := connection.request():
                connection.send(OK if request.target == "/small" else body)

        weir = self.plain(self.origin(script, record=False))
        for _ in range(100):
            client = self.client(weir, receive_buffer=4_096)
            client.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(self.client(weir).get("/small").body, b"ok")
        if not SANITIZED:
            self.assertLess(weir.memory_peak(), MEMORY_MAX)
