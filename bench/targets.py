"""weir's targets: what is promised of its speed, measured beside the limit and the peers."""

import argparse
import pathlib
import statistics
import sys
from typing import NamedTuple

import bulk
import bulk_rig
import comparison
import fairness
import idle
import loads
import plain
import report
import rig
import workers

SMALL = loads.Suite("Small requests", (loads.closed(64), loads.fixed(loads.RATE)))
CLOSE = loads.SUITES["close"]._replace(scenes=(loads.closed(64, no_keep_alive=True),))
BODIES = {"64 KiB": 64 << 10, "1 MiB": 1 << 20}
BODY_PROXIES = ("weir", "nginx", "haproxy", "haproxy splice", "floor_splice")
BESIDE = "small beside downloads"
USER_US_MAX, CLIENT_BYTES_MAX, REST_MB_MAX = 0.8, 400, 4.0
SPREAD_MAX, WORKERS_COST_MAX = 1.25, 1.1
INSTRUCTIONS = rig.ROOT / "tools" / "instructions.txt"
ONE, FOUR = ("weir", 1), ("weir", 4)


class Target(NamedTuple):
    work: str
    weir: str
    target: str
    met: str
    others: str


def verdict(met: bool, rounds: list[bool]) -> str:
    """That of the medians; single rounds that would have another one show how near it was."""
    others = sum(each != met for each in rounds)
    near = f", but {'not ' if met else ''}in {others} of {len(rounds)} rounds" if others else ""
    return ("yes" if met else "**no**") + near


# --- Measuring ----------------------------------------------------------------------------------


def run_bodies(options: argparse.Namespace, folder: pathlib.Path) -> loads.Results:
    origin = rig.start_origin(options.cpus[1])
    proxies = [bulk_rig.start_proxy(name, "http", options, folder, origin, origin)
               for name in BODY_PROXIES]
    options.connections = bulk.CONNECTIONS
    found: loads.Results = {size: {name: [] for name in BODY_PROXIES} for size in BODIES}
    for number in range(options.rounds):
        for title, size in BODIES.items():
            order = bulk_rig.order_of_round(proxies, number)
            comparison.add_scene(
                found[title],
                lambda: {proxy.name: bulk.measure(proxy, f"/{size}", options)._asdict()
                         for proxy in order}, options.repeats, options.cpus)
        print(f"round {number + 1} of {options.rounds}: bodies", file=sys.stderr)
    rig.stop_all()
    return found


def run_beside(options: argparse.Namespace, folder: pathlib.Path) -> dict:
    options.mode = "http"
    origins = (rig.start_origin(options.cpus[1]),
               rig.port_of(rig.start_low(options.cpus[1], rig.origin_command())))
    found: dict[str, list[loads.Sample]] = {name: [] for name in loads.PEERS}
    for number in range(options.rounds):
        order = bulk_rig.order_of_round(list(loads.PEERS), number)
        comparison.add_scene(
            found, lambda: {name: fairness.measure(name, BESIDE, options, folder,
                                                   origins)._asdict() for name in order},
            options.repeats, options.cpus)
        print(f"round {number + 1} of {options.rounds}: {BESIDE}", file=sys.stderr)
    rig.stop_all()
    return found


def naming(options: argparse.Namespace, names: tuple[str, ...]) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(options), "names": list(names)})


def run(options: argparse.Namespace, folder: pathlib.Path) -> dict:
    rig.check_programs(plain.programs((*loads.PEERS, *plain.FLOORS), options))
    idle.check_room()  # All that a later one needs, before the first.
    return {"small": loads.run(SMALL, naming(options, SMALL.proxies), folder)["scenes"],
            "close": loads.run(CLOSE, naming(options, CLOSE.proxies), folder)["scenes"],
            "bodies": run_bodies(options, folder), "beside": run_beside(options, folder),
            "idle": idle.run(naming(options, loads.PEERS), folder),
            "workers": workers.run(options, folder, (ONE, FOUR))}


# --- Judging ------------------------------------------------------------------------------------


