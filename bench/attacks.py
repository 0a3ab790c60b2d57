"""What well-behaved clients notice while weir, nginx and HAProxy are attacked, in one run.

The proxy has one worker and a CPU of its own. The second one belongs to the clients at a fixed rate
(bench/load.cpp), the origin, the attackers (bench/attack.cpp) and the server that attacks
(bench/hostile.cpp); these two run at low priority, so that what the clients see is the proxy and
not the company they keep. Every measurement has a proxy of its own, freshly started: nothing is
left of the attack before. The proxies take turns attack by attack, so that whatever else the
machine does meets all of them.
"""

import argparse
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import time
import urllib.request
from typing import NamedTuple

import command_line
import comparison
import report
import rig

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
RULE = ("Latency of the clients, p50 / p99 in ms, and requests that failed. In the last column "
        "weir is `within 2x of quiet` if none of them failed and its p99 is at most twice what it "
        "is without attack. Otherwise it is compared with the better peer, which is the one that "
        "failed fewer requests or, of two that failed as many, has the lower p99; by the same "
        "order weir is `no worse than the best peer` or `worse`.")
COUNTERS = re.compile(
    r"^weir_(?:connection_closes_total|errors_total)\{reason=\"(\w+)\"\} ([1-9]\d*)$|"
    r"^weir_listener_(\w+)(?<!_bytes)_total\{listener=\"client\"\} ([1-9]\d*)$", re.MULTILINE)


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
    if name == "nginx":
        values |= rig.nginx_values(options.nginx, folder)
    command = rig.file_command(name, options, rig.fill_in(TEMPLATES[name], folder, values))
    return rig.start_proxy(name, options.cpus[0], command, folder, values["PORT"]), values


def read_counters(port: int) -> dict[str, int]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return {word or name: int(count or more)
            for word, count, name, more in COUNTERS.findall(text)}


def check_alive(proxy: subprocess.Popen, name: str, attack: str) -> None:
    if proxy.poll() is not None:
        sys.exit(f"attacks: {name} did not survive {attack}: exit code {proxy.returncode}")


def measure(name: str, attack: str, options: argparse.Namespace, folder: pathlib.Path,
            servers: dict[str, int]) -> Sample:
    proxy, values = start_proxy(name, options, folder, servers)
    port, length = str(values["PORT"]), WARM_UP_S + options.seconds
    times, clock = rig.thread_times(proxy.pid), time.monotonic()
    clients = rig.start(options.cpus[1], rig.load_command(
        values["PORT"], rate=options.rate, per_connection=50, seconds=options.seconds),
        stdout=subprocess.PIPE, text=True)
    attackers = None if attack == QUIET else rig.start_low(options.cpus[1], [
        str(rig.BUILD / "attack"), attack, "--port", port, "--seconds", str(length + 1)])
    seen = rig.read_json(clients, length + 20, name)
    check_alive(proxy, name, attack)
    (ran, waited), wall = rig.times_since(times, proxy.pid), time.monotonic() - clock
    fate = rig.read_json(attackers, length + 20, name) if attackers else {}
    check_alive(proxy, name, attack)
    counters = read_counters(values["ADMIN"]) if name == "weir" else {}
    sample = Sample(seen, fate, counters, ran / wall, waited / wall, rig.peak_rss_mib(proxy.pid))
    rig.stop(proxy)
    return sample


# --- Reporting ----------------------------------------------------------------------------------

Samples = dict[str, dict[str, list[Sample]]]  # By attack and proxy.


def p99(samples: list[Sample]) -> float:
    return statistics.median(sample.clients["p99_ms"] for sample in samples)


def errors(samples: list[Sample]) -> int:
    return sum(sum(sample.clients["errors"].values()) for sample in samples)


def verdict(attack: str, samples: Samples) -> str:
    """Whether weir kept its promise to the clients; page_text() has the rule in words."""
    if "weir" not in samples[attack]:
        return ""
    own, peers = samples[attack]["weir"], [samples[attack][name] for name in samples[attack]
                                           if name != "weir"]
    if errors(own) == 0 and p99(own) <= 2 * p99(samples[QUIET]["weir"]):
        return "within 2x of quiet"
    if not peers:
        return "beyond 2x of quiet"
    best = min((errors(peer), p99(peer)) for peer in peers)
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


def noise(samples: Samples) -> comparison.Noise:
    """Of what was measured without attack: how much of it is not the proxies'."""
    return comparison.noise_of(
        [{"disturbed": run.disturbed, "late_p99_ms": run.clients["late_p99_ms"],
          "failed": errors([run]), "requests": run.clients["requests"]} for run in runs]
        for runs in samples[QUIET].values())


def page_text(samples: Samples, options: argparse.Namespace) -> str:
    return (f"{options.rounds} rounds of {options.seconds} s per attack and proxy, "
            f"{options.rate} requests a second. "
            + report.surroundings(options.names, options)
            + comparison.noise_text(noise(samples), "Without attack")
            + f"\n{RULE}\n\n"
            + clients_table(samples)
            + "\nCPU time of the proxy (share of one CPU) and its peak of resident memory:\n\n"
            + costs_table(samples) + "\nWhat became of the attackers, in the last round:\n\n"
            + fates_table(samples))


# --- The run ------------------------------------------------------------------------------------


def add_arguments(parser) -> None:
    parser.add_argument("--attacks", type=lambda text: command_line.one_of(text, ATTACKS),
                        default=list(ATTACKS), help="those to run, with commas between them: "
                        + ", ".join(ATTACKS))
    parser.add_argument("--rate", type=lambda text: command_line.whole(text, 1_000_000),
                        default=500, help="requests a second of the clients")


def check_room() -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < FILES_MIN:
        sys.exit(f"attacks: needs {FILES_MIN} open files (ulimit -Hn)")


def run(options: argparse.Namespace, folder: pathlib.Path) -> Samples:
    rig.check_programs([getattr(options, name) for name in options.names])
    check_room()
    samples: Samples = {attack: {name: [] for name in options.names}
                        for attack in (QUIET, *options.attacks)}
    hostile = rig.start_low(options.cpus[1], [str(rig.BUILD / "hostile")])
    servers = {"ORIGIN": rig.start_origin(options.cpus[1]), "HOSTILE": rig.port_of(hostile)}
    for number in range(options.rounds):
        for attack, by_proxy in samples.items():
            comparison.add_scene(
                by_proxy, lambda: {name: measure(name, attack, options, folder, servers)
                                   for name in by_proxy}, options.repeats, options.cpus)
            print(f"round {number + 1} of {options.rounds}: {attack}", file=sys.stderr)
    rig.stop_all()
    return samples


COMPARISON = comparison.Comparison(
    "attacks", "What well-behaved clients notice while a proxy is attacked", run, page_text, noise,
    PROXIES, page=rig.ROOT / "docs" / "proof.md", rounds=3, add_arguments=add_arguments)
