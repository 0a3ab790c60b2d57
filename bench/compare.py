#!/usr/bin/env python3
"""CPU time per small keep-alive request of weir, nginx, HAProxy and the floor relay, in one run.

Each proxy runs with one worker on a CPU of its own; the load generator and the origin share a
second one. All proxies stay up for the whole run and are measured in turn, round after round, so
that whatever else the machine does meets all of them. CPU time is what the scheduler has accounted
to the process tree (/proc/PID/task/*/schedstat) between the beginning and the end of a
measurement, divided by the requests answered.

Two loads: as fast as 64 connections go (wrk), and one fixed rate (h2load), where a proxy that is
not saturated wakes up more often. The table goes to standard output and into docs/performance.md.
"""

import argparse
import atexit
import http.client
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "release"
PAGE = ROOT / "docs" / "performance.md"
BEGIN_MARK, END_MARK = "<!-- bench small: begin -->", "<!-- bench small: end -->"
CONNECTIONS = 64
BODY_BYTES = 100
START_LIMIT_S = 5
PROXIES = ("weir", "nginx", "haproxy", "floor")


class Sample(NamedTuple):
    requests: int
    cpu_us: float  # Per request.
    per_second: float
    tail_ms: float  # The 99th percentile or the slowest request.
    busy: float  # Share of one CPU.


# --- Processes ----------------------------------------------------------------------------------

started: list[subprocess.Popen] = []


def start(cpu: int, command: list[str], **options) -> subprocess.Popen:
    process = subprocess.Popen(["taskset", "-c", str(cpu), *command], stdin=subprocess.DEVNULL,
                               start_new_session=True, **options)
    started.append(process)
    return process


def stop_all() -> None:
    """Ends what was started, by process group; nothing may outlive the benchmark."""
    for process in reversed(started):
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
                process.wait(2)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass
    started.clear()


def process_tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.name))
    tree = [root]
    for pid in tree:
        tree += children.get(pid, [])
    return tree


def cpu_seconds(root: int) -> float:
    """CPU time of a process and its descendants; all threads."""
    total = 0.0
    for pid in process_tree(root):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            try:
                total += int((task / "schedstat").read_text().split()[0]) / 1e9
            except OSError:  # A kernel without scheduler statistics: clock ticks.
                fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
                total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_serving(name: str, process: subprocess.Popen, port: int) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"compare: {name} ended with exit code {process.returncode}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", "/")
            response = connection.getresponse()
            if response.status == 200 and len(response.read()) == BODY_BYTES:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.02)
    sys.exit(f"compare: {name} does not answer on port {port}")


# --- Proxies ------------------------------------------------------------------------------------


def fill_in(template: str, folder: pathlib.Path, port: int, origin: int) -> str:
    text = (ROOT / "bench" / "peers" / template).read_text()
    for name, value in (("PORT", port), ("ORIGIN", origin), ("DIR", folder)):
        text = text.replace(f"@{name}@", str(value))
    path = folder / template.removesuffix(".in")
    path.write_text(text)
    return str(path)


def command_of(name: str, options: argparse.Namespace, folder: pathlib.Path, port: int,
               origin: int) -> list[str]:
    if name == "weir":
        return [options.weir, "-N", "1", str(port), str(origin)]
    if name == "nginx":
        return [options.nginx, "-e", "stderr", "-c",
                fill_in("nginx.conf.in", folder, port, origin)]
    if name == "haproxy":
        return [options.haproxy, "-q", "-f", fill_in("haproxy.cfg.in", folder, port, origin)]
    return [str(BUILD / "floor"), "--port", str(port), str(origin)]


def version_of(name: str, options: argparse.Namespace) -> str:
    """"nginx 1.22.1" and the like, for the caption of the table."""
    arguments = {"weir": [options.weir, "version"], "nginx": [options.nginx, "-v"],
                 "haproxy": [options.haproxy, "-v"]}
    if name not in arguments:
        return name
    result = subprocess.run(arguments[name], capture_output=True, text=True, timeout=5, check=False)
    number = re.search(r"\d+(?:\.\d+)+", result.stdout + result.stderr)
    return f"{name} {number.group()}" if number else name


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
        sys.exit(f"compare: the load did not go through cleanly:\n{text}")
    return int(requests.group(1)), to_ms(*p99.groups())


def run_h2load(cpu: int, port: int, seconds: int, rate: int) -> tuple[int, float]:
    """Requests answered and the slowest one in ms; h2load does not print percentiles."""
    requests = rate * seconds // CONNECTIONS * CONNECTIONS
    text = run_load(cpu, seconds, [
        "h2load", "--h1", "-t1", f"-c{CONNECTIONS}", f"--rps={rate / CONNECTIONS:g}",
        f"-n{requests}", f"http://127.0.0.1:{port}/"])
    slowest = re.search(r"time for request:\s+\S+\s+([\d.]+)(us|ms|s)\b", text)
    if not slowest or f" {requests} succeeded, 0 failed, 0 errored" not in text:
        sys.exit(f"compare: the load did not go through cleanly:\n{text}")
    return requests, to_ms(*slowest.groups())