def cost_target(work: str, by_proxy: dict[str, list[loads.Sample]],
                limits: dict[str, float]) -> Target:
    """CPU time of weir, which is not to be more than so many times that of others."""
    costs = medians(by_proxy, "cpu_us")
    ratios = {name: comparison.ratios(by_proxy["weir"], by_proxy[name]) for name in limits}
    met = [all(each <= limit for each, limit in zip(of_round, limits.values()))
           for of_round in zip(*ratios.values())]
    failed = sum(run.get("failed", 0) for run in by_proxy["weir"])
    return Target(
        f"{work}: CPU us" + (f" ({failed:.0f} failed)" if failed else ""),
        f"{costs['weir']:.1f}: " + ", ".join(f"{range_text(each)} {name}"
                                             for name, each in ratios.items()),
        ", ".join(f"<= {limit:.2f}x {name}" for name, limit in limits.items()),
        verdict(not failed and all(statistics.median(ratios[name]) <= limit
                                   for name, limit in limits.items()), [] if failed else met),
        ", ".join(f"{name} {cost:.1f}" for name, cost in costs.items() if name != "weir"))


def range_text(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f}x ({min(ratios):.2f}-{max(ratios):.2f})"


def bound_target(work: str, values: dict[str, float], limit: float, unit: str,
                 digits: int, rounds: list[float] | None = None) -> Target:
    return Target(work, f"{values['weir']:.{digits}f} {unit}", f"<= {limit:g} {unit}",
                  verdict(values["weir"] <= limit, [each <= limit for each in rounds or []]),
                  ", ".join(f"{name} {value:.{digits}f}" for name, value in values.items()
                            if name != "weir"))


def medians(by_proxy: dict[str, list[loads.Sample]], field: str) -> dict[str, float]:
    return {name: loads.median(runs, field) for name, runs in by_proxy.items()}


def user_target(by_proxy: dict[str, list[loads.Sample]], weir: str) -> Target:
    """With the instructions of a request, as `tools/check` has counted them for our own weir. Of
    all rounds together: a round has few ticks."""
    target = bound_target("Small keep-alive: user time",
                          {name: loads.user_us(runs) for name, runs in by_proxy.items()},
                          USER_US_MAX, "us", 2)
    if not report.is_built_here(weir):
        return target
    counted = INSTRUCTIONS.read_text().split()[0] if INSTRUCTIONS.exists() else "?"
    return target._replace(weir=f"{target.weir}, {counted} instructions")


def beside_target(found: dict[str, list[loads.Sample]]) -> Target:
    p99, mib = medians(found, "p99_ms"), medians(found, "bulk_mib_s")
    ratios = {field: comparison.ratios(found["weir"], found["haproxy"], field)
              for field in ("p99_ms", "bulk_mib_s")}
    cells = {name: f"{p99[name]:.1f} ms, {mib[name]:.0f} MiB/s" for name in found}
    return Target(f"p99 of small requests beside {fairness.DOWNLOADS} downloads, and their bulk",
                  f"{cells['weir']}: {range_text(ratios['p99_ms'])} and "
                  f"{range_text(ratios['bulk_mib_s'])} haproxy",
                  "no more ms and no less MiB/s than haproxy",
                  verdict(statistics.median(ratios["p99_ms"]) <= 1
                          <= statistics.median(ratios["bulk_mib_s"]),
                          [late <= 1 <= bulk for late, bulk in zip(*ratios.values())]),
                  "; ".join(f"{name} {cell}" for name, cell in cells.items() if name != "weir"))


def workers_targets(found: dict[str, list[loads.Sample]]) -> list[Target]:
    one, four = found[workers.title(*ONE)], found[workers.title(*FOUR)]
    spread = loads.median(four, "spread")
    spreads = [run["spread"] for run in four]
    costs = comparison.ratios(four, one)
    scene = f"4 workers, {workers.BUSY} of {workers.CLIENTS} clients busy: "
    return [Target(f"{scene}work by worker, max/mean",
                   f"{spread:.2f} ({min(spreads):.2f}-{max(spreads):.2f})", f"<= {SPREAD_MAX}",
                   verdict(spread <= SPREAD_MAX, [each <= SPREAD_MAX for each in spreads]),
                   f"CPU time: {loads.median(four, 'cpu_spread'):.2f}"),
            Target(f"{scene}CPU per request", f"{range_text(costs)} one worker",
                   f"<= {WORKERS_COST_MAX}x",
                   verdict(statistics.median(costs) <= WORKERS_COST_MAX,
                           [each <= WORKERS_COST_MAX for each in costs]), "")]


