"""Suites that put bench/load on plain HTTP proxies, all of which stay up for the whole suite and
are measured in turn, scene by scene and round after round."""

import argparse
import functools
import json
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
from typing import Callable, NamedTuple

import bulk_rig
import comparison
import plain
import report
import rig

PEERS = ("weir", "nginx", "haproxy")
DEFERRED_PEERS = tuple(f"{name} deferred" for name in PEERS)
FLOOR_DEFERRED = "floor_close deferred"
RATES = (4000, 12000, 30000)
RATE = RATES[1]
FIXED = f"{RATE} a second on 64 connections"
REACHED = 0.98  # Of a fixed rate; a proxy below that has no latencies worth a table.
TAIL_SAMPLES = 10  # Beyond a quantile, for it to be one.
TRACED_SHARE = 10  # strace slows a proxy down; of a fixed rate it sees one part of so many.
CLOSED = "as fast as 64 connections go"


class Scene(NamedTuple):
    title: str
    load: dict[str, object]  # Options of bench/load.


class Suite(NamedTuple):
    about: str
    scenes: tuple[Scene, ...]
    proxies: tuple[str, ...] = (*PEERS, "floor")
    shape: plain.Shape = plain.Shape()
    counts_calls: bool = False  # System calls for each request too.
    everywhere: bool = False  # Proxies, load and server all have both CPUs.


def closed(connections: int, **more: object) -> Scene:
    title = CLOSED.replace("64", str(connections)) if connections > 1 else "one connection"
    return Scene(title, {"connections": connections, **more})


def fixed(rate: int, **more: object) -> Scene:
    return Scene(f"{rate} a second on 64 connections", {"connections": 64, "rate": rate, **more})


def uploads(size: int, name: str) -> Scene:
    return Scene(f"POST of {name} on 16 connections", {"connections": 16, "upload": size})


SUITES = {
    "small": Suite("Small keep-alive requests",
                   (closed(1), closed(16), closed(64), closed(512), *map(fixed, RATES))),
    "both": Suite("Small requests, two workers, everything on both CPUs",
                  (closed(64), fixed(RATE)), shape=plain.Shape(workers=2), everywhere=True),
    "close": Suite("A connection for each small request",
                   (closed(64, no_keep_alive=True), fixed(4000, no_keep_alive=True)),
                   (*PEERS, *DEFERRED_PEERS, "floor_close", FLOOR_DEFERRED)),
    "uploads": Suite("Uploads", (uploads(1 << 10, "1 KiB"), uploads(64 << 10, "64 KiB"),
                                 uploads(1 << 20, "1 MiB"), uploads(8 << 20, "8 MiB")),
                     (*PEERS, "haproxy splice", "floor", "floor_splice")),
    "servers": Suite("Small requests to a backend of 1,000 servers", (closed(64), fixed(RATE)),
                     PEERS, plain.Shape(servers=1000)),
    "routes": Suite("Small requests to 10,000 paths with a route each",
                    tuple(scene._replace(load={**scene.load, "path": plain.ROUTE_PATH,
                                               "spread": 10000})
                          for scene in (closed(64), fixed(RATE))),
                    PEERS, plain.Shape(routes=10000)),
    "trigger": Suite("Trigger modes",
                     (closed(1), closed(64), fixed(RATE), closed(64, no_keep_alive=True)._replace(
                         title="a connection for each request, 64 at a time"),
                      closed(16, path=f"/{1 << 20}")._replace(title="1 MiB bodies to 16 clients")),
                     ("weir edge", "weir level", "weir oneshot"), counts_calls=True),
    # Of two builds: bench/pgo.py starts them.
    "pgo": Suite("Small requests by build", (closed(64), fixed(RATE)), ("weir pgo", "weir")),
    "baseline": Suite("The baseline's load, and each one's own limit",
                      (Scene("1552 a second on 100 connections",
                             {"connections": 100, "rate": 1552}), closed(100)), PEERS),
}

Sample = dict[str, float]
Results = dict[str, dict[str, list[Sample]]]  # By scene and proxy.


# --- Measuring ----------------------------------------------------------------------------------


