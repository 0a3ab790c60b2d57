"""A peer that sends its bytes in the smallest pieces makes work, but nobody else waits for it."""

import contextlib
import threading

from harness import Case, OK, seconds, wait_until

LETTERS = bytes(range(33, 127))
PIECES = b"".join(b"1\r\n%c\r\n" % letter for letter in LETTERS * 512)  # 48 KiB of content.
ROUNDS = -(-(1 << 20) // (len(LETTERS) * 512))  # 1 MiB of content at least.
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


def read_chunks(reader):
    """Everything up to the last chunk; nothing may follow it."""
    while not reader.buffer.endswith(b"\r\n0\r\n\r\n"):
        assert reader.fill(), "the end came before the last chunk"
    return reader.take(len(reader.buffer))


def content(raw):
    """What the chunks of `raw` hold; no line break is part of the content."""
    *lines, end, empty, last = raw.split(b"\r\n")
    sizes, data = lines[::2], lines[1::2]
    assert (end, empty, last) == (b"0", b"", b""), raw[-40:]
    assert [int(size, 16) for size in sizes] == [len(piece) for piece in data]
    return b"".join(data)


class OthersMeanwhile(Case):

    def setUp(self):
        super().setUp()
        self.others_served = threading.Event()
        self.rounds = 0

    def send_pieces(self, peer):
        """At least ROUNDS of them, and then more until the others have been served."""
        while self.rounds < ROUNDS or not self.others_served.is_set():
            peer.send(PIECES)
            self.rounds += 1
        peer.send(b"0\r\n\r\n")

    @contextlib.contextmanager
    def meanwhile(self, work):
        """Runs `work` on a thread; the block must come to its end before `work` may."""
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.others_served.set()
            thread.join(seconds(60))
        self.assertFalse(thread.is_alive())

    def serve_others(self, proxy):
        """New and known clients, all of the worker that has the flood."""
        known = self.client(proxy)
        for _ in range(20):
            self.assertEqual(known.get().body, b"ok")
            with self.client(proxy) as fresh:
                self.assertEqual(fresh.get().body, b"ok")

    def test_interim_answers(self):
        """RFC 9110 15.2: any number of 1xx may come before the answer."""
        flood = b"HTTP/1.1 102 Processing\r\n\r\n" * 2_500

        def script(connection):
            while request := connection.request():
                while request.target == "/flood" and not self.others_served.is_set():
                    connection.send(flood)
                connection.send(OK)

        proxy = self.plain(self.origin(script))
        client = self.client(proxy)
        client.send(b"GET /flood HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self.assertEqual(client.head().status, 102)

        def drop_all_but_the_end():
            while client.reader.fill():
                del client.reader.buffer[:-200]

        with self.meanwhile(drop_all_but_the_end):
            self.serve_others(proxy)
        self.assertTrue(client.reader.buffer.endswith(b"\r\n\r\nok"), client.reader.buffer)

    def test_answer_in_chunks_of_one_byte(self):
        def script(connection):
            while request := connection.request():
                if request.target == "/flood":
                    connection.send(b"HTTP/1.1 200 OK\r\n" + CHUNKED)
                    self.send_pieces(connection)
                else:
                    connection.send(OK)

        proxy = self.plain(self.origin(script))
        client = self.client(proxy)
        client.send(b"GET /flood HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(client.head().status, 200)
        got = []
        with self.meanwhile(lambda: got.append(read_chunks(client.reader))):
            self.serve_others(proxy)
        self.assertEqual(content(got[0]), LETTERS * 512 * self.rounds)

    def test_request_in_chunks_of_one_byte(self):
        got = []

        def script(connection):
            while request := connection.head():
                if request.framing == "chunked":
                    got.append(read_chunks(connection.reader))
                connection.send(OK)

        proxy = self.plain(self.origin(script, record=False))
        client = self.client(proxy)
        client.send(b"POST /flood HTTP/1.1\r\nHost: a\r\n" + CHUNKED)
        with self.meanwhile(lambda: self.send_pieces(client)):
            wait_until(lambda: self.rounds > 1, 10, "the content to flow")
            self.serve_others(proxy)
        self.assertEqual(client.response().body, b"ok")
        self.assertEqual(content(got[0]), LETTERS * 512 * self.rounds)


class Steps(Case):
    """What one step of a worker does is bounded by the work it makes, not by the bytes of content
    it yields or by what happens to have arrived."""

    def steps(self, weir, flood):
        def count():
            return weir.metric("weir_worker_steps_total", worker="0")

        before = count()
        flood()
        return count() - before

    def test_interim_answers(self):
        heads = 100_000

        def script(connection):
            while connection.request():
                connection.send(b"HTTP/1.1 102 Processing\r\n\r\n" * heads + OK)

        weir = self.weir(self.origin(script))
        client = self.client(weir)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        self.assertGreater(self.steps(weir, client.rest), heads / 1_000)

    def test_chunks_of_one_byte(self):
        def script(connection):
            while request := connection.head():
                if request.framing == "chunked":
                    read_chunks(connection.reader)
                connection.send(b"HTTP/1.1 200 OK\r\n" + CHUNKED, *[PIECES] * ROUNDS,
                                b"0\r\n\r\n")

        weir = self.weir(self.origin(script, record=False))
        client = self.client(weir)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").head()
        self.assertGreater(self.steps(weir, lambda: read_chunks(client.reader)), (1 << 20) / 5_000)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + CHUNKED)
        self.assertGreater(self.steps(weir, lambda: (
            client.send(*[PIECES] * ROUNDS, b"0\r\n\r\n"), client.head())), (1 << 20) / 5_000)
