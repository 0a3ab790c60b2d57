#!/usr/bin/env python3
"""CPU time per body of weir, nginx, HAProxy and the bare relays, from 4 KiB to 8 MiB, in one run.

`bulk` is about HTTP proxies, with a length and in chunks of 64 KiB; `tcp` about TCP proxies, which
carry the same downloads, and then about how long small messages take through them to an echo and
back. Each proxy has one worker on a CPU of its own; the clients and the origin share a second one.
All proxies stay up for the whole run and are measured in turn, size by size and round after round.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
from typing import NamedTuple

import bulk_rig
import report
import rig

PAGE = rig.ROOT / "docs" / "performance.md"
SIZES = (4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 8 << 20)
CHUNK = 64 << 10
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


class Echo(NamedTuple):
    p50_us: float
    p99_us: float
    max_us: float
    cpu_us: float  # Per message.


# --- Measuring ----------------------------------------------------------------------------------


def measure(proxy: bulk_rig.Proxy, path: str, options: argparse.Namespace) -> Sample:
    before = rig.cpu_seconds(proxy.process.pid)
    load = rig.start(options.cpus[1], bulk_rig.pull_command(
        proxy.port, path, seconds=options.seconds, connections=options.connections),
        stdout=subprocess.PIPE, text=True)
    seen = bulk_rig.read_json(load, options.seconds + 30, proxy.name)
    cpu = rig.cpu_seconds(proxy.process.pid) - before
    return Sample(cpu / seen["requests"] * 1e6, seen["bytes"] / seen["seconds"] / (1 << 20),
                  cpu / seen["seconds"])


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
        return f"{own:.1f} ({own / median(by_proxy[FLOOR][size], 'cpu_us'):.2f})"

    last = sizes[-1]
    rows = [["proxy", *map(bulk_rig.size_name, sizes), "us/MiB", "MiB/s", "CPU busy"]]
    for name, by_size in by_proxy.items():
        rows.append([name, *(cell(name, size) for size in sizes),
                     f"{median(by_size[last], 'cpu_us') / last * (1 << 20):.0f}",
                     f"{median(by_size[last], 'mib_per_s'):.0f}",
                     f"{median(by_size[last], 'busy'):.0%}"])
    return report.markdown_table(rows)


def echo_table(by_proxy: dict[str, dict[str, list[Echo]]]) -> str:
    def cell(runs: list[Echo]) -> str:
        return f"{median(runs, 'p50_us'):.0f} / {median(runs, 'p99_us'):.0f}"

    rows = [["proxy", *(f"{kind}: p50 / p99 us" for kind in ECHOES), f"p50 - {FLOOR}'s",
             "CPU us/message"]]
    for name, by_kind in by_proxy.items():
        fresh = by_kind[next(iter(ECHOES))]
        floor = by_proxy.get(FLOOR, by_proxy[name])[next(iter(ECHOES))]
        rows.append([name, *map(cell, by_kind.values()),
                     f"{median(fresh, 'p50_us') - median(floor, 'p50_us'):+.0f}",
                     "" if name == DIRECT else f"{median(fresh, 'cpu_us'):.1f}"])
    return report.markdown_table(rows)


def page_text(bodies: dict, echoes: dict, options: argparse.Namespace) -> str:
    text = (f"Medians of {options.rounds} interleaved rounds of {options.seconds} s each, "
            f"{options.connections} connections. "
            + report.surroundings(options.command, options.names, options))
    text += ("\nCPU us per body by its size, and the multiple of the bare relay's; the last three "
             f"columns are those of {bulk_rig.size_name(options.sizes[-1])}.\n")
    for framing, by_proxy in bodies.items():
        text += f"\nBodies {framing}:\n" if framing else ""
        text += "\n" + cost_table(by_proxy, options.sizes)
    if echoes:
        text += ("\n64 bytes to an echo and back, 1,000 a second over 4 connections:\n\n"
                 + echo_table(echoes))
    return text


# --- The run ------------------------------------------------------------------------------------


def parse_arguments() -> argparse.Namespace:
    command = sys.argv.pop(1) if sys.argv[1:2] == ["tcp"] or sys.argv[1:2] == ["bulk"] else "bulk"
    parser = argparse.ArgumentParser(prog=f"tools/bench {command}",
                                     description=__doc__.split("\n", maxsplit=1)[0])
    bulk_rig.add_arguments(parser, bulk_rig.PROXIES)
    parser.set_defaults(command=command, mode="tcp" if command == "tcp" else "http")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement")
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    parser.add_argument("--sizes", type=lambda text: sorted(map(int, text.split(","))),
                        default=list(SIZES), help="of bodies in bytes, with commas between them")
    return parser.parse_args()


def run_round(proxies: list[bulk_rig.Proxy], bodies: dict, echoes: dict,
              options: argparse.Namespace) -> None:
    for framing, path in FRAMINGS[options.mode].items():
        for size in options.sizes:
            for proxy in proxies:
                bodies[framing][proxy.name][size].append(
                    measure(proxy, path.format(size), options))
    for kind, bulk in ECHOES.items() if echoes else ():
        for proxy in [bulk_rig.Proxy(DIRECT, proxies[0].process, options.origin, 0), *proxies]:
            echoes[proxy.name][kind].append(measure_echo(proxy, bulk, options))


def main() -> int:
    options = parse_arguments()
    options.names = bulk_rig.prepare(options)
    bodies = {framing: {name: {size: [] for size in options.sizes} for name in options.names}
              for framing in FRAMINGS[options.mode]}
    echoes = {name: {kind: [] for kind in ECHOES} for name in [DIRECT, *options.names]
              } if options.mode == "tcp" else {}
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        os.chmod(folder, 0o755)  # The worker of nginx is another user when started by root.
        options.origin = rig.start_origin(options.cpus[1])
        proxies = [bulk_rig.start_proxy(name, options.mode, options, pathlib.Path(folder),
                                        options.origin, options.origin)
                   for name in options.names]
        for number in range(options.rounds):
            run_round(bulk_rig.order_of_round(proxies, number), bodies, echoes, options)
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        text = page_text(bodies, echoes, options)
        rig.stop_all()
    print(text, end="")
    if options.json:
        options.json.write_text(json.dumps({"bodies": bodies, "echoes": echoes}, indent=1))
    if not options.dry_run:
        report.write_page(PAGE, f"bench {options.command}", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
