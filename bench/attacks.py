#!/usr/bin/env python3
"""What well-behaved clients notice while weir, nginx and HAProxy are attacked, in one run.

The proxy has one worker and a CPU of its own. The second one belongs to the clients at a fixed rate
(bench/load.cpp), the origin, the attackers (bench/attack.cpp) and the server that attacks
(bench/hostile.cpp); these two run at low priority, so that what the clients see is the proxy and
not the company they keep. Every measurement has a proxy of its own, freshly started: nothing is
left of the attack before. The proxies take turns attack by attack, so that whatever else the
machine does meets all of them.
"""

import argparse
import json
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from typing import NamedTuple

import report
import rig

PAGE = rig.ROOT / "docs" / "proof.md"
PROXIES = ("weir", "nginx", "haproxy")
TEMPLATES = {"weir": "attack-weir.toml.in", "nginx": "attack-nginx.conf.in",
             "haproxy": "attack-haproxy.cfg.in"}
QUIET = "quiet"
ATTACKS = ("slow_head", "slow_head_crowd", "slow_body", "stalled_body", "slow_read",
           "stalled_read", "header_flood", "idle", "connect_flood", "pipelining", "tiny_chunks",
           "tiny_answer", "interim_flood", "reset_flood")
CONNECTIONS = 2000  # The limit of every proxy; what it keeps towards servers comes on top.
FILES_MIN = 8192    # Descriptors that proxies and attackers need at that limit.
WARM_UP_S = 1       # Not counted by the clients; the attack is complete by then.
# With more than this a machine has too much else to do for a table that others will read.
LATE_MS_MAX, DISTURBED_MAX = 1.0, 0.02
COUNTERS = re.compile(
    r"^weir_(?:connection_closes_total|errors_total)\{reason=\"(\w+)\"\} ([1-9]\d*)$|"
    r"^weir_listener_(\w+)_total\{listener=\"client\"\} ([1-9]\d*)$", re.MULTILINE)


class Sample(NamedTuple):
    clients: dict  # What bench/load.cpp printed.
    attackers: dict  # What bench/attack.cpp printed; empty when quiet.
    counters: dict[str, int]  # Of weir: closes and errors by word, and the listener's.
    busy: float  # Share of one CPU.
    disturbed: float  # Share of the time for which the proxy waited for that CPU.
    rss_mib: float  # Peak.


# --- Measuring ----------------------------------------------------------------------------------


def start_proxy(name: str, options: argparse.Namespace, folder: pathlib.Path,
                servers: dict[str, int]) -> tuple[subprocess.Popen, dict[str, int]]:
    values = {**servers, "PORT": rig.free_port(), "ADMIN": rig.free_port(),
              "CONNECTIONS": CONNECTIONS, "BOTH_SIDES": 2 * CONNECTIONS}
    command = rig.file_command(name, options, rig.fill_in(TEMPLATES[name], folder, values))
    return rig.start_proxy(name, options.cpus[0], command, folder, values["PORT"]), values


def read_counters(port: int) -> dict[str, int]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return {word or name: int(count or more)
            for word, count, name, more in COUNTERS.findall(text)}


def measure(name: str, attack: str, options: argparse.Namespace, folder: pathlib.Path,
            servers: dict[str, int]) -> Sample:
    proxy, values = start_proxy(name, options, folder, servers)
    port, length = str(values["PORT"]), WARM_UP_S + options.seconds
    (ran, waited), clock = rig.scheduled_seconds(proxy.pid), time.monotonic()
    clients = rig.start(options.cpus[1], rig.load_command(
        values["PORT"], rate=options.rate, per_connection=50, seconds=options.seconds),
        stdout=subprocess.PIPE, text=True)
    attackers = None if attack == QUIET else rig.start_low(options.cpus[1], [
        str(rig.BUILD / "attack"), attack, "--port", port, "--seconds", str(length + 1)])
    seen = json.loads(rig.finish(clients, length + 20))
    (ran_now, waited_now), wall = rig.scheduled_seconds(proxy.pid), time.monotonic() - clock
    fate = json.loads(rig.finish(attackers, length + 20)) if attackers else {}
    if proxy.poll() is not None:
        sys.exit(f"attacks: {name} did not survive {attack}: exit code {proxy.returncode}")
    counters = read_counters(values["ADMIN"]) if name == "weir" else {}
    sample = Sample(seen, fate, counters, (ran_now - ran) / wall, (waited_now - waited) / wall,
                    rig.peak_rss_mib(proxy.pid))
    rig.stop(proxy)
    return sample


# --- Reporting ----------------------------------------------------------------------------------

Samples = dict[str, dict[str, list[Sample]]]  # By attack and proxy.


def p99(samples: list[Sample]) -> float:
    return statistics.median(sample.clients["p99_ms"] for sample in samples)


def errors(samples: list[Sample]) -> int:
    return sum(sum(sample.clients["errors"].values()) for sample in samples)


def verdict(attack: str, samples: Samples) -> str:
    """Whether weir kept its promise to the clients."""
    own, peers = samples[attack]["weir"], [samples[attack][name] for name in samples[attack]
                                           if name != "weir"]
    if errors(own) == 0 and p99(own) <= 2 * p99(samples[QUIET]["weir"]):
        return "within 2x of quiet"
    best = min(((errors(peer), p99(peer)) for peer in peers), default=(0, 0.0))
    return "no worse than the best peer" if (errors(own), p99(own)) <= best else "worse"


