"""A server of a known capacity that can be told how to behave, as a process of its own, so that it
can be killed, stopped with SIGSTOP and started again on its port.

It has `slots` places, each of which takes `service` seconds for a request; further requests wait
inside the server. What it is told: one JSON object per line on its standard input, each answered
with a report on its standard output. What it must not forget when it is killed, the targets of its
POST requests, goes to a file at once.
"""

import asyncio
import collections
import json
import os
import signal
import subprocess
import sys
import time

from .ports import is_listening
from .servers import Process
from .wait import wait_until


class MoodyServer(Process):
    """The test's side. Answers carry the server's name as their content."""

    def __init__(self, directory: str, name: str = "one", **mood):
        super().__init__(directory, f"moody-{name}")
        self.name = name
        self.mood = mood
        self.posts_path = os.path.join(self.directory, "posts")
        self.start()

    def start(self) -> None:
        """Again after kill() too, on the same port, in its first mood."""
        package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        with open(os.path.join(self.directory, "output"), "ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "harness.moody", str(self.port), self.name,
                 self.posts_path], cwd=package, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=output)
        wait_until(lambda: self._check() and is_listening(self.port), 20, "the server to listen")
        self.be(**self.mood)

    def be(self, **mood) -> dict:
        """The new mood, for what arrives from now on; see _Behaviour. Returns the report."""
        self.process.stdin.write(json.dumps(mood).encode() + b"\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def report(self) -> dict:
        return self.be()

    def posts(self) -> collections.Counter:
        """How often each POST arrived, over all lives of the server."""
        if not os.path.exists(self.posts_path):
            return collections.Counter()
        with open(self.posts_path, encoding="latin-1") as lines:
            return collections.Counter(lines.read().split())

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        super().kill()
        for pipe in (self.process.stdin, self.process.stdout):
            pipe.close()

    def stop(self) -> None:
        self.kill()  # It may be frozen, and has nothing to say.


class _Behaviour:
    """What the server process knows: its mood, and what it has seen."""

    def __init__(self, name: str, posts_path: str):
        self.name = name
        self.slots = 1_000_000
        self.service = 0.0   # Seconds in a slot.
        self.delay = 0.0     # Before the slot; for health checks too.
        self.answer = "ok"   # Or "status", "garbage", "reset", "half".
        self.status = "500 Internal Server Error"
        self.posts = os.open(posts_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.waiting: collections.deque = collections.deque()
        self.in_service = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.requests = 0
        self.served = 0
        self.service_sum = 0.0  # Seconds that slots were taken, by those that are free again.
        self.entered: dict = {}  # When those were that are taken, by connection.

    def be(self, mood: dict) -> dict:
        for key, value in mood.items():
            assert hasattr(self, key), key
            setattr(self, key, value)
        now = time.monotonic()
        return {"requests": self.requests, "served": self.served, "in_flight": self.in_flight,
                "most_in_flight": self.most_in_flight, "service_sum": self.service_sum,
                "taken": self.service_sum + sum(now - since for since in self.entered.values()),
                "now": now}

    def bytes(self) -> bytes:
        body = self.name.encode()
        status = "200 OK" if self.answer == "ok" else self.status
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        return {"garbage": b"\x16\x03\x01 what is this\r\n\r\n", "half": head[:9],
                "reset": b""}.get(self.answer, head + body)

    def leaves(self) -> bool:
        return self.answer not in ("ok", "status")


class _Connection(asyncio.Protocol):
    """One request at a time, as weir sends them."""

    def __init__(self, server: _Behaviour):
        self.server = server
        self.buffer = bytearray()
        self.busy = False

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self.take()

    def take(self) -> None:
        end = self.buffer.find(b"\r\n\r\n")
        if self.busy or end < 0:
            return
        head = bytes(self.buffer[:end])
        length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n")
                       if line.lower().startswith(b"content-length:")), 0)
        if len(self.buffer) < end + 4 + length:
            return
        del self.buffer[:end + 4 + length]
        self.busy = True
        self.begin(*head.split(b" ", 2)[:2])

    def begin(self, method: bytes, target: bytes) -> None:
        server, loop = self.server, asyncio.get_running_loop()
        if target.startswith(b"/health"):
            loop.call_later(server.delay, self.write)
            return
        server.requests += 1
        server.in_flight += 1
        server.most_in_flight = max(server.most_in_flight, server.in_flight)
        if method == b"POST":
            os.write(server.posts, target + b"\n")
        loop.call_later(server.delay, self.line_up)

    def line_up(self) -> None:
        if self.server.in_service < self.server.slots:
            self.enter_slot()
        else:
            self.server.waiting.append(self)

    def enter_slot(self) -> None:
        self.server.in_service += 1
        self.server.entered[self] = time.monotonic()
        asyncio.get_running_loop().call_later(self.server.service, self.finish)

    def finish(self) -> None:
        server = self.server
        server.service_sum += time.monotonic() - server.entered.pop(self)
        server.in_service -= 1
        server.in_flight -= 1
        server.served += 1
        if server.waiting and server.in_service < server.slots:
            server.waiting.popleft().enter_slot()
        self.write()

    def write(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(self.server.bytes())
            if self.server.leaves():
                (self.transport.abort if self.server.answer == "reset"
                 else self.transport.close)()
        self.busy = False
        self.take()


async def _serve(port: int, name: str, posts_path: str) -> None:
    loop = asyncio.get_running_loop()
    behaviour = _Behaviour(name, posts_path)
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    server = await loop.create_server(lambda: _Connection(behaviour), "127.0.0.1", port,
                                      backlog=1024)
    while line := await orders.readline():
        print(json.dumps(behaviour.be(json.loads(line))), flush=True)
    server.close()  # The test is gone.


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
