"""Random traffic of every kind at once; every byte is checked at both ends.

Methods, framings, sizes, pipelining, pauses, half-closes and resets are drawn from a seed, which a
failure prints. The server's answer is computed from the request, so that a mixed-up answer shows.
"""

import hashlib
import random
import threading
import time

from harness import Case, response, seconds, wait_until

SEED = int(time.time())


def expected(target, body, size):
    block = hashlib.sha256(target.encode() + body).digest()
    return (block * (size // 32 + 1))[:size]


def serve(connection):
    """Answers /SEED/SIZE/FRAMING with SIZE bytes that depend on the request."""
    source = random.Random(connection.index)
    while request := connection.request():
        _, _, size, framing = request.target.split("/")
        body = expected(request.target, request.body, int(size))
        if source.random() < 0.1:
            connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        if request.method == "HEAD" or framing == "length":
            head = response(b"", length=False, fields=f"Content-Length: {len(body)}\r\n")
            connection.send(head if request.method == "HEAD" else head + body)
        elif framing == "chunked":
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            at = 0
            while at < len(body):
                piece = body[at:at + source.choice((1, 10, 1_000, 20_000))]
                connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
                at += len(piece)
            connection.send(b"0\r\n\r\n")
        else:
            connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
            return
        if source.random() < 0.02:
            return  # An idle close that weir has to notice, or to get over by trying again.


class Lost(Exception):
    """The one outcome besides the right answer that is allowed, and ends the client."""


class Traffic(Case):

    def message(self, source):
        """One random request: method, target, content and its bytes."""
        method = source.choice(("GET", "GET", "HEAD", "PUT", "DELETE"))
        size = source.choice((0, 1, 100, 5_000, 20_000, 100_000))
        framing = source.choice(("length", "length", "chunked", "close"))
        target = f"/{source.randrange(1 << 30)}/{size}/{framing}"
        body = b""
        head = f"{method} {target} HTTP/1.1\r\nHost: t\r\n".encode()
        if method == "PUT":
            body = source.randbytes(source.choice((0, 1, 3_000, 8_000)))
            if source.random() < 0.5:
                framed = b"".join(b"%x\r\n%s\r\n" % (len(body[at:at + 777]), body[at:at + 777])
                                  for at in range(0, len(body), 777)) + b"0\r\n\r\n"
                return method, target, body, head + b"Transfer-Encoding: chunked\r\n\r\n" + framed
            head += b"Content-Length: %d\r\n" % len(body)
        return method, target, body, head + b"\r\n" + body

    def talk(self, weir, seed, problems, end):
        source = random.Random(seed)
        while time.monotonic() < end and not problems:
            client = self.client(weir, timeout=seconds(15))
            try:
                for _ in range(source.randrange(1, 8)):
                    batch = [self.message(source) for _ in range(source.choice((1, 1, 1, 2, 5)))]
                    data = b"".join(item[3] for item in batch)
                    cuts = sorted(source.randrange(len(data)) for _ in range(source.choice(
                        (0, 0, 1, 3))))
                    for start, stop in zip([0, *cuts], [*cuts, len(data)]):
                        client.send(data[start:stop])
                    if source.random() < 0.03:
                        client.reset()
                        break
                    last = source.random() < 0.05
                    if last:
                        client.half_close()
                    for method, target, body, _ in batch:
                        answer = client.response(method)
                        size = int(target.split("/")[2])
                        want = b"" if method == "HEAD" else expected(target, body, size)
                        if answer.status == 502 and body:
                            # A content that is not held cannot be sent again (RFC 9110 9.2.2).
                            self.lost.append(target)
                            raise Lost
                        if answer.status != 200 or answer.body != want:
                            problems.append((seed, method, target, len(body), answer.status,
                                             len(answer.body), answer.body[:80]))
                    if last:
                        break
            except Lost:
                pass
            except Exception as error:  # noqa: BLE001, the thread reports and ends
                problems.append((seed, repr(error)))
            client.reset()

    def test_random_traffic(self):
        servers = [self.origin(serve, record=False, cut_requests=True) for _ in range(3)]
        weir = self.weir(*servers, runtime={"workers": 2})
        problems, self.lost, end = [], [], time.monotonic() + 8
        threads = [threading.Thread(target=self.talk, daemon=True,
                                    args=(weir, SEED + number, problems, end))
                   for number in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(seconds(40))
            self.assertFalse(thread.is_alive(), "a client is stuck")
        self.assertEqual(problems, [], f"seed {SEED}")
        served = sum(len(server.requests) for server in servers)
        self.assertLess(len(self.lost), served // 100, f"seed {SEED}")
        for client in self.clients:
            client.reset()
        for gauge in ("weir_http_requests_in_flight", "weir_server_requests_in_flight",
                      "weir_listener_connections_active", "weir_worker_buffers"):
            wait_until(lambda gauge=gauge: weir.metric(gauge) == 0, 10, f"{gauge} to be 0 again")
