"""A second opinion on `tools/bench small`, by load generators that are not ours.

CPU time per small keep-alive request of weir, nginx, HAProxy and the floor relay, in one run, with
the same proxies, placement and accounting. Two loads: as fast as 64 connections go (wrk), and one
fixed rate (h2load), where a proxy that is not saturated wakes up more often.
"""

import argparse
import pathlib
import re
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

import bulk_rig
import command_line
import comparison
import plain
import report
import rig

CONNECTIONS = 64
PROXIES = ("weir", "nginx", "haproxy", "floor")
TAILS = {"wrk,": "p99 ms", "h2load,": "slowest ms"}


class Sample(NamedTuple):
    requests: int
    cpu_us: float  # Per request.
    per_second: float
    tail_ms: float  # The 99th percentile or the slowest request.
    busy: float  # Share of one CPU.
    disturbed: float  # Share of the time for which the proxy waited for it.
    steal: float


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


def measure(process: subprocess.Popen, load, cpus: tuple) -> Sample:
    before, clock_before = rig.thread_times(process.pid), time.monotonic()
    machine = comparison.stolen_ticks(cpus)
    requests, tail_ms = load()
    (cpu, waited), wall = rig.times_since(before, process.pid), time.monotonic() - clock_before
    return Sample(requests, cpu / requests * 1e6, requests / wall, tail_ms, cpu / wall,
                  waited / wall, comparison.steal_since(machine, cpus))


# --- Reporting ----------------------------------------------------------------------------------


def table(last_column: str, samples: dict[str, list[Sample]]) -> str:
    def median(name: str, field: str) -> float:
        return statistics.median(getattr(sample, field) for sample in samples[name])

    others = [name for name in samples if name != "weir"]
    heads = ["proxy", "CPU us/request", "range", *(f"/ {name}" for name in others), "requests/s",
             last_column, "CPU busy"]
    rows = [heads]
    for name, runs in samples.items():
        costs = [sample.cpu_us for sample in runs]
        rows.append([name, f"{statistics.median(costs):.2f}", f"{min(costs):.2f}-{max(costs):.2f}",
                     *(f"{comparison.ratio(runs, samples[other]):.2f}" for other in others),
                     f"{median(name, 'per_second'):.0f}", f"{median(name, 'tail_ms'):.2f}",
                     f"{median(name, 'busy'):.0%}"])
    return report.markdown_table(rows)


def page_text(found: dict, options: argparse.Namespace) -> str:
    return (f"Medians of {options.rounds} interleaved rounds of {options.seconds} s each, by wrk "
            f"as fast as {CONNECTIONS} connections go"
            + (", by h2load at a fixed rate. " if options.rate else ". ")
            + report.surroundings(options.names, options) + comparison.noise_text(noise(found))
            + "".join(f"\n{title}:\n\n{table(TAILS[title.split()[0]], by_proxy)}"
                      for title, by_proxy in found.items()))


def noise(found: dict) -> comparison.Noise:
    return comparison.noise_of(runs for by_proxy in found.values() for runs in by_proxy.values())


# --- The run ------------------------------------------------------------------------------------


def add_arguments(parser) -> None:
    parser.add_argument("--rate", default=CONNECTIONS * 150,
                        type=lambda text: command_line.whole(text, 1_000_000, least=0),
                        help="requests a second of the fixed-rate load; 0 leaves it out")


def run(options: argparse.Namespace, folder: pathlib.Path) -> dict:
    rig.check_programs([*plain.programs(options.names, options), "wrk", "h2load"])
    cpu, seconds = options.cpus[1], options.seconds
    origin = rig.start_origin(cpu)
    proxies = [plain.start(name, plain.Shape(), options, folder, origin)
               for name in options.names]
    loads = {f"wrk, as fast as {CONNECTIONS} connections go":
             lambda port: run_wrk(cpu, port, seconds)}
    if options.rate:
        loads[f"h2load, {options.rate} requests a second"] = (
            lambda port: run_h2load(cpu, port, seconds, options.rate))
    for proxy in proxies:
        run_wrk(cpu, proxy.port, 1)  # Connections, caches and pools are warm from here on.
    found = {title: {name: [] for name in options.names} for title in loads}
    for number in range(options.rounds):
        order = bulk_rig.order_of_round(proxies, number)
        for title, load in loads.items():
            comparison.add_scene(
                found[title], lambda: {proxy.name: measure(proxy.process, lambda: load(proxy.port),
                                                           options.cpus) for proxy in order},
                options.repeats, options.cpus)
        print(f"round {number + 1} of {options.rounds}: wrk, h2load", file=sys.stderr)
    rig.stop_all()
    return found


COMPARISON = comparison.Comparison(
    "wrk", "A second opinion on `tools/bench small`, by wrk and h2load", run, page_text, noise,
    PROXIES, seconds=5, add_arguments=add_arguments)
