"""Servers that say their names, for tests about which of them is asked."""

import threading
from collections import Counter

from .case import Case
from .config import config
from .origin import response
from .wait import SLOWDOWN, seconds, wait_until


def ms(value: float) -> str:
    """A duration for the configuration, longer on slow builds."""
    return f"{int(value * SLOWDOWN)}ms"


class Named:
    """A server. GET /health... is answered with `health`, /hold when `gate` opens, anything else
    with `answer`: bytes, or None for no answer at all. All of them may change at any time."""

    def __init__(self, case: Case, name: str, health: bytes = b""):
        self.name = name
        self.answer: bytes | None = response(name.encode())
        self.health = response(health)
        self.gate = threading.Event()
        self.checks = 0
        self.asked: list = []  # Requests that are no checks.
        self.holding = self.holding_most = 0
        self._lock = threading.Lock()
        self.origin = case.origin(self._serve)

    @property
    def address(self) -> str:
        return self.origin.address

    def _serve(self, connection) -> None:
        while request := connection.request():
            if request.target.startswith("/health"):
                self.checks += 1
                connection.send(self.health)
                continue
            with self._lock:
                self.asked.append(request)
            if request.target == "/hold":
                self._hold()
            if self.answer is None:
                connection.wait_end()
                return
            connection.send(self.answer)

    def _hold(self) -> None:
        with self._lock:
            self.holding += 1
            self.holding_most = max(self.holding_most, self.holding)
        self.gate.wait(seconds(30))
        with self._lock:
            self.holding -= 1

    def report(self, text: str) -> None:
        """What the answers to health checks say from now on."""
        self.health = response(text.encode())

    def die(self) -> None:
        self.origin.kill()

    def revive(self) -> None:
        self.origin.listen()


class NamedCase(Case):
    """Cases with named servers. Requests go one after the other, so that counts are exact."""

    def named(self, names: str) -> list[Named]:
        """One server for each letter."""
        servers = [Named(self, name) for name in names]
        for server in servers:  # Before the servers' end, which waits for nobody.
            self.addCleanup(server.gate.set)
        return servers

    def names(self, weir, count: int, path: str = "/", **options) -> str:
        """Who answers so many requests of one client, one letter each."""
        client = self.client(weir, **options)
        answers = [client.get(path) for _ in range(count)]
        self.assertEqual({answer.status for answer in answers}, {200})
        return "".join(answer.body.decode() for answer in answers)

    def counts(self, weir, count: int, path: str = "/") -> Counter:
        return Counter(self.names(weir, count, path))

    def hold(self, weir, count: int, fields: str = "") -> list:
        """Clients whose requests for /hold have been sent."""
        clients = [self.client(weir) for _ in range(count)]
        for client in clients:
            client.send(f"GET /hold HTTP/1.1\r\nHost: weir.test\r\n{fields}\r\n".encode())
        return clients

    def held(self, servers: list[Named], count: int) -> None:
        wait_until(lambda: sum(server.holding for server in servers) >= count, 10,
                   f"{count} requests at the servers")

    def finish(self, servers: list[Named], clients: list) -> None:
        for server in servers:
            server.gate.set()
        for client in clients:
            self.assertEqual(client.response().status, 200)

    def reload(self, weir, servers: list, **changes) -> None:
        """The same file with these servers and changes, applied by every worker."""
        weir.options = {**weir.options, **changes}
        before, told = weir.metric("weir_config_generation"), weir.err.count("is active:")
        weir.write_config(config(servers=servers, **weir.options))
        weir.reload()
        wait_until(lambda: weir.metric("weir_config_generation") > before
                   and weir.err.count("is active:") > told, 10, "the reload")