def clients_table(samples: Samples) -> str:
    def cell(runs: list[Sample]) -> str:
        p50 = statistics.median(sample.clients["p50_ms"] for sample in runs)
        failed = f", {errors(runs)} failed" if errors(runs) else ""
        return f"{p50:.2f} / {p99(runs):.2f}{failed}"

    rows = [["attack", *samples[QUIET], "weir is"]]
    for attack, by_proxy in samples.items():
        judged = "" if attack == QUIET else verdict(attack, samples)
        rows.append([attack, *(cell(runs) for runs in by_proxy.values()), judged])
    return report.markdown_table(rows)


def costs_table(samples: Samples) -> str:
    def cell(runs: list[Sample]) -> str:
        busy = statistics.median(sample.busy for sample in runs)
        return f"{busy:.0%}, {max(sample.rss_mib for sample in runs):.0f} MiB"

    rows = [["attack", *samples[QUIET]]]
    rows += [[attack, *(cell(runs) for runs in by_proxy.values())]
             for attack, by_proxy in samples.items()]
    return report.markdown_table(rows)


def fates_table(samples: Samples) -> str:
    """What became of the attackers; of the last round, because sums over rounds say little."""
    def cell(run: Sample) -> str:
        fate = run.attackers
        ends = [f"{fate[key]} {key}" for key in ("opened", "refused", "closed", "reset", "open")
                if fate[key]]
        answers = [f"{fate[key]} x {key}" for key in ("1xx", "2xx", "3xx", "4xx", "5xx")
                   if fate[key]]
        return ", ".join(ends) + ("; " + ", ".join(answers) if answers else "")

    def words(run: Sample) -> str:
        return ", ".join(f"`{word}` {count}" for word, count in sorted(run.counters.items()))

    rows = [["attack", *samples[QUIET], "weir counts"]]
    for attack, by_proxy in samples.items():
        if attack != QUIET:
            rows.append([attack, *(cell(runs[-1]) for runs in by_proxy.values()),
                         words(by_proxy["weir"][-1]) if "weir" in by_proxy else ""])
    return report.markdown_table(rows)


def noise(samples: Samples) -> tuple[float, float]:
    """How much of the quiet latencies is not the proxies': the clients' own lateness in ms, and
    the share of time for which a proxy had to wait for its CPU."""
    quiet = [sample for runs in samples[QUIET].values() for sample in runs]
    return (max(sample.clients["late_p99_ms"] for sample in quiet),
            max(sample.disturbed for sample in quiet))


def page_text(samples: Samples, options: argparse.Namespace) -> str:
    late_ms, disturbed = noise(samples)
    return (f"{options.rounds} rounds of {options.seconds} s per attack and proxy, "
            f"{options.rate} requests a second. "
            + report.surroundings("attacks", options.names, options)
            + f"Without attack the clients were {late_ms:.2f} ms late at worst (p99), and a proxy "
            f"waited {disturbed:.1%} of the time for its CPU.\n\n"
            "Latency of the clients, p50 / p99 in ms, and requests that failed:\n\n"
            + clients_table(samples)
            + "\nCPU time of the proxy (share of one CPU) and its peak of resident memory:\n\n"
            + costs_table(samples) + "\nWhat became of the attackers, in the last round:\n\n"
            + fates_table(samples))


# --- The run ------------------------------------------------------------------------------------


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/bench attacks", description=__doc__.split("\n")[0])
    rig.add_programs(parser)
    parser.add_argument("--only", help="proxies to compare, with commas between them")
    parser.add_argument("--attacks", help="attacks to run, with commas between them")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=3, help="of each measurement")
    parser.add_argument("--rate", type=int, default=500, help="requests a second of the clients")
    parser.add_argument("--json", type=pathlib.Path, help="file for every single measurement")
    parser.add_argument("--write-docs", action="store_true", help="put them into docs/proof.md")
    options = parser.parse_args()
    options.names = choose(options.only, PROXIES)
    options.attacks = choose(options.attacks, ATTACKS)
    return options


def choose(text: str | None, known: tuple[str, ...]) -> list[str]:
    names = text.split(",") if text else list(known)
    for name in names:
        if name not in known:
            sys.exit(f"attacks: no '{name}'; there are: {', '.join(known)}")
    return names


def check_room() -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < FILES_MIN:
        sys.exit(f"attacks: needs {FILES_MIN} open files (ulimit -Hn)")


def main() -> int:
    options = parse_arguments()
    options.cpus = rig.two_cpus()
    rig.check_programs([getattr(options, name) for name in options.names])
    check_room()
    rig.outlive_nothing()
    samples: Samples = {attack: {name: [] for name in options.names}
                        for attack in (QUIET, *options.attacks)}
    with tempfile.TemporaryDirectory(prefix="weir-attacks-") as folder:
        os.chmod(folder, 0o755)  # The worker of nginx is another user when started by root.
        hostile = rig.start_low(options.cpus[1], [str(rig.BUILD / "hostile")])
        servers = {"ORIGIN": rig.start_origin(options.cpus[1]), "HOSTILE": rig.port_of(hostile)}
        for number in range(options.rounds):
            for attack, by_proxy in samples.items():
                for name, runs in by_proxy.items():
                    runs.append(measure(name, attack, options, pathlib.Path(folder), servers))
                print(f"round {number + 1} of {options.rounds}: {attack}", file=sys.stderr)
        rig.stop_all()
    text = page_text(samples, options)
    print(text, end="")
    if options.json:
        options.json.write_text(json.dumps(
            {attack: {name: [run._asdict() for run in runs] for name, runs in by_proxy.items()}
             for attack, by_proxy in samples.items()}, indent=1))
    if options.write_docs:
        late_ms, disturbed = noise(samples)
        if late_ms > LATE_MS_MAX or disturbed > DISTURBED_MAX:
            sys.exit("attacks: the machine was not quiet enough; docs/proof.md is left alone")
        report.write_page(PAGE, "bench attacks", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
