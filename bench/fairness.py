#!/usr/bin/env python3
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
PROXIES = ("weir", "nginx", "haproxy", "haproxy splice")
WARM_UP_S = 1  # Of the small requests; the downloads are under way by then.
RATE = 2000
DOWNLOADS, DOWNLOAD_PATH = 8, f"/{8 << 20}"
READERS, READER_PATH = 100, f"/{64 << 10}"
SLOW_BYTES_PER_S, SLOW_PATH = 100_000, f"/{1 << 30}"
LATE_MS_MAX = 1.0  # With more than this the machine has too much else to do for a table.
SCENES = ("small alone", "small beside downloads", "readers alone", "readers beside a slow one")


class Sample(NamedTuple):
    p50_ms: float
    p99_ms: float
    max_ms: float
    bulk_mib_s: float
    busy: float  # Share of one CPU.
    rss_mib: float  # Peak.
    late_ms: float  # How late the clients of the small requests were themselves (p99).


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
    before = rig.cpu_seconds(proxy.process.pid)
    scenes = {"small": small_requests, "readers": readers}
    seen, bulk = scenes[scene.split()[0]](proxy, "beside" in scene, options)
    cpu = rig.cpu_seconds(proxy.process.pid) - before
    sample = Sample(seen["p50_ms"], seen["p99_ms"], seen["max_ms"], bulk,
                    cpu / (options.seconds + (WARM_UP_S if scene.startswith("small") else 0)),
                    rig.peak_rss_mib(proxy.process.pid), seen.get("late_p99_ms", 0.0))
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


def page_text(samples: dict[str, dict[str, list[Sample]]], options: argparse.Namespace) -> str:
    text = (f"{options.rounds} rounds of {options.seconds} s; {RATE} small requests a second, "
            f"{DOWNLOADS} downloads of {bulk_rig.size_name(8 << 20)}; {READERS} readers of "
            f"{bulk_rig.size_name(64 << 10)}. {options.mode.upper()} proxies. "
            + report.surroundings("fairness", options.names, options)
            + f"Alone, the small requests were sent {late_ms(samples):.2f} ms late at worst "
            "(p99).\n")
    return text + "".join(table(scene, by_proxy) for scene, by_proxy in samples.items())


def late_ms(samples: dict[str, dict[str, list[Sample]]]) -> float:
    return max((sample.late_ms for runs in samples.get(SCENES[0], {}).values()
                for sample in runs), default=0.0)


# --- The run ------------------------------------------------------------------------------------


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/bench fairness",
                                     description=__doc__.split("\n", maxsplit=1)[0])
    bulk_rig.add_arguments(parser, PROXIES)
    parser.add_argument("--mode", choices=bulk_rig.MODES, default="http")
    parser.add_argument("--scenes", default=",".join(SCENES),
                        type=lambda text: [scene for scene in SCENES
                                           if any(part in scene for part in text.split(","))],
                        help="parts of the names of scenes, with commas between them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    return parser.parse_args()


def main() -> int:
    options = parse_arguments()
    options.names = bulk_rig.prepare(options)
    samples = {scene: {name: [] for name in options.names} for scene in options.scenes}
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        os.chmod(folder, 0o755)  # The worker of nginx is another user when started by root.
        bulk_origin = rig.start_low(options.cpus[1], rig.origin_command())
        origins = rig.start_origin(options.cpus[1]), rig.port_of(bulk_origin)
        for number in range(options.rounds):
            for scene, by_proxy in samples.items():
                for name in bulk_rig.order_of_round(options.names, number):
                    by_proxy[name].append(
                        measure(name, scene, options, pathlib.Path(folder), origins))
                print(f"round {number + 1} of {options.rounds}: {scene}", file=sys.stderr)
        text = page_text(samples, options)
        rig.stop_all()
    print(text, end="")
    if options.json:
        options.json.write_text(json.dumps(samples, indent=1))
    if not options.dry_run:
        if late_ms(samples) > LATE_MS_MAX:
            sys.exit("fairness: the machine was not quiet enough; docs/performance.md is left "
                     "alone")
        report.write_page(PAGE, "bench fairness", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
