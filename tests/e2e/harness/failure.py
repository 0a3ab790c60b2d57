"""The base of the tests about failure and overload: servers with moods, load, and a way to say how
long something took. `run.py -v` shows the times; WEIR_SLOWDOWN stretches their deadlines."""

import sys
import time

from .case import Case
from .load import Load
from .moody import MoodyServer
from .wait import SLOWDOWN, wait_until


def ms(value: float) -> str:
    """A duration of the configuration that a slow build needs longer."""
    return f"{int(value * SLOWDOWN)}ms"


class FailureCase(Case):

    def moody(self, name: str = "one", **mood) -> MoodyServer:
        return self._process(MoodyServer, {"name": name, **mood})

    def load(self, weir, **options) -> Load:
        load = Load(weir.port, **options)
        self.addCleanup(load.stop)
        return load

    def say(self, text: str) -> None:
        print(f"{self.id()}: {text}", file=sys.stderr)

    def took(self, what: str, condition, deadline: float) -> float:
        """Waits for it and prints how long it took."""
        begun = time.monotonic()
        wait_until(condition, deadline, what)
        elapsed = time.monotonic() - begun
        self.say(f"{what} after {elapsed:.3f} s")
        return elapsed

    def said(self, weir, text: str, deadline: float = 10) -> None:
        wait_until(lambda: text in weir.err, deadline, f"`{text}` in {weir.err[-2000:]}")
