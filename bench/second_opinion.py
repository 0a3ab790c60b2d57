#!/usr/bin/env python3
"""A second opinion on `tools/bench small`, by load generators that are not ours.

CPU time per small keep-alive request of weir, nginx, HAProxy and the floor relay, in one run, with
the same proxies, placement and accounting. Two loads: as fast as 64 connections go (wrk), and one
fixed rate (h2load), where a proxy that is not saturated wakes up more often. The table goes to
standard output and into docs/performance.md.
"""

import argparse
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import plain
import report
import rig

PAGE = rig.ROOT / "docs" / "performance.md"
CONNECTIONS = 64
PROXIES = ("weir", "nginx", "haproxy", "floor")


class Sample(NamedTuple):
    requests: int
    cpu_us: float  # Per request.
    per_second: float
    tail_ms: float  # The 99th percentile or the slowest request.
    busy: float  # Share of one CPU.


# --- Measuring ----------------------------------------------------------------------------------


def to_ms(text: str, unit: str) -> float:
    return float(text) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def run_wrk(cpu: int, port: int, seconds: int) -> tuple[int, float]:
    """Requests answered and the 99th percentile in ms; ends the run on any error."""
    text = run_load(cpu, seconds, [
        "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency",
        f"http://127.0.0.1:{port}/"])
    requests = re.search(r"(\d+) requests in", text)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)\b", text)
    if not requests or not p99 or "Socket errors" in text or "Non-2xx" in text:
        sys.exit(f"wrk: the load did not go through cleanly:\n{text}")
    return int(requests.group(1)), to_ms(*p99.groups())


def run_h2load(cpu: int, port: int, seconds: int, rate: int) -> tuple[int, float]:
    """Requests answered and the slowest one in ms; h2load does not print percentiles."""
    requests = rate * seconds // CONNECTIONS * CONNECTIONS
    text = run_load(cpu, seconds, [
        "h2load", "--h1", "-t1", f"-c{CONNECTIONS}", f"--rps={rate / CONNECTIONS:g}",
        f"-n{requests}", f"http://127.0.0.1:{port}/"])
    slowest = re.search(r"time for request:\s+\S+\s+([\d.]+)(us|ms|s)\b", text)
    if not slowest or f" {requests} succeeded, 0 failed, 0 errored" not in text:
        sys.exit(f"wrk: the load did not go through cleanly:\n{text}")
    return requests, to_ms(*slowest.groups())


def run_load(cpu: int, seconds: int, command: list[str]) -> str:
    process = rig.start(cpu, command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return rig.finish(process, seconds * 3 + 10)


def measure(process: subprocess.Popen, load) -> Sample:
    cpu_before, clock_before = rig.cpu_seconds(process.pid), time.monotonic()
    requests, tail_ms = load()
    cpu, wall = rig.cpu_seconds(process.pid) - cpu_before, time.monotonic() - clock_before
    return Sample(requests, cpu / requests * 1e6, requests / wall, tail_ms, cpu / wall)


# --- Reporting ----------------------------------------------------------------------------------


def table(title: str, last_column: str, samples: dict[str, list[Sample]]) -> str:
    def median(name: str, field: str) -> float:
        return statistics.median(getattr(sample, field) for sample in samples[name])

    others = [name for name in samples if name != "weir"]
    heads = ["proxy", "CPU us/request", "range", *(f"/ {name}" for name in others), "requests/s",
             last_column, "CPU busy"]
    rows = [heads]
    for name, runs in samples.items():
        own = median(name, "cpu_us")
        costs = [sample.cpu_us for sample in runs]
        rows.append([name, f"{own:.2f}", f"{min(costs):.2f}-{max(costs):.2f}",
                     *(f"{own / median(other, 'cpu_us'):.2f}" for other in others),
                     f"{median(name, 'per_second'):.0f}", f"{median(name, 'tail_ms'):.2f}",
                     f"{median(name, 'busy'):.0%}"])
    return f"{title}\n\n{report.markdown_table(rows)}"


def caption(options: argparse.Namespace, names: list[str]) -> str:
    return (f"Medians of {options.rounds} interleaved rounds of {options.seconds} s each. "
            + report.surroundings("wrk", names, options))


# --- The run ------------------------------------------------------------------------------------


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/bench wrk", description=__doc__.split("\n")[0])
    rig.add_programs(parser)
    parser.add_argument("--only", help="names to compare, with commas between them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    parser.add_argument("--rate", type=int, default=CONNECTIONS * 150,
                        help="requests a second of the fixed-rate load; 0 leaves it out")
    parser.add_argument("--dry-run", action="store_true", help="leave docs/performance.md alone")
    return parser.parse_args()


def check_names(options: argparse.Namespace, names: list[str]) -> None:
    for name in names:
        if name not in PROXIES:
            sys.exit(f"wrk: no proxy '{name}'; there are: {', '.join(PROXIES)}")
    rig.check_programs([*plain.programs(names, options), "wrk", "h2load"])


def main() -> int:
    options = parse_arguments()
    cpus = options.cpus = rig.two_cpus()
    names = options.only.split(",") if options.only else list(PROXIES)
    check_names(options, names)
    rig.outlive_nothing()
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        os.chmod(folder, 0o755)  # The worker of nginx is another user when started by root.
        origin = rig.start_origin(cpus[1])
        proxies = {name: plain.start(name, plain.Shape(), options, pathlib.Path(folder), origin)
                   for name in names}
        for proxy in proxies.values():
            run_wrk(cpus[1], proxy.port, 1)  # Connections, caches and pools are warm from here on.
        fast: dict[str, list[Sample]] = {name: [] for name in names}
        paced: dict[str, list[Sample]] = {name: [] for name in names}
        for number in range(options.rounds):
            for name in names[number % len(names):] + names[:number % len(names)]:
                proxy = proxies[name]
                fast[name].append(measure(proxy.process, lambda: run_wrk(
                    cpus[1], proxy.port, options.seconds)))
                if options.rate:
                    paced[name].append(measure(proxy.process, lambda: run_h2load(
                        cpus[1], proxy.port, options.seconds, options.rate)))
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        text = caption(options, names)
        text += "\n" + table(f"As fast as {CONNECTIONS} connections go:", "p99 ms", fast)
        if options.rate:
            text += "\n" + table(f"At {options.rate} requests a second:", "slowest ms", paced)
        rig.stop_all()
    print(text, end="")
    if not options.dry_run:
        report.write_page(PAGE, "bench wrk", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
