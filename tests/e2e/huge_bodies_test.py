"""Bodies far larger than any buffer stream through; memory does not grow with them.

WEIR_HUGE_MIB sets the size (default 64); 1024 is the full proof.
"""

import hashlib
import os
import random
import subprocess

from harness import Case, SANITIZED, response

MIB = int(os.environ.get("WEIR_HUGE_MIB", "64"))
BLOCK = random.Random(3).randbytes(1 << 20)
MEMORY_MAX = 32 << 20


class Sum:
    """Counts and hashes what it is called with."""

    def __init__(self):
        self.size, self.hash = 0, hashlib.sha256()

    def __call__(self, data):
        self.size += len(data)
        self.hash.update(data)

    def value(self):
        return self.size, self.hash.hexdigest()


def whole():
    total = Sum()
    for _ in range(MIB):
        total(BLOCK)
    return total.value()


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


class HugeBodies(Case):

    def flat(self, weir):
        if not SANITIZED:
            self.assertLess(weir.memory_peak(), MEMORY_MAX)

    def download(self, head, framed, last=b"", version=b"1.1"):
        def script(connection):
            while connection.request():
                connection.send(head)
                for _ in range(MIB):
                    connection.send(framed(BLOCK))
                connection.send(last)
                if b"Content-Length" not in head and not last:
                    return

        weir = self.plain(self.origin(script), workers=2)
        client = self.client(weir, timeout=60)
        client.send(b"GET / HTTP/" + version + b"\r\nHost: a\r\n\r\n")
        total = Sum()
        client.response(sink=total)
        self.assertEqual(total.value(), whole())
        self.flat(weir)

    def test_download_of_known_length(self):
        self.download(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MIB << 20), bytes)

    def test_download_chunked(self):
        self.download(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk,
                      b"0\r\n\r\n")

    def test_download_until_close(self):
        self.download(b"HTTP/1.1 200 OK\r\n\r\n", bytes)

    def test_download_chunked_to_an_http_1_0_client(self):
        self.download(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunk,
                      b"0\r\n\r\n", b"1.0")

    def upload(self, head, framed, last=b""):
        totals = []

        def script(connection):
            while True:
                total = Sum()
                if connection.request(total) is None:
                    return
                totals.append(total.value())
                connection.send(response(b"thanks"))

        weir = self.plain(self.origin(script, record=False), workers=2)
        client = self.client(weir, timeout=60)
        client.send(head)
        for _ in range(MIB):
            client.send(framed(BLOCK))
        client.send(last)
        self.assertEqual(client.response().body, b"thanks")
        self.assertEqual(totals, [whole()])
        self.flat(weir)

    def test_upload_of_known_length(self):
        self.upload(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (MIB << 20),
                    bytes)

    def test_upload_chunked(self):
        self.upload(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", chunk,
                    b"0\r\n\r\n")

    def test_file_of_nginx(self):
        """sendfile on one side, curl on the other."""
        server = self.nginx()
        with open(server.write("huge", b""), "wb") as file:
            for _ in range(MIB):
                file.write(BLOCK)
        weir = self.plain(server, workers=2)
        total = Sum()
        with subprocess.Popen(["curl", "-q", "-sS", "--noproxy", "*",
                               f"http://127.0.0.1:{weir.port}/huge"],
                              stdout=subprocess.PIPE) as process:
            while data := process.stdout.read(1 << 20):
                total(data)
        self.assertEqual((process.returncode, total.value()), (0, whole()))
        self.flat(weir)

    def test_several_at_once(self):
        """Eight downloads side by side fit into the same memory."""
        def script(connection):
            while connection.request():
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (8 << 20))
                for _ in range(8):
                    connection.send(BLOCK)

        weir = self.plain(self.origin(script), workers=2)
        clients = [self.client(weir, timeout=60) for _ in range(8)]
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for client in clients:
            total = Sum()
            client.response(sink=total)
            self.assertEqual(total.size, 8 << 20)
        self.flat(weir)
