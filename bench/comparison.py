"""What tools/bench has to know of a comparison, whatever it compares, and when its result may be
published: one gate for all of them."""

import argparse
import pathlib
import statistics
from typing import Callable, Iterable, NamedTuple

import rig

PAGE = rig.ROOT / "docs" / "performance.md"
# A result is published if it was measured at least so often,
ROUNDS_MIN = 3
# and if in no row of its tables the median of the rounds was beyond one of these: the share of the
# time for which the proxy waited for its CPU, how late the load was itself (p99), and the share of
# the requests that failed.
WAITED_MAX, LATE_MS_MAX, FAILED_MAX = 0.05, 1.0, 0.001


class Noise(NamedTuple):
    """How far a measurement was from quiet."""
    waited: float = 0.0
    late_ms: float = 0.0
    failed: float = 0.0


class Block(NamedTuple):
    """What belongs between two marks of a page."""
    page: pathlib.Path
    mark: str
    text: str


Bars = tuple[str, dict[str, dict[str, float]]]  # A title; values by scene and proxy.


class Comparison(NamedTuple):
    """A suite of tools/bench. `found` is whatever run() has found; it is stored as JSON."""
    name: str
    about: str
    run: Callable[[argparse.Namespace, pathlib.Path], dict]
    page_text: Callable[[dict, argparse.Namespace], str]
    noise: Callable[[dict], Noise]
    proxies: tuple[str, ...] = ()  # What --only chooses from; none: it compares all it has.
    bars: Callable[[dict], Bars] | None = None
    page: pathlib.Path = PAGE
    rounds: int = 5
    seconds: int = 3
    add_arguments: Callable[[argparse.ArgumentParser], None] | None = None
    # What else is made of the same measurement.
    blocks: Callable[[dict, argparse.Namespace], list[Block]] | None = None


# --- The gate -----------------------------------------------------------------------------------


def field_of(run, name: str) -> float:
    return run.get(name, 0.0) if isinstance(run, dict) else getattr(run, name, 0.0)


def noise_of(rows: Iterable[list], shared: bool = False) -> Noise:
    """The worst row of what was measured, each by the median of its rounds. Where the proxies
    `shared` their CPUs with the load, waiting is part of what was measured."""
    def worst(value: Callable) -> float:
        return max((statistics.median(map(value, runs)) for runs in rows if runs), default=0.0)

    rows = list(rows)
    failed = worst(lambda run: field_of(run, "failed") / max(field_of(run, "requests"), 1))
    if shared:
        return Noise(failed=failed)
    return Noise(worst(lambda run: field_of(run, "disturbed")),
                 worst(lambda run: field_of(run, "late_p99_ms")), failed)


def noise_text(noise: Noise, where: str = "Where it was least quiet") -> str:
    """For the caption; what was not measured is 0."""
    late = f"the load was {noise.late_ms:.2f} ms late (p99)" if noise.late_ms else ""
    failed = f"{noise.failed:.2%} of the requests failed" if noise.failed else ""
    return ", and ".join(filter(None, (f"{where} a proxy waited {noise.waited:.1%} of the time for "
                                       "its CPU", late, failed))) + ".\n"


def objections(comparison: Comparison, noise: Noise, options: argparse.Namespace) -> list[str]:
    """Why this result is not one for others to read."""
    found = []
    if options.rounds < ROUNDS_MIN:
        found.append(f"too few rounds, {options.rounds} of at least {ROUNDS_MIN}")
    if left_out := [name for name in comparison.proxies if name not in options.names]:
        found.append(f"without {', '.join(left_out)}")
    if options.own_changed:
        found.append(f"with arguments of its own ({', '.join(options.own_changed)})")
    for value, limit, text in (
            (noise.waited, WAITED_MAX, "a proxy waited {:.1%} of the time for its CPU, the limit "
                                       "is {:.0%}"),
            (noise.late_ms, LATE_MS_MAX, "the load was {:.2f} ms late, the limit is {} ms"),
            (noise.failed, FAILED_MAX, "{:.2%} of a proxy's requests failed, the limit is "
                                       "{:.1%}")):
        if value > limit:
            found.append(text.format(value, limit))
    return found
