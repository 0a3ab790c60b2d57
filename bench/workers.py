"""How the work of a few busy clients among many spreads over workers, and what it then costs.

The proxy, the load and the origin all have every CPU that there is for us. The kernel deals
connections to workers blindly; who will be busy nobody knows when they come.
"""

import argparse
import os
import pathlib
import re
import signal
import sys
import time
import urllib.request

import comparison
import loads
import plain
import report
import rig

CLIENTS, BUSY = 256, 16
SETTLE_S = 1  # Before the spread is looked at.
# What says how much each worker does; the first that this weir has.
COUNTERS = ("weir_worker_requests_total", "weir_worker_steps_total")


def every_cpu() -> str:
    return ",".join(map(str, sorted(os.sched_getaffinity(0))))


def worker_counts(proxy: plain.Proxy) -> tuple[str, dict[str, int]]:
    with urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    for counter in COUNTERS:
        found = re.findall(rf'^{counter}{{worker="(\d+)"}} (\d+)$', text, re.MULTILINE)
        if found:
            return counter, {worker: int(count) for worker, count in found}
    sys.exit("workers: no counter by worker")


def thread_seconds(root: int) -> dict[str, float]:
    return {task: ran for task, (ran, _) in rig.thread_times(root).items()}


def max_over_mean(before: dict[str, float], after: dict[str, float], workers: int) -> float:
    """Of the `workers` that did most: other threads do next to nothing."""
    done = sorted((after[key] - before.get(key, 0) for key in after), reverse=True)[:workers]
    return max(done) * workers / max(sum(done), 1e-9)


def measure(name: str, workers: int, options: argparse.Namespace, folder: pathlib.Path,
            origin: int) -> loads.Sample:
    """Clients and proxy are new each time: another deal of connections to workers."""
    cpus = every_cpu()
    proxy = plain.start(name, plain.Shape(workers=workers), options, folder, origin, cpus)
    pid = proxy.process.pid
    process = loads.start_load(cpus, rig.load_command(
        proxy.port, hold=True, connections=CLIENTS, busy=BUSY, warm_up=SETTLE_S,
        seconds=options.seconds))
    cpu, machine = rig.cpu_seconds(pid), comparison.stolen_ticks([cpus])
    process.send_signal(signal.SIGUSR1)
    time.sleep(SETTLE_S)
    threads = thread_seconds(pid)
    counts = worker_counts(proxy)[1] if name == "weir" else {}
    time.sleep(options.seconds * 0.9)
    sample = {"cpu_spread": max_over_mean(threads, thread_seconds(pid), workers)}
    if name == "weir":
        sample["spread"] = max_over_mean(counts, worker_counts(proxy)[1], workers)
    seen = loads.found_by(process, name)
    sample |= {"cpu_us": (rig.cpu_seconds(pid) - cpu) / max(seen["requests"], 1) * 1e6,
               "steal": comparison.steal_since(machine, [cpus]),
               "per_second": seen["requests"] / seen["seconds"], "p99_ms": seen["p99_ms"],
               "requests": seen["requests"], "failed": sum(seen["errors"].values())}
    rig.stop(process)
    rig.stop(proxy.process)
    return sample


def run(options: argparse.Namespace, folder: pathlib.Path,
        cases: tuple[tuple[str, int], ...]) -> dict[str, list[loads.Sample]]:
    """By "weir, 4 workers" and the like."""
    rig.check_programs(plain.programs([name for name, _ in cases], options))
    origin = rig.start_origin(every_cpu())
    found = {title(*case): [] for case in cases}
    for number in range(options.rounds):
        comparison.add_scene(
            found, lambda: {title(*case): measure(*case, options, folder, origin)
                            for case in cases}, options.repeats, [every_cpu()])
        print(f"round {number + 1} of {options.rounds}: workers", file=sys.stderr)
    rig.stop_all()
    return found


def title(name: str, workers: int) -> str:
    return f"{name}, {workers} worker{'s' if workers > 1 else ''}"


def every_case(options: argparse.Namespace) -> tuple[tuple[str, int], ...]:
    cases = [("weir", workers) for workers in (1, 2, 3, 4)]
    cases += [(name, workers) for name in ("nginx", "haproxy", "floor") for workers in (1, 4)]
    return tuple(case for case in cases if case[0] in options.names)


def page_text(found: dict, options: argparse.Namespace) -> str:
    rows = [["proxy", "CPU us/request", "/ one worker", "work by worker, max/mean",
             "CPU by worker, max/mean", "requests/s", "p99 ms"]]
    for name, runs in found.items():
        one = found[f"{name.split(',')[0]}, 1 worker"]
        rows.append([name, f"{loads.median(runs, 'cpu_us'):.2f}",
                     f"{comparison.ratio(runs, one):.2f}",
                     f"{loads.median(runs, 'spread'):.2f}" if "spread" in runs[0] else "",
                     f"{loads.median(runs, 'cpu_spread'):.2f}",
                     f"{loads.median(runs, 'per_second'):.0f}",
                     loads.tail(runs, "p99_ms", 0.99, digits=2)])
    return (f"{comparison.medians_text(options)} {BUSY} busy of {CLIENTS} clients; proxy, load and "
            f"server share {len(os.sched_getaffinity(0))} CPUs. "
            + report.surroundings(options.names, options)
            + f"Where it was least quiet the host took {noise(found).steal:.1%} of their time."
            "\n\n"
            + report.markdown_table(rows))


def noise(found: dict) -> comparison.Noise:
    return comparison.noise_of(found.values(), shared=True)


def bars(found: dict) -> comparison.Bars:
    groups: dict[str, dict[str, float]] = {}
    for case, runs in found.items():
        name, workers = case.split(", ")
        groups.setdefault(workers, {})[name] = loads.median(runs, "cpu_us")
    return f"{BUSY} busy of {CLIENTS} clients: CPU time of a request in us", groups


COMPARISON = comparison.Comparison(
    "workers", "A few busy clients among many, by the number of workers",
    lambda options, folder: run(options, folder, every_case(options)), page_text,
    noise, (*loads.PEERS, "floor"), bars)
