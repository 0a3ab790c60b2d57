"""weir's targets: what is promised of its speed, measured beside the limit and the peers."""

import argparse
import pathlib
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
BESIDE_PROXIES = ("weir", "nginx", "haproxy", "floor")
USER_US_MAX, CLIENT_BYTES_MAX, REST_MB_MAX = 0.8, 400, 4.0
SPREAD_MAX, WORKERS_COST_MAX = 1.25, 1.1
INSTRUCTIONS = rig.ROOT / "tools" / "instructions.txt"
ONE, FOUR = ("weir", 1), ("weir", 4)


class Target(NamedTuple):
    work: str
    weir: str
    target: str
    met: bool
    others: str


# --- Measuring ----------------------------------------------------------------------------------


def run_bodies(options: argparse.Namespace, folder: pathlib.Path) -> loads.Results:
    origin = rig.start_origin(options.cpus[1])
    proxies = [bulk_rig.start_proxy(name, "http", options, folder, origin, origin)
               for name in BODY_PROXIES]
    options.connections = bulk.CONNECTIONS
    found: loads.Results = {size: {name: [] for name in BODY_PROXIES} for size in BODIES}
    for number in range(options.rounds):
        for title, size in BODIES.items():
            for proxy in bulk_rig.order_of_round(proxies, number):
                sample = bulk.measure(proxy, f"/{size}", options)
                found[title][proxy.name].append(sample._asdict())
        print(f"round {number + 1} of {options.rounds}: bodies", file=sys.stderr)
    rig.stop_all()
    return found


def run_beside(options: argparse.Namespace, folder: pathlib.Path) -> dict:
    options.mode = "http"
    origins = (rig.start_origin(options.cpus[1]),
               rig.port_of(rig.start_low(options.cpus[1], rig.origin_command())))
    found: dict[str, list[loads.Sample]] = {name: [] for name in BESIDE_PROXIES}
    for number in range(options.rounds):
        for name in bulk_rig.order_of_round(list(BESIDE_PROXIES), number):
            sample = fairness.measure(name, BESIDE, options, folder, origins)
            found[name].append(sample._asdict())
        print(f"round {number + 1} of {options.rounds}: {BESIDE}", file=sys.stderr)
    rig.stop_all()
    return found


def naming(options: argparse.Namespace, names: tuple[str, ...]) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(options), "names": list(names)})


def run(options: argparse.Namespace, folder: pathlib.Path) -> dict:
    rig.check_programs(plain.programs((*loads.PEERS, *plain.FLOORS), options))
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
    ratios = {name: costs["weir"] / costs[name] for name in limits}
    failed = sum(run.get("failed", 0) for run in by_proxy["weir"])
    return Target(
        f"{work}: CPU us" + (f" ({failed:.0f} failed)" if failed else ""),
        f"{costs['weir']:.1f}: " + ", ".join(f"{ratio:.2f}x {name}"
                                             for name, ratio in ratios.items()),
        ", ".join(f"<= {limit:.2f}x {name}" for name, limit in limits.items()),
        not failed and all(ratios[name] <= limit for name, limit in limits.items()),
        ", ".join(f"{name} {cost:.1f}" for name, cost in costs.items() if name != "weir"))


def bound_target(work: str, values: dict[str, float], limit: float, unit: str,
                 digits: int) -> Target:
    return Target(work, f"{values['weir']:.{digits}f} {unit}", f"<= {limit:g} {unit}",
                  values["weir"] <= limit,
                  ", ".join(f"{name} {value:.{digits}f}" for name, value in values.items()
                            if name != "weir"))


def medians(by_proxy: dict[str, list[loads.Sample]], field: str) -> dict[str, float]:
    return {name: loads.median(runs, field) for name, runs in by_proxy.items()}


def user_target(by_proxy: dict[str, list[loads.Sample]]) -> Target:
    """With the instructions of a request, as `tools/check` has counted them."""
    target = bound_target("Small keep-alive: user time",
                          {name: loads.user_us(runs) for name, runs in by_proxy.items()},
                          USER_US_MAX, "us", 2)
    counted = INSTRUCTIONS.read_text().split()[0] if INSTRUCTIONS.exists() else "?"
    return target._replace(weir=f"{target.weir}, {counted} instructions")