def run_load(cpu: int, seconds: int, command: list[str]) -> str:
    process = start(cpu, command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        return process.communicate(timeout=seconds * 3 + 10)[0]
    except subprocess.TimeoutExpired:
        sys.exit(f"compare: {command[0]} did not end in time")
    finally:
        started.remove(process)
        if process.poll() is None:
            process.kill()


def measure(process: subprocess.Popen, load) -> Sample:
    cpu_before, clock_before = cpu_seconds(process.pid), time.monotonic()
    requests, tail_ms = load()
    cpu, wall = cpu_seconds(process.pid) - cpu_before, time.monotonic() - clock_before
    return Sample(requests, cpu / requests * 1e6, requests / wall, tail_ms, cpu / wall)


# --- Reporting ----------------------------------------------------------------------------------


def table(title: str, last_column: str, samples: dict[str, list[Sample]]) -> str:
    def median(name: str, field: str) -> float:
        return statistics.median(getattr(sample, field) for sample in samples[name])

    others = [name for name in samples if name != "weir"]
    heads = ["proxy", "CPU us/request", "range", *(f"/ {name}" for name in others), "requests/s",
             last_column, "CPU busy"]
    rows = [heads, ["---"] + ["---:"] * (len(heads) - 1)]
    for name, runs in samples.items():
        own = median(name, "cpu_us")
        costs = [sample.cpu_us for sample in runs]
        rows.append([name, f"{own:.2f}", f"{min(costs):.2f}-{max(costs):.2f}",
                     *(f"{own / median(other, 'cpu_us'):.2f}" for other in others),
                     f"{median(name, 'per_second'):.0f}", f"{median(name, 'tail_ms'):.2f}",
                     f"{median(name, 'busy'):.0%}"])
    return f"{title}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def caption(options: argparse.Namespace, names: list[str]) -> str:
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.*)", info)
    versions = ", ".join(version_of(name, options) for name in names)
    return (f"Medians of {options.rounds} interleaved rounds of {options.seconds} s each. "
            f"{versions}; Linux {platform.release()}, {model.group(1) if model else '?'}; "
            f"{time.strftime('%Y-%m-%d')}; `tools/bench small {' '.join(sys.argv[1:])}".rstrip()
            + "`.\n")


def write_page(text: str) -> None:
    page = PAGE.read_text()
    before, rest = page.split(BEGIN_MARK, 1)
    after = rest.split(END_MARK, 1)[1]
    PAGE.write_text(f"{before}{BEGIN_MARK}\n{text}{END_MARK}{after}")


# --- The run ------------------------------------------------------------------------------------


def parse_arguments() -> argparse.Namespace:
    search = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    parser = argparse.ArgumentParser(prog="tools/bench small", description=__doc__.split("\n")[0])
    parser.add_argument("--weir", default=str(BUILD / "weir"))
    parser.add_argument("--nginx", default=shutil.which("nginx", path=search) or "nginx")
    parser.add_argument("--haproxy", default=shutil.which("haproxy", path=search) or "haproxy")
    parser.add_argument("--only", help="names to compare, with commas between them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of each measurement")
    parser.add_argument("--rate", type=int, default=CONNECTIONS * 150,
                        help="requests a second of the fixed-rate load; 0 leaves it out")
    parser.add_argument("--dry-run", action="store_true", help="leave docs/performance.md alone")
    return parser.parse_args()


def check_programs(options: argparse.Namespace, names: list[str]) -> None:
    for name in names:
        if name not in PROXIES:
            sys.exit(f"compare: no proxy '{name}'; there are: {', '.join(PROXIES)}")
        program = getattr(options, name, str(BUILD / name))
        if not shutil.which(program):
            sys.exit(f"compare: no program {program}; tools/bench builds ours, tools/setup "
                     "installs the others")


def start_proxies(options: argparse.Namespace, names: list[str], cpus: list[int],
                  folder: pathlib.Path) -> dict[str, tuple[subprocess.Popen, int]]:
    origin = start(cpus[1], [str(BUILD / "origin"), "--body", str(BODY_BYTES)],
                   stdout=subprocess.PIPE, text=True)
    origin_port = int(origin.stdout.readline().split()[1])
    proxies = {}
    for name in names:
        port = free_port()
        command = command_of(name, options, folder, port, origin_port)
        with (folder / f"{name}.log").open("wb") as log:
            process = start(cpus[0], command, stdout=log, stderr=log)
        wait_until_serving(name, process, port)
        proxies[name] = process, port
    return proxies


def main() -> int:
    options = parse_arguments()
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        sys.exit("compare: needs two CPUs, one for the proxy and one for the load")
    names = options.only.split(",") if options.only else list(PROXIES)
    check_programs(options, names)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    atexit.register(stop_all)
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        os.chmod(folder, 0o755)  # The worker of nginx is another user when started by root.
        proxies = start_proxies(options, names, cpus, pathlib.Path(folder))
        for process, port in proxies.values():
            run_wrk(cpus[1], port, 1)  # Connections, caches and pools are warm from here on.
        fast: dict[str, list[Sample]] = {name: [] for name in names}
        paced: dict[str, list[Sample]] = {name: [] for name in names}
        for number in range(options.rounds):
            for name in names[number % len(names):] + names[:number % len(names)]:
                process, port = proxies[name]
                fast[name].append(
                    measure(process, lambda: run_wrk(cpus[1], port, options.seconds)))
                if options.rate:
                    paced[name].append(measure(process, lambda: run_h2load(
                        cpus[1], port, options.seconds, options.rate)))
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        text = caption(options, names)
        text += "\n" + table(f"As fast as {CONNECTIONS} connections go:", "p99 ms", fast)
        if options.rate:
            text += "\n" + table(f"At {options.rate} requests a second:", "slowest ms", paced)
        stop_all()
    print(text, end="")
    if not options.dry_run:
        write_page(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
