"""Clients that put load on weir, on a thread of their own: a fixed number of them, each asking
again when it has its answer, or as many as a rate of requests needs."""

import asyncio
import math
import threading
import time
from dataclasses import dataclass

from .message import split_head
from .wait import seconds


@dataclass
class Answer:
    number: int
    begun: float           # time.monotonic()
    seconds: float         # From the request to its complete answer.
    status: int            # 0: the connection ended, or nothing came; `error` says how.
    server: str = ""       # The content: which server it was, or weir's page.
    retry_after: str = ""
    error: str = ""
    late: float = 0.0      # Seconds after its time that it was asked, at a rate.

    @property
    def ended(self) -> float:
        return self.begun + self.seconds


class Load:
    """`path` may have a {} for the number of the request."""

    def __init__(self, port: int, clients: int = 8, rate: float = 0, method: str = "GET",
                 path: str = "/{}", fields: str = "", pause: float = 0.0):
        self.port, self.clients, self.rate, self.pause = port, clients, rate, pause
        if method == "POST":
            fields += "Content-Length: 0\r\n"
        self._text = f"{method} {path} HTTP/1.1\r\nHost: weir.test\r\n{fields}\r\n"
        self.answers: list[Answer] = []
        self.asked = 0
        self._idle: list = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()

    def stop(self) -> list[Answer]:
        """Waits for what is under way."""
        self._stop.set()
        self._thread.join(seconds(40))
        if self._thread.is_alive():
            raise AssertionError("a client still waits for its answer")
        return self.answers

    def from_server(self, server: str, since: float = 0.0) -> int:
        """How many answers came from it to requests made since then."""
        return sum(answer.server == server and answer.status == 200 and answer.begun >= since
                   for answer in list(self.answers))

    @property
    def failures(self) -> list[Answer]:
        return [answer for answer in list(self.answers) if answer.status != 200]

    async def _run(self) -> None:
        await (self._at_rate() if self.rate else
               asyncio.gather(*(self._client() for _ in range(self.clients))))
        for _, writer in self._idle:
            writer.close()

    async def _client(self) -> None:
        while not self._stop.is_set():
            await self._ask()
            await asyncio.sleep(self.pause)

    async def _at_rate(self) -> None:
        due, tasks = time.monotonic(), set()
        while not self._stop.is_set():
            if (early := due - time.monotonic()) > 0:
                await asyncio.sleep(early)
            task = asyncio.create_task(self._ask(due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            await asyncio.sleep(0)  # It takes its number before the next one is made.
            due += 1 / self.rate
        await asyncio.gather(*tasks)

    async def _ask(self, due: float | None = None) -> None:
        number, self.asked, begun = self.asked, self.asked + 1, time.monotonic()
        connection = self._idle.pop() if self._idle else None
        try:
            connection = connection or await asyncio.open_connection("127.0.0.1", self.port)
            answer = await asyncio.wait_for(self._exchange(number, begun, *connection),
                                            seconds(30))
        except (OSError, EOFError, asyncio.TimeoutError, AssertionError) as error:
            answer = Answer(number, begun, time.monotonic() - begun, 0, error=repr(error))
            if connection:
                connection[1].close()
        answer.late = begun - due if due else 0.0
        self.answers.append(answer)

    async def _exchange(self, number, begun, reader, writer) -> Answer:
        writer.write(self._text.format(number).encode("latin-1"))
        start, lines = split_head(await reader.readuntil(b"\r\n\r\n"))
        fields = {name.lower(): value for name, value in lines}
        body = await reader.readexactly(int(fields.get("content-length", 0)))
        if fields.get("connection") == "close":
            writer.close()
        else:
            self._idle.append((reader, writer))
        return Answer(number, begun, time.monotonic() - begun, int(start.split()[1]),
                      body.decode(), fields.get("retry-after", ""),
                      fields.get("proxy-status", ""))


def quantile(values: list[float], share: float) -> float:
    """The smallest value that is not exceeded by `share` of them."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]
