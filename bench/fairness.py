"""What others notice of bulk: small requests beside downloads, fast readers beside a slow one.

Two questions to weir, nginx and HAProxy, in one run:

  downloads   2,000 small requests a second, each due at its time (bench/load.cpp), alone and
              beside eight clients that download 8 MiB bodies as fast as they can
  slow        100 clients that download 64 KiB bodies as fast as they can, alone and beside one
              that takes 100 KB/s of an endless one

The proxy has one worker and a CPU of its own; the second one belongs to the clients and the
origins, and the bulk among them runs at low priority there, so that what the small requests see is
the proxy. Every measurement has a freshly started proxy; the proxies take turns, so that whatever
else the machine does meets all of them.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys
from typing import NamedTuple

import bulk_rig
import comparison
import plain
import report
import rig

PROXIES = ("weir", "nginx", "haproxy", "haproxy splice")
WARM_UP_S = 1  # Of the small requests; the downloads are under way by then.
RATE = 2000
DOWNLOADS, DOWNLOAD_PATH = 8, f"/{8 << 20}"
READERS, READER_PATH = 100, f"/{64 << 10}"
SLOW_BYTES_PER_S, SLOW_PATH = 100_000, f"/{1 << 30}"
SCENES = ("small alone", "small beside downloads", "readers alone", "readers beside a slow one")


class Sample(NamedTuple):
    p50_ms: float
    p99_ms: float
    max_ms: float
    bulk_mib_s: float
    busy: float  # Share of one CPU.
    disturbed: float  # Share of the time for which the proxy waited for it.
    rss_mib: float  # Peak.
    late_p99_ms: float  # How late the clients of the small requests were themselves.
    steal: float


# --- Measuring ----------------------------------------------------------------------------------


def mib_per_s(seen: dict) -> float:
    return seen["bytes"] / seen["seconds"] / (1 << 20)


def small_requests(proxy: bulk_rig.Proxy, downloads: bool,
                   options: argparse.Namespace) -> tuple[dict, float]:
    length = WARM_UP_S + options.seconds
    bulk = rig.start_low(options.cpus[1], bulk_rig.pull_command(
        proxy.bulk_port, DOWNLOAD_PATH, seconds=length, connections=DOWNLOADS)
        ) if downloads else None
    clients = rig.start(options.cpus[1], rig.load_command(
        proxy.port, rate=RATE, connections=64, per_connection=50, warm_up=WARM_UP_S,
        seconds=options.seconds), stdout=subprocess.PIPE, text=True)
    seen = bulk_rig.read_json(clients, length + 20, proxy.name)
    return seen, mib_per_s(bulk_rig.read_json(bulk, 40, proxy.name)) if bulk else 0.0


def readers(proxy: bulk_rig.Proxy, slow_one: bool,
            options: argparse.Namespace) -> tuple[dict, float]:
    slow = rig.start(options.cpus[1], bulk_rig.pull_command(
        proxy.bulk_port, SLOW_PATH, seconds=options.seconds, connections=1,
        pace=SLOW_BYTES_PER_S), stdout=subprocess.PIPE, text=True) if slow_one else None
    clients = rig.start(options.cpus[1], bulk_rig.pull_command(
        proxy.bulk_port, READER_PATH, seconds=options.seconds, connections=READERS),
        stdout=subprocess.PIPE, text=True)
    seen = bulk_rig.read_json(clients, options.seconds + 30, proxy.name)
    if slow:
        bulk_rig.read_json(slow, options.seconds + 30, proxy.name)
    return seen, mib_per_s(seen)


def measure(name: str, scene: str, options: argparse.Namespace, folder: pathlib.Path,
            origins: tuple[int, int]) -> Sample:
    proxy = bulk_rig.start_proxy(name, options.mode, options, folder, *origins)
    before = rig.thread_times(proxy.process.pid)
    machine = comparison.stolen_ticks(options.cpus)
    scenes = {"small": small_requests, "readers": readers}
    seen, bulk = scenes[scene.split()[0]](proxy, "beside" in scene, options)
    cpu, waited = rig.times_since(before, proxy.process.pid)
    seconds = options.seconds + (WARM_UP_S if scene.startswith("small") else 0)
    sample = Sample(seen["p50_ms"], seen["p99_ms"], seen["max_ms"], bulk, cpu / seconds,
                    waited / seconds, rig.peak_rss_mib(proxy.process.pid),
                    seen.get("late_p99_ms", 0.0),
                    comparison.steal_since(machine, options.cpus))
    rig.stop(proxy.process)
    return sample


# --- Reporting ----------------------------------------------------------------------------------


def table(scene: str, by_proxy: dict[str, list[Sample]]) -> str:
    def median(name: str, field: str) -> float:
        return statistics.median(getattr(sample, field) for sample in by_proxy[name])

    rows = [["proxy", "p50 ms", "p99 ms", "slowest ms", "bulk MiB/s", "CPU busy", "peak MiB"]]
    for name, runs in by_proxy.items():
        bulk = "" if scene == SCENES[0] else f"{median(name, 'bulk_mib_s'):.0f}"
        rows.append([name, f"{median(name, 'p50_ms'):.2f}", f"{median(name, 'p99_ms'):.2f}",
                     f"{max(sample.max_ms for sample in runs):.2f}", bulk,
                     f"{median(name, 'busy'):.0%}",
                     f"{max(sample.rss_mib for sample in runs):.0f}"])
    return f"\n{scene.capitalize()}:\n\n{report.markdown_table(rows)}"


def page_text(found: dict, options: argparse.Namespace) -> str:
    text = (f"{options.rounds} rounds of {options.seconds} s; {RATE} small requests a second, "
            f"{DOWNLOADS} downloads of {bulk_rig.size_name(8 << 20)}; {READERS} readers of "
            f"{bulk_rig.size_name(64 << 10)}. {options.mode.upper()} proxies. "
            + report.surroundings(options.names, options) + comparison.noise_text(noise(found)))
    return text + "".join(table(scene, by_proxy) for scene, by_proxy in found.items())


def noise(found: dict) -> comparison.Noise:
    """Beside bulk the clients are late by its work too: that says nothing of the machine."""
    alone = comparison.noise_of(found.get(SCENES[0], {}).values())
    every = comparison.noise_of(runs for by_proxy in found.values() for runs in by_proxy.values())
    return every._replace(late_ms=alone.late_ms, latest_ms=alone.latest_ms)


def bars(found: dict) -> comparison.Bars:
    return "p99 of the well-behaved, ms", {
        scene.capitalize(): {name: statistics.median(sample.p99_ms for sample in runs)
                             for name, runs in by_proxy.items()}
        for scene, by_proxy in found.items()}


# --- The run ------------------------------------------------------------------------------------


def scenes_of(text: str) -> list[str]:
    for part in text.split(","):
        if not any(part in scene for scene in SCENES):
            raise argparse.ArgumentTypeError(f"no scene with '{part}' in its name; there are: "
                                             f"{', '.join(SCENES)}")
    return [scene for scene in SCENES if any(part in scene for part in text.split(","))]


def add_arguments(parser) -> None:
    parser.add_argument("--mode", choices=bulk_rig.MODES, default="http")
    parser.add_argument("--scenes", default=list(SCENES), type=scenes_of,
                        help="parts of the names of scenes, with commas between them")


def run(options: argparse.Namespace, folder: pathlib.Path) -> dict:
    rig.check_programs(plain.programs(options.names, options))
    found = {scene: {name: [] for name in options.names} for scene in options.scenes}
    bulk_origin = rig.start_low(options.cpus[1], rig.origin_command())
    origins = rig.start_origin(options.cpus[1]), rig.port_of(bulk_origin)
    for number in range(options.rounds):
        for scene, by_proxy in found.items():
            order = bulk_rig.order_of_round(options.names, number)
            comparison.add_scene(
                by_proxy, lambda: {name: measure(name, scene, options, folder, origins)
                                   for name in order}, options.repeats, options.cpus)
            print(f"round {number + 1} of {options.rounds}: {scene}", file=sys.stderr)
    rig.stop_all()
    return found


COMPARISON = comparison.Comparison(
    "fairness", "What others notice of bulk", run, page_text, noise, PROXIES, bars, rounds=3,
    seconds=4, add_arguments=add_arguments)
