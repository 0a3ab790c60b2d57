"""CPU time per body of weir, nginx, HAProxy and the bare relays, from 1 KiB to 8 MiB, in one run.

`bulk` is about HTTP proxies, with a length and in chunks of 64 KiB; `tcp` about TCP proxies, which
carry the same downloads, and then about how long small messages take through them to an echo and
back. Each proxy has one worker on a CPU of its own; the clients and the origin share a second one.
All proxies stay up for the whole run and are measured in turn, size by size and round after round.
"""

import argparse
import functools
import pathlib
import statistics
import subprocess
import sys
from typing import NamedTuple

import bulk_rig
import command_line
import comparison
import loads
import plain
import report
import rig

SIZES = (1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 8 << 20)
CHUNK = 64 << 10
DRAWN = (64 << 10, 1 << 20, 8 << 20)
CONNECTIONS = 16
FRAMINGS = {"http": {"with a length": "/{}", f"in chunks of {bulk_rig.size_name(CHUNK)}":
                     "/{}/" + str(CHUNK)},
            "tcp": {"": "/{}"}}
# Small messages: fresh connections, and such that have just moved 4 MiB each way.
ECHOES = {"fresh": 0, "after 4 MiB": 4 << 20}
DIRECT = "no proxy"
FLOOR = "floor_splice"


class Sample(NamedTuple):
    cpu_us: float  # Per body.
    mib_per_s: float
    busy: float  # Share of one CPU.
    disturbed: float  # Share of the time for which the proxy waited for it.
    steal: float


class Echo(NamedTuple):
    p50_us: float
    p99_us: float
    max_us: float
    cpu_us: float  # Per message.


# --- Measuring ----------------------------------------------------------------------------------


def measure(proxy: bulk_rig.Proxy, path: str, options: argparse.Namespace) -> Sample:
    """The connections have carried one body each before, and are closed after it."""
    load = loads.start_load(options.cpus[1], bulk_rig.pull_command(
        proxy.port, path, seconds=options.seconds, connections=options.connections, hold=1))
    before = rig.thread_times(proxy.process.pid)
    machine = comparison.stolen_ticks(options.cpus)
    seen = loads.go(load, proxy.name)
    cpu, waited = rig.times_since(before, proxy.process.pid)
    steal = comparison.steal_since(machine, options.cpus)
    rig.stop(load)
    if seen["failed"]:
        sys.exit(f"bench: the load on {proxy.name} did not go through cleanly: {seen}")
    return Sample(cpu / seen["requests"] * 1e6, seen["bytes"] / seen["seconds"] / (1 << 20),
                  cpu / seen["seconds"], waited / seen["seconds"], steal)


def measure_echo(proxy: bulk_rig.Proxy, bulk: int, options: argparse.Namespace) -> Echo:
    before = rig.cpu_seconds(proxy.process.pid)
    load = rig.start(options.cpus[1], rig.load_command(
        proxy.port, echo=64, first=bulk or 64, connections=4, rate=1000, seconds=options.seconds),
        stdout=subprocess.PIPE, text=True)
    seen = bulk_rig.read_json(load, options.seconds + 30, proxy.name)
    cpu = rig.cpu_seconds(proxy.process.pid) - before
    return Echo(seen["p50_ms"] * 1000, seen["p99_ms"] * 1000, seen["max_ms"] * 1000,
                cpu / seen["requests"] * 1e6)


# --- Reporting ----------------------------------------------------------------------------------


def median(samples: list, field: str) -> float:
    return statistics.median(getattr(sample, field) for sample in samples)


def cost_table(by_proxy: dict[str, dict[int, list[Sample]]], sizes: list[int]) -> str:
    """A row for each proxy, a column for each size: the cost, and in brackets the multiple of the
    bare relay's."""
    def cell(name: str, size: int) -> str:
        own = median(by_proxy[name][size], "cpu_us")
        if FLOOR not in by_proxy:
            return f"{own:.1f}"
        return f"{own:.1f} ({comparison.ratio(by_proxy[name][size], by_proxy[FLOOR][size]):.2f})"

    last = sizes[-1]
    rows = [["proxy", *map(bulk_rig.size_name, sizes), "us/MiB", "MiB/s", "CPU busy"]]
    for name, by_size in by_proxy.items():
        rows.append([name, *(cell(name, size) for size in sizes),
                     f"{median(by_size[last], 'cpu_us') / last * (1 << 20):.0f}",
                     f"{median(by_size[last], 'mib_per_s'):.0f}",
                     f"{median(by_size[last], 'busy'):.0%}"])
    return report.markdown_table(rows)


