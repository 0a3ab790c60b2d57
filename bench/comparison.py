"""What tools/bench has to know of a comparison, whatever it compares, and when its result may be
published: one gate for all of them."""

import argparse
import pathlib
import statistics
from typing import Callable, Iterable, NamedTuple

import plain
import rig

PAGE = rig.ROOT / "docs" / "performance.md"
# A result is published if it was measured at least so often,
ROUNDS_MIN = 3
# and if in no row of its tables the median of the rounds was beyond one of these: the share of the
# time for which the proxy waited for its CPU, how late the load was itself (p99), the share of the
# requests that failed, and the share of the time for which the host had the CPUs do other work.
WAITED_MAX, LATE_MS_MAX, FAILED_MAX, STEAL_MAX = 0.05, 1.0, 0.001, 0.02
# A scene of a round in which the host took more than STEAL_MAX is measured again, until so many of
# all have been.
AGAIN_MAX = 0.5


class Noise(NamedTuple):
    """How far a measurement was from quiet."""
    waited: float = 0.0
    late_ms: float = 0.0
    failed: float = 0.0
    steal: float = 0.0
    # For the caption only: how late the load was in its worst round, and how far the rounds of the
    # steadiest reference were apart, of its median. A clock that changes shows there.
    latest_ms: float = 0.0
    spread: float = 0.0


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


# --- Rounds -------------------------------------------------------------------------------------


def field_of(run, name: str) -> float:
    return run.get(name, 0.0) if isinstance(run, dict) else getattr(run, name, 0.0)


def ratios(runs: list, others: list, field: str = "cpu_us") -> list[float]:
    """Round by round: what changes from one to the next meets both."""
    return [field_of(run, field) / max(field_of(other, field), 1e-9)
            for run, other in zip(runs, others)]


def medians_text(options: argparse.Namespace) -> str:
    return (f"Medians of {options.rounds} interleaved rounds of {options.seconds} s each, and of "
            "their ratios.")


def ratio(runs: list, others: list, field: str = "cpu_us") -> float:
    return statistics.median(ratios(runs, others, field))


# --- The machine --------------------------------------------------------------------------------


Ticks = tuple[int, int]


def stolen_ticks(cpus: Iterable) -> Ticks:
    """Of these CPUs: ticks for which the host had something else run, and all."""
    names = {f"cpu{cpu}" for cpu in ",".join(map(str, cpus)).split(",")}
    stolen = total = 0
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name in names:
            ticks = [int(field) for field in fields[:8]]  # Guests' time is in user time too.
            stolen, total = stolen + ticks[7], total + sum(ticks)
    return stolen, total


def steal_since(before: Ticks, cpus: Iterable) -> float:
    stolen, total = stolen_ticks(cpus)
    return (stolen - before[0]) / max(total - before[1], 1)


class Repeats:
    """Of one suite: how many scenes of rounds were measured, and how many of them again."""

    def __init__(self) -> None:
        self.scenes = self.again = 0

    def text(self) -> str:
        """For the caption."""
        return (f"{self.again} of {self.scenes} scenes of rounds were measured again, with all "
                f"proxies, because the host took more than {STEAL_MAX:.0%} of the CPUs' time.\n"
                if self.again else "")


def add_scene(found: dict[str, list], measure: Callable[[], dict], repeats: Repeats,
              cpus: Iterable) -> None:
    """Adds what `measure()` says of every proxy in a scene, by name, to those of other rounds.
    What the host disturbed is measured again as a whole, whatever came out of it."""
    repeats.scenes += 1
    machine = stolen_ticks(cpus)
    samples = measure()
    while steal_since(machine, cpus) > STEAL_MAX and repeats.again < repeats.scenes * AGAIN_MAX:
        repeats.again += 1
        machine = stolen_ticks(cpus)
        samples = measure()
    for name, sample in samples.items():
        found[name].append(sample)


# --- The gate -----------------------------------------------------------------------------------


def noise_of(rows: Iterable[list], shared: bool = False) -> Noise:
    """The worst row of what was measured, each by the median of its rounds. Where the proxies
    `shared` their CPUs with the load, waiting is part of what was measured."""
    def worst(value: Callable) -> float:
        return max((statistics.median(map(value, runs)) for runs in rows), default=0.0)

    rows = [runs for runs in rows if runs]
    failed = worst(lambda run: field_of(run, "failed") / max(field_of(run, "requests"), 1))
    steal = worst(lambda run: field_of(run, "steal"))
    if shared:
        return Noise(failed=failed, steal=steal)
    return Noise(worst(lambda run: field_of(run, "disturbed")),
                 worst(lambda run: field_of(run, "late_p99_ms")), failed, steal,
                 max((field_of(run, "late_p99_ms") for runs in rows for run in runs), default=0.0))


def spread_of(scenes: Iterable[dict[str, list]]) -> float:
    """How far the rounds of the bare relay, without one of the steadiest proxy, were apart, in the
    scene where that was most."""
    def spread(runs: list) -> float:
        costs = [field_of(run, "cpu_us") for run in runs]
        return (max(costs) - min(costs)) / max(statistics.median(costs), 1e-9)

    def reference(by_proxy: dict[str, list]) -> list[list]:
        return [by_proxy[name] for name in plain.FLOORS if name in by_proxy] or [*by_proxy.values()]

    return max((min(map(spread, reference(by_proxy))) for by_proxy in scenes
                if by_proxy and all(by_proxy.values())), default=0.0)


def noise_text(noise: Noise, where: str = "Where it was least quiet") -> str:
    """For the caption; what was not measured is 0."""
    worst = f", {noise.latest_ms:.2f} ms in its worst round" if noise.latest_ms else ""
    parts = [f"{where} a proxy waited {noise.waited:.1%} of the time for its CPU",
             f"the load was {noise.late_ms:.2f} ms late (p99{worst})" if noise.late_ms else "",
             f"the host took {noise.steal:.1%} of the CPUs' time" if noise.steal else "",
             f"{noise.failed:.2%} of the requests failed" if noise.failed else "",
             f"the rounds of the reference were {noise.spread:.0%} apart" if noise.spread else ""]
    *most, last = filter(None, parts)
    return ", and ".join(filter(None, (", ".join(most), last))) + ".\n"


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
                                       "{:.1%}"),
            (noise.steal, STEAL_MAX, "the host took {:.1%} of the CPUs' time, the limit is "
                                     "{:.0%}")):
        if value > limit:
            found.append(text.format(value, limit))
    return found