def start_load(cpu: int | str, command: list[str]) -> subprocess.Popen:
    """A load with --hold, when it is ready: it waits for go()."""
    process = rig.start(cpu, command, stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    return process


def go(process: subprocess.Popen, name: str) -> dict:
    """What it has found. Its connections are open until it is stopped."""
    process.send_signal(signal.SIGUSR1)
    return found_by(process, name)


def found_by(process: subprocess.Popen, name: str) -> dict:
    text = process.stdout.readline()
    try:
        return json.loads(text)
    except ValueError:
        sys.exit(f"bench: the load on {name} failed: {text}")


def measure(proxy: plain.Proxy, load: dict[str, object], options: argparse.Namespace) -> Sample:
    """One load on one proxy; CPU time is of the whole process tree, per answered request. Kept
    connections are made and used once before, and closed after it."""
    pid = proxy.process.pid
    process = start_load(options.cpus[1], rig.load_command(
        proxy.port, hold=True, **{"warm_up": 0, "seconds": options.seconds, **load}))
    times, ticks = rig.thread_times(pid), rig.user_share(pid)
    machine = comparison.stolen_ticks(options.cpus)
    seen = go(process, proxy.name)
    cpu, waited = rig.times_since(times, pid)
    steal = comparison.steal_since(machine, options.cpus)
    user, system = rig.user_share(pid, ticks)
    rig.stop(process)
    seen["failed"] = sum(seen["errors"].values())
    seconds = max(seen["seconds"], 1e-3)
    return {"cpu_us": cpu / max(seen["requests"], 1) * 1e6, "steal": steal,
            "user_ticks": user, "ticks": user + system, "busy": cpu / seconds,
            "disturbed": waited / seconds, "per_second": seen["requests"] / seconds,
            **{key: seen[key] for key in ("p50_ms", "p99_ms", "p99_99_ms", "max_ms",
                                          "late_p99_ms", "requests", "failed")},
            **({"rate": load["rate"]} if load.get("rate") else {})}


def system_calls(proxy: plain.Proxy, load: dict[str, object],
                 options: argparse.Namespace) -> dict[str, float]:
    """System calls of a proxy for each request, by name; none where strace cannot attach or a rate
    is not reached with it. It slows the proxy down, so this is apart from the measurements."""
    rate = load.get("rate", 0) // TRACED_SHARE
    process = start_load(options.cpus[1], rig.load_command(
        proxy.port, hold=True, **{"warm_up": 0, "seconds": 10, **load, "requests": 2000,
                                  "rate": rate}))
    command = ["strace", "-f", "-c", "-U", "name,calls", "-p", str(proxy.process.pid)]
    tracer = rig.start(options.cpus[1], command, stderr=subprocess.PIPE, text=True)
    if "attached" not in tracer.stderr.readline():
        rig.stop(tracer)
        rig.stop(process)
        return {}
    seen = go(process, proxy.name)
    tracer.terminate()
    text = tracer.communicate(timeout=10)[1]
    rig.stop(tracer)
    rig.stop(process)
    if seen["requests"] < REACHED * rate * seen["seconds"]:
        return {}
    return {name: int(calls) / max(seen["requests"], 1)
            for name, calls in re.findall(r"^(\w+)\s+(\d+)$", text, re.MULTILINE)
            if name != "total"}


def traced_title(scene: Scene) -> str:
    rate = scene.load.get("rate")
    return f"{rate // TRACED_SHARE} a second, for {scene.title}" if rate else scene.title


def measure_rounds(suite: Suite, proxies: list[plain.Proxy],
                   options: argparse.Namespace) -> Results:
    """Round after round, every proxy in every scene."""
    results: Results = {scene.title: {proxy.name: [] for proxy in proxies}
                        for scene in suite.scenes}
    for proxy in proxies:  # Caches and pools are warm from here on.
        measure(proxy, {**suite.scenes[-1].load, "seconds": 1}, options)
    for number in range(options.rounds):
        for scene in suite.scenes:
            order = bulk_rig.order_of_round(proxies, number)
            comparison.add_scene(
                results[scene.title],
                lambda: {proxy.name: measure(proxy, scene.load, options) for proxy in order},
                options.repeats, options.cpus)
        print(f"round {number + 1} of {options.rounds}: {suite.about}", file=sys.stderr)
    return results


def run(suite: Suite, options: argparse.Namespace, folder: pathlib.Path) -> dict:
    """{"scenes": Results, "calls": by scene and proxy}."""
    rig.check_programs(plain.programs(options.names, options))
    if suite.everywhere:
        cpus = ",".join(map(str, options.cpus))
        options = argparse.Namespace(**{**vars(options), "cpus": (cpus, cpus)})
    origin = rig.start_origin(options.cpus[1], "--addresses", str(suite.shape.servers))
    proxies = [plain.start(name, suite.shape, options, folder, origin)
               for name in options.names]
    results = measure_rounds(suite, proxies, options)
    calls = {traced_title(scene): {proxy.name: system_calls(proxy, scene.load, options)
                                   for proxy in proxies} for scene in suite.scenes
             } if suite.counts_calls and shutil.which("strace") else {}
    rig.stop_all()
    return {"scenes": results, "calls": calls}


# --- Reporting ----------------------------------------------------------------------------------


def median(runs: list[Sample], field: str) -> float:
    return statistics.median(run[field] for run in runs)


def tail(runs: list[Sample], field: str, share: float, digits: int = 3) -> str:
    """A percentile; empty where too few requests of all rounds are beyond it."""
    enough = sum(run["requests"] for run in runs) >= round(TAIL_SAMPLES / (1 - share))
    return f"{median(runs, field):.{digits}f}" if enough else ""


def user_us(runs: list[Sample]) -> float:
    """Time in user space of a request. The kernel counts it in ticks: only many of them say it."""
    ticks = sum(run["ticks"] for run in runs)
    return median(runs, "cpu_us") * sum(run["user_ticks"] for run in runs) / max(ticks, 1)


def reached(runs: list[Sample]) -> bool:
    """Whether a proxy kept up with a fixed rate; always, where there was none."""
    return median(runs, "per_second") >= REACHED * runs[0].get("rate", 0)


Row = dict[str, str]


def table_rows(by_proxy: dict[str, list[Sample]]) -> list[Row]:
    """A row for each proxy, by column; the ratios are those of its cost to every other one's."""
    return [reached_row(name, runs, by_proxy) if reached(runs) else
            {"proxy": name, "CPU us/request": "rate not reached",
             "requests/s": f"{median(runs, 'per_second'):.0f}",
             "CPU busy": f"{median(runs, 'busy'):.0%}"} for name, runs in by_proxy.items()]


def reached_row(name: str, runs: list[Sample], by_proxy: dict[str, list[Sample]]) -> Row:
    costs = [run["cpu_us"] for run in runs]
    failed = sum(run["failed"] for run in runs)
    others = {other: of_other for other, of_other in list(by_proxy.items())[1:]
              if reached(of_other)}
    return {"proxy": name + (f" ({failed:.0f} failed)" if failed else ""),
            "CPU us/request": f"{median(runs, 'cpu_us'):.2f}",
            "range": f"{min(costs):.2f}-{max(costs):.2f}",
            **{f"/ {other}": f"{comparison.ratio(runs, of_other):.2f}"
               for other, of_other in others.items()},
            "user us": f"{user_us(runs):.2f}", "requests/s": f"{median(runs, 'per_second'):.0f}",
            **{f"{head} ms": tail(runs, field, share) for head, field, share in
               (("p50", "p50_ms", 0.5), ("p99", "p99_ms", 0.99), ("p99.99", "p99_99_ms", 0.9999))},
            "CPU busy": f"{median(runs, 'busy'):.0%}"}


def table(by_proxy: dict[str, list[Sample]], without: tuple[str, ...] = ()) -> str:
    measures = [name for name in list(by_proxy)[1:] if name not in DEFERRED_PEERS]
    heads = [head for head in (
        "proxy", "CPU us/request", "range", *(f"/ {name}" for name in measures),
        "user us", "requests/s", "p50 ms", "p99 ms", "p99.99 ms", "CPU busy")
        if head not in without]
    return report.markdown_table([heads, *([row.get(head, "") for head in heads]
                                           for row in table_rows(by_proxy))])


def calls_table(calls: dict[str, dict[str, dict[str, float]]]) -> str:
    """System calls for each request, those that matter by name."""
    def count(made: dict[str, float], wanted: str) -> str:
        number = sum(number for name, number in made.items() if re.match(wanted, name))
        return f"{number:.2f}" if made else ""

    kinds = {"epoll_wait": "epoll_p?wait", "epoll_ctl": "epoll_ctl",
             "receiving": "recv|read", "sending": "send|write", "splice": "splice", "all": ""}
    rows = [["load", "mode", *kinds]]
    rows += [[title, name, *(count(made, wanted) for wanted in kinds.values())]
             for title, by_proxy in calls.items() for name, made in by_proxy.items()]
    return report.markdown_table(rows, texts=2)


def noise(scenes: Results, shared: bool = False) -> comparison.Noise:
    """Who does not reach a rate leaves requests unanswered: no sign of noise."""
    rows = [runs for by_proxy in scenes.values() for runs in by_proxy.values()]
    return comparison.noise_of(rows, shared)._replace(
        failed=comparison.noise_of(filter(reached, rows), shared).failed,
        spread=comparison.spread_of(scenes.values()))


def caption(suite: Suite, scenes: Results, options: argparse.Namespace) -> str:
    found = noise(scenes, suite.everywhere)
    quiet = ("Proxies, load and server share both CPUs, so waiting for one is part of it; the host "
             f"took {found.steal:.1%} of their time.\n"
             if suite.everywhere else comparison.noise_text(found))
    return (f"{comparison.medians_text(options)} "
            + report.surroundings(options.names, options) + quiet)


def heading(title: str, by_proxy: dict[str, list[Sample]]) -> str:
    """With what a latency is there."""
    since = "when it was due" if next(iter(by_proxy.values()))[0].get("rate") else "its sending"
    return f"{title[0].upper()}{title[1:]} (a request's time is from {since} to its answer):"


def page_text(suite: Suite, found: dict, options: argparse.Namespace) -> str:
    text = caption(suite, found["scenes"], options)
    for title, by_proxy in found["scenes"].items():
        text += f"\n{heading(title, by_proxy)}\n\n{table(by_proxy)}"
    return text + (calls_text(found["calls"]) if suite.counts_calls else "")


def calls_text(calls: dict[str, dict[str, dict[str, float]]]) -> str:
    counted = [bool(made) for by_proxy in calls.values() for made in by_proxy.values()]
    if not any(counted):
        return "\nSystem calls were not counted: strace is missing or could not attach.\n"
    missing = "" if all(counted) else "; empty where the rate was not reached under it"
    return f"\nSystem calls for each request (strace{missing}):\n\n{calls_table(calls)}"


def readme_text(found: dict, options: argparse.Namespace) -> str:
    """The part of `small` that README.md shows."""
    return (caption(SUITES["small"], found["scenes"], options)
            + f"\n{heading(CLOSED, found['scenes'][CLOSED])}\n\n"
            + table(found["scenes"][CLOSED], without=("range", "p50 ms", "p99.99 ms")))


def bars(suite: Suite, found: dict) -> comparison.Bars:
    """Only those that kept up."""
    return (f"{suite.about}: CPU time of a request in us",
            {title: {proxy: median(runs, "cpu_us") for proxy, runs in by_proxy.items()
                     if reached(runs)} for title, by_proxy in found["scenes"].items()})


# --- What tools/bench knows of them -------------------------------------------------------------


def describe(name: str, measure_suite: Callable = run) -> comparison.Comparison:
    suite = SUITES[name]
    page = rig.ROOT / "docs" / "trigger_modes.md" if name == "trigger" else comparison.PAGE
    readme = (lambda found, options: [comparison.Block(rig.ROOT / "README.md", "bench small",
                                                       readme_text(found, options))])
    return comparison.Comparison(
        name, suite.about, functools.partial(measure_suite, suite),
        functools.partial(page_text, suite), lambda found: noise(found["scenes"], suite.everywhere),
        suite.proxies, functools.partial(bars, suite), page,
        blocks=readme if name == "small" else None)