def beside_target(found: dict[str, list[loads.Sample]]) -> Target:
    p99, mib = medians(found, "p99_ms"), medians(found, "bulk_mib_s")
    cells = {name: f"{p99[name]:.1f} ms, {mib[name]:.0f} MiB/s" for name in found}
    return Target(f"p99 of small requests beside {fairness.DOWNLOADS} downloads, and their bulk",
                  cells["weir"], "no more ms and no less MiB/s than haproxy",
                  p99["weir"] <= p99["haproxy"] and mib["weir"] >= mib["haproxy"],
                  "; ".join(f"{name} {cell}" for name, cell in cells.items() if name != "weir"))


def workers_targets(found: dict[str, list[loads.Sample]]) -> list[Target]:
    one, four = found[workers.title(*ONE)], found[workers.title(*FOUR)]
    spread = loads.median(four, "spread")
    cost = loads.median(four, "cpu_us") / loads.median(one, "cpu_us")
    scene = f"4 workers, {workers.BUSY} of {workers.CLIENTS} clients busy: "
    return [Target(f"{scene}work by worker, max/mean", f"{spread:.2f}", f"<= {SPREAD_MAX}",
                   spread <= SPREAD_MAX, f"CPU time: {loads.median(four, 'cpu_spread'):.2f}"),
            Target(f"{scene}CPU per request", f"{cost:.2f}x one worker",
                   f"<= {WORKERS_COST_MAX}x", cost <= WORKERS_COST_MAX, "")]


def judge(found: dict) -> list[Target]:
    small = found["small"][loads.CLOSED]
    peers = {"floor": 1.10, "nginx": 0.80, "haproxy": 0.80}
    (close,), bodies = found["close"].values(), found["bodies"]
    as_usual = {name: close[name] for name in (*loads.PEERS, "floor_close")}
    deferred = {name.split()[0]: close[name] for name in (*loads.DEFERRED_PEERS, "floor_close")}
    closing = {"floor_close": 1.05, "nginx": 0.88}
    return [
        cost_target("Small keep-alive, 64 connections", small, peers),
        cost_target(f"The same at {loads.RATE} a second", found["small"][loads.FIXED],
                    {"floor": 1.10}),
        cost_target("No keep-alive on the client side", as_usual, closing),
        cost_target("The same, accepts deferred by all three", deferred, closing),
        cost_target("64 KiB bodies", bodies["64 KiB"], {"floor_splice": 1.20}),
        cost_target("1 MiB bodies", bodies["1 MiB"], {"floor_splice": 1.10}),
        user_target(small),
        bound_target(f"Memory of an idle client, of {idle.CLIENTS}",
                     medians(found["idle"], "client_bytes"), CLIENT_BYTES_MAX, "B", 0),
        bound_target("Memory at rest, one worker, PSS",
                     medians(found["idle"], "rest_mb"), REST_MB_MAX, "MB", 1),
        beside_target(found["beside"]),
        *workers_targets(found["workers"])]


def noise(found: dict) -> comparison.Noise:
    """Beside downloads the load is late by their work too: that says nothing of the machine."""
    on_time = [runs for scenes in (found["small"], found["close"], found["bodies"])
               for by_proxy in scenes.values() for runs in by_proxy.values()]
    beside, shared = found["beside"].values(), found["workers"].values()
    each = (comparison.noise_of(on_time), comparison.noise_of(beside)._replace(late_ms=0.0),
            comparison.noise_of(shared, shared=True))
    return comparison.Noise(*map(max, zip(*each)))


def page_text(found: dict, options: argparse.Namespace) -> str:
    rows = [["work", "weir", "target", "met", "beside it"]]
    rows += [[target.work, target.weir, target.target, "yes" if target.met else "**no**",
              target.others] for target in judge(found)]
    return (f"Medians of {options.rounds} interleaved rounds of {options.seconds} s each. "
            + report.surroundings([*loads.PEERS, *plain.FLOORS], options)
            + comparison.noise_text(noise(found)) + "\n"
            + report.markdown_table(rows, texts=5))


def bars(found: dict) -> comparison.Bars:
    scenes = {**found["small"], "no keep-alive": next(iter(found["close"].values())),
              **{f"{size} bodies": runs for size, runs in found["bodies"].items()}}
    return ("CPU time of a request, as a multiple of the bare relay's",
            {title: {name: loads.median(runs, "cpu_us") / loads.median(by_proxy[floor], "cpu_us")
                     for name, runs in by_proxy.items()}
             for title, by_proxy in scenes.items()
             for floor in by_proxy if floor.startswith("floor")})


COMPARISON = comparison.Comparison(
    "targets", "What weir promises of its speed, beside the limit and the peers", run, page_text,
    noise, bars=bars)
