"""The base of the tests about relays and tunnels: bytes of any kind, and nothing left behind."""

import json
import os
import random
import threading

from .errors import Truncated
from .failure import FailureCase
from .wait import seconds, wait_until

# What weir has at rest none of, for whatever it has done before.
_AT_REST = ("weir_relays", "weir_http_requests_in_flight", "weir_server_requests_in_flight",
            "weir_server_requests_connecting", "weir_server_retries_in_flight",
            "weir_backend_queue_length", "weir_listener_connections_active")

_OFFER = ("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {protocols}\r\n"
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")


def noise(size: int, seed: int = 1) -> bytes:
    """The same bytes for the same seed, in which no piece looks like another."""
    return random.Random(seed).randbytes(size)


def echo(connection) -> None:
    """Sends everything back, and its end."""
    while connection.reader.buffer or connection.reader.fill():
        connection.send(connection.reader.take(len(connection.reader.buffer)))


def swallow(connection) -> None:
    """Reads to the end and says nothing; what came is in `received`."""
    connection.wait_end()


def flood_and_reset(connection) -> None:
    """Sends until nobody takes more, then resets."""
    connection.reader.exact(1)
    connection.sock.settimeout(seconds(0.3))
    try:
        connection.send(noise(32 << 20))
    except TimeoutError:
        connection.reset()


def offer(protocols: str = "websocket", path: str = "/") -> bytes:
    """A request to switch to one of these protocols."""
    return _OFFER.format(path=path, protocols=protocols).encode()


def switched(protocol: str = "websocket", fields: str = "") -> bytes:
    """A server's 101."""
    return (f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: {protocol}\r\n"
            f"Connection: Upgrade\r\n{fields}\r\n").encode()


class RelayCase(FailureCase):

    def setUp(self) -> None:
        super().setUp()
        self.file = self.path("access.log")
        self.addCleanup(self._come_to_rest)

    def _come_to_rest(self) -> None:
        """However the test ended: once both sides are gone, weir holds nothing for them."""
        for client in self.clients:
            client.reset()
        for origin in self.origins:
            origin.reset_connections()
        for weir in self.weirs:
            weir.admin_client = None
            if weir.admin_port and weir.running():
                wait_until(lambda weir=weir: not self.held(weir), 10, _Held(self, weir))

    def held(self, weir) -> dict[str, float]:
        try:
            metrics = weir.metrics()
        except (OSError, Truncated):
            weir.wait()  # It was about to end.
            return {}
        return {series: value for series, value in metrics.items() if value and (
            series.partition("{")[0] in _AT_REST or series.startswith("weir_worker_buffers{")
            and 'worker="control"' not in series
            or series.startswith("weir_server_connections{") and 'state="active"' in series
            or series.startswith("weir_worker_pipes{") and value > 32)}  # As many are kept.

    def tcp(self, *servers, listener: dict | None = None, routes=(), **options):
        """A TCP listener `web` whose backend is `app`, with an access log."""
        listener = {"mode": "tcp", "backend": "app", **(listener or {})}
        return self.weir(*servers, listener=listener, routes=list(routes), access_log=self.file,
                         **options)

    def lines(self, count: int = 1) -> list[dict]:
        """The access log, once it has so many lines."""
        def read():
            if not os.path.exists(self.file):
                return None
            with open(self.file, encoding="utf-8") as file:
                whole = file.read()
            complete = whole[:whole.rfind("\n") + 1].splitlines()
            return [json.loads(line) for line in complete] if len(complete) >= count else None

        return wait_until(read, 10, f"{count} lines in the access log")

    def line(self) -> dict:
        """The only line of the access log."""
        (line,) = self.lines()
        return line

    def still(self, value, what: str) -> None:
        """Waits until a number that grows does so no more."""
        seen = [value()]

        def stands() -> bool:
            pause.wait(0.1)
            seen.append(value())
            return seen[-1] > 0 and len(set(seen[-4:])) == 1 and len(seen) > 4

        pause = threading.Event()
        wait_until(stands, 30, what)

    def ended(self, connection) -> None:
        """The script of this server's connection has come to its end."""
        self.assertTrue(connection.done.wait(seconds(10)), "the server's script still runs")

    def was_reset(self, client) -> bytes:
        """The bytes before the client's connection was reset; an end in order is a failure."""
        try:
            while client.reader.fill():
                pass
        except ConnectionResetError:
            return client.reader.take(len(client.reader.buffer))
        self.fail(f"no reset but an end behind {bytes(client.reader.buffer[:200])!r}")

    def refused(self, weir, first: bytes = b"") -> None:
        """A new client that sends this is reset and gets nothing, at connect() at the earliest."""
        try:
            client = self.client(weir)
            client.send(first)
        except ConnectionError:
            return
        self.assertEqual(self.was_reset(client), b"")


class _Held:
    """What is held, for a message that is needed seldom."""

    def __init__(self, case: RelayCase, weir):
        self.case, self.weir = case, weir

    def __str__(self) -> str:
        return f"weir at rest, which holds {self.case.held(self.weir)}"