def judge(found: dict, weir: str) -> list[Target]:
    small = found["small"][loads.CLOSED]
    peers = {"floor": 1.10, "nginx": 0.80, "haproxy": 0.80}
    (close,), bodies = found["close"].values(), found["bodies"]
    as_usual = {name: close[name] for name in (*loads.PEERS, "floor_close")}
    deferred = {name.split()[0]: close[name]
                for name in (*loads.DEFERRED_PEERS, loads.FLOOR_DEFERRED)}
    closing = {"floor_close": 1.05, "nginx": 0.88}
    return [
        cost_target("Small keep-alive, 64 connections", small, peers),
        cost_target(f"The same at {loads.RATE} a second", found["small"][loads.FIXED],
                    {"floor": 1.10}),
        cost_target("No keep-alive on the client side", as_usual, closing),
        cost_target("The same, accepts deferred by all", deferred, closing),
        cost_target("64 KiB bodies", bodies["64 KiB"], {"floor_splice": 1.20}),
        cost_target("1 MiB bodies", bodies["1 MiB"], {"floor_splice": 1.10}),
        user_target(small, weir),
        bound_target(f"Memory of an idle client, of {idle.CLIENTS}",
                     medians(found["idle"], "client_bytes"), CLIENT_BYTES_MAX, "B", 0,
                     [run["client_bytes"] for run in found["idle"]["weir"]]),
        bound_target("Memory at rest, one worker, PSS",
                     medians(found["idle"], "rest_mb"), REST_MB_MAX, "MB", 2,
                     [run["rest_mb"] for run in found["idle"]["weir"]]),
        beside_target(found["beside"]),
        *workers_targets(found["workers"])]


def noise(found: dict) -> comparison.Noise:
    """Beside downloads the load is late by their work too: that says nothing of the machine."""
    on_time = [runs for scenes in (found["small"], found["close"], found["bodies"])
               for by_proxy in scenes.values() for runs in by_proxy.values()]
    beside, shared = found["beside"].values(), found["workers"].values()
    each = (comparison.noise_of(on_time),
            comparison.noise_of(beside)._replace(late_ms=0.0, latest_ms=0.0),
            comparison.noise_of(shared, shared=True))
    scenes = [*found["small"].values(), *found["close"].values(), *found["bodies"].values()]
    return comparison.Noise(*map(max, zip(*each)))._replace(spread=comparison.spread_of(scenes))


def page_text(found: dict, options: argparse.Namespace) -> str:
    rows = [["work", "weir", "target", "met", "beside it"]]
    rows += [list(target) for target in judge(found, options.weir)]
    return (f"{comparison.medians_text(options)} In brackets the rounds' least and greatest. "
            + report.surroundings([*loads.PEERS, *plain.FLOORS], options)
            + comparison.noise_text(noise(found)) + "\n"
            + report.markdown_table(rows, texts=5))


def bars(found: dict) -> comparison.Bars:
    scenes = {**found["small"], "no keep-alive": next(iter(found["close"].values())),
              **{f"{size} bodies": runs for size, runs in found["bodies"].items()}}
    return ("CPU time of a request, as a multiple of the bare relay's",
            {title: {name: comparison.ratio(runs, by_proxy[floor])
                     for name, runs in by_proxy.items()}
             for title, by_proxy in scenes.items()
             for floor in by_proxy if floor in plain.FLOORS})


COMPARISON = comparison.Comparison(
    "targets", "What weir promises of its speed, beside the limit and the peers", run, page_text,
    noise, bars=bars, rounds=9, seconds=1)