def echo_table(by_proxy: dict[str, dict[str, list[Echo]]]) -> str:
    """In brackets how much later than by the bare relay, round by round."""
    def cell(name: str, kind: str) -> str:
        runs = by_proxy[name][kind]
        text = f"{median(runs, 'p50_us'):.0f} / {median(runs, 'p99_us'):.0f}"
        if FLOOR not in by_proxy or name == FLOOR:
            return text
        later = statistics.median(own.p50_us - floor.p50_us
                                  for own, floor in zip(runs, by_proxy[FLOOR][kind]))
        return f"{text} ({later:+.0f})"

    rows = [["proxy", *(f"{kind}: p50 / p99 us (p50 - {FLOOR}'s)" for kind in ECHOES),
             "CPU us/message"]]
    for name, by_kind in by_proxy.items():
        fresh = by_kind[next(iter(ECHOES))]
        rows.append([name, *(cell(name, kind) for kind in ECHOES),
                     "" if name == DIRECT else f"{median(fresh, 'cpu_us'):.1f}"])
    return report.markdown_table(rows)


def page_text(found: dict, options: argparse.Namespace) -> str:
    text = (f"{comparison.medians_text(options)} {options.connections} connections. "
            + report.surroundings(options.names, options) + comparison.noise_text(noise(found)))
    text += ("\nCPU us per body by its size, and the multiple of the bare relay's; the last three "
             f"columns are those of {bulk_rig.size_name(options.sizes[-1])}.\n")
    for framing, by_proxy in found["bodies"].items():
        text += f"\nBodies {framing}:\n" if framing else ""
        text += "\n" + cost_table(by_proxy, options.sizes)
    if found["echoes"]:
        text += ("\n64 bytes to an echo and back, 1,000 a second over 4 connections:\n\n"
                 + echo_table(found["echoes"]))
    return text


def noise(found: dict) -> comparison.Noise:
    scenes = [{name: by_size[size] for name, by_size in by_proxy.items()}
              for by_proxy in found["bodies"].values()
              for size in next(iter(by_proxy.values()), {})]
    return comparison.noise_of(runs for by_proxy in scenes for runs in by_proxy.values())._replace(
        spread=comparison.spread_of(scenes))


def bars(found: dict) -> comparison.Bars:
    """Of some sizes; the bare relay itself would be 1 everywhere."""
    groups = {}
    for framing, by_proxy in found["bodies"].items():
        base = by_proxy.get(FLOOR) or next(iter(by_proxy.values()))
        for size in [size for size in DRAWN if size in base]:
            groups[f"{bulk_rig.size_name(size)} {framing}".strip()] = {
                name: comparison.ratio(by_size[size], base[size])
                for name, by_size in by_proxy.items() if name != FLOOR}
    return "CPU time of a body, as a multiple of the bare relay's", groups


# --- The run ------------------------------------------------------------------------------------


def add_arguments(parser) -> None:
    parser.add_argument("--connections", type=command_line.count, default=CONNECTIONS)
    parser.add_argument("--sizes", default=list(SIZES), metavar="BYTES",
                        type=lambda text: sorted({command_line.whole(size, 1 << 30)
                                                  for size in text.split(",")}),
                        help="of bodies, with commas between them")


def run_round(proxies: list[bulk_rig.Proxy], found: dict, options: argparse.Namespace) -> None:
    for framing, path in FRAMINGS[options.mode].items():
        by_proxy = found["bodies"][framing]
        for size in options.sizes:
            comparison.add_scene(
                {name: by_size[size] for name, by_size in by_proxy.items()},
                lambda: {proxy.name: measure(proxy, path.format(size), options)
                         for proxy in proxies}, options.repeats, options.cpus)
    direct = bulk_rig.Proxy(DIRECT, proxies[0].process, options.origin, 0)
    for kind, bulk in ECHOES.items() if found["echoes"] else ():
        comparison.add_scene(
            {name: by_kind[kind] for name, by_kind in found["echoes"].items()},
            lambda: {proxy.name: measure_echo(proxy, bulk, options)
                     for proxy in [direct, *proxies]}, options.repeats, options.cpus)


def run(mode: str, options: argparse.Namespace, folder: pathlib.Path) -> dict:
    rig.check_programs(plain.programs(options.names, options))
    options.mode = mode
    options.origin = rig.start_origin(options.cpus[1])
    proxies = [bulk_rig.start_proxy(name, mode, options, folder, options.origin, options.origin)
               for name in options.names]
    found = {"bodies": {framing: {name: {size: [] for size in options.sizes}
                                  for name in options.names} for framing in FRAMINGS[mode]},
             "echoes": {name: {kind: [] for kind in ECHOES} for name in [DIRECT, *options.names]
                        } if mode == "tcp" else {}}
    for number in range(options.rounds):
        run_round(bulk_rig.order_of_round(proxies, number), found, options)
        print(f"round {number + 1} of {options.rounds}: bodies", file=sys.stderr)
    rig.stop_all()
    return found


def describe(name: str, about: str, mode: str) -> comparison.Comparison:
    return comparison.Comparison(name, about, functools.partial(run, mode), page_text, noise,
                                 bulk_rig.PROXIES, bars, rounds=3, seconds=2,
                                 add_arguments=add_arguments)


COMPARISONS = (describe("bulk", "Bodies from 1 KiB to 8 MiB through HTTP proxies", "http"),
               describe("tcp", "Bodies and small messages through TCP proxies", "tcp"))
