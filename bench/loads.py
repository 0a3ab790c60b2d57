"""Suites that put bench/load on plain HTTP proxies, all of which stay up for the whole suite and
are measured in turn, scene by scene and round after round."""

import argparse
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
from typing import NamedTuple

import plain
import report
import rig

PEERS = ("weir", "nginx", "haproxy")
RATE = 12000
FIXED = f"{RATE} a second on 64 connections"
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
                   (closed(1), closed(16), closed(64), closed(512), fixed(RATE))),
    "both": Suite("Small requests, two workers, everything on both CPUs",
                  (closed(64), fixed(RATE)), PEERS, plain.Shape(workers=2), everywhere=True),
    "close": Suite("A connection for each small request",
                   (closed(64, no_keep_alive=True), fixed(4000, no_keep_alive=True)),
                   (*PEERS, "floor_close")),
    "uploads": Suite("Uploads", (uploads(1 << 10, "1 KiB"), uploads(64 << 10, "64 KiB"),
                                 uploads(1 << 20, "1 MiB"), uploads(8 << 20, "8 MiB")),
                     (*PEERS, "floor", "floor_splice")),
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


def measure(proxy: plain.Proxy, load: dict[str, object], options: argparse.Namespace) -> Sample:
    """One load on one proxy; CPU time is of the whole process tree, per answered request."""
    pid = proxy.process.pid
    (ran, waited), ticks = rig.scheduled_seconds(pid), rig.user_share(pid)
    seen = rig.run_load(options.cpus[1], proxy.name, proxy.port,
                        **{"warm_up": 0, "seconds": options.seconds, **load})
    ran_now, waited_now = rig.scheduled_seconds(pid)
    cpu, seconds = ran_now - ran, max(seen["seconds"], 1e-3)
    user, system = rig.user_share(pid, ticks)
    return {"cpu_us": cpu / max(seen["requests"], 1) * 1e6,
            "user_ticks": user, "ticks": user + system, "busy": cpu / seconds,
            "disturbed": (waited_now - waited) / seconds, "per_second": seen["requests"] / seconds,
            **{key: seen[key] for key in ("p50_ms", "p99_ms", "p99_99_ms", "max_ms",
                                          "late_p99_ms", "requests", "failed")}}


def system_calls(proxy: plain.Proxy, load: dict[str, object],
                 options: argparse.Namespace) -> dict[str, float]:
    """System calls of a proxy for each request, by name; needs strace. It slows the proxy down, so
    this is apart from the measurements."""
    command = ["strace", "-f", "-c", "-U", "name,calls", "-p", str(proxy.process.pid)]
    tracer = rig.start(options.cpus[1], command, stderr=subprocess.PIPE, text=True)
    tracer.stderr.readline()  # It is attached.
    seen = rig.run_load(options.cpus[1], proxy.name, proxy.port, seconds=10,
                        **{"warm_up": 0, **load, "requests": 2000, "rate": 0})
    tracer.terminate()
    text = tracer.communicate(timeout=10)[1]
    rig.stop(tracer)
    return {name: int(calls) / max(seen["requests"], 1)
            for name, calls in re.findall(r"^(\w+)\s+(\d+)$", text, re.MULTILINE)
            if name != "total"}


def measure_rounds(suite: Suite, proxies: list[plain.Proxy],
                   options: argparse.Namespace) -> Results:
    """Round after round, every proxy in every scene."""
    results: Results = {scene.title: {proxy.name: [] for proxy in proxies}
                        for scene in suite.scenes}
    for proxy in proxies:  # Caches and pools are warm from here on.
        measure(proxy, {**suite.scenes[-1].load, "seconds": 1}, options)
    for number in range(options.rounds):
        for scene in suite.scenes:
            first = number % len(proxies)
            for proxy in proxies[first:] + proxies[:first]:
                results[scene.title][proxy.name].append(measure(proxy, scene.load, options))
        print(f"round {number + 1} of {options.rounds}: {suite.about}", file=sys.stderr)
    return results


def run(suite: Suite, options: argparse.Namespace, folder: pathlib.Path) -> dict:
    """{"scenes": Results, "calls": by scene and proxy}."""
    names = [name for name in suite.proxies if not options.only or name in options.only]
    rig.check_programs(plain.programs(names, options))
    if suite.everywhere:
        cpus = ",".join(map(str, options.cpus))
        options = argparse.Namespace(**{**vars(options), "cpus": (cpus, cpus)})
    origin = rig.start_origin(options.cpus[1], "--addresses", str(suite.shape.servers))
    proxies = [plain.start(name, suite.shape, options, folder, origin) for name in names]
    results = measure_rounds(suite, proxies, options)
    calls = {scene.title: {proxy.name: system_calls(proxy, scene.load, options)
                           for proxy in proxies} for scene in suite.scenes
             } if suite.counts_calls and shutil.which("strace") else {}
    rig.stop_all()
    return {"scenes": results, "calls": calls}


# --- Reporting ----------------------------------------------------------------------------------


def median(runs: list[Sample], field: str) -> float:
    return statistics.median(run[field] for run in runs)


def user_us(runs: list[Sample]) -> float:
    """Time in user space of a request. The kernel counts it in ticks: only many of them say it."""
    ticks = sum(run["ticks"] for run in runs)
    return median(runs, "cpu_us") * sum(run["user_ticks"] for run in runs) / max(ticks, 1)


def table(by_proxy: dict[str, list[Sample]]) -> str:
    """A row for each proxy; the ratios are those of its cost to every other one's."""
    first, *others = by_proxy
    rows = [["proxy", "CPU us/request", "range", *(f"/ {name}" for name in others), "user us",
             "requests/s", "p50 ms", "p99 ms", "p99.99 ms", "CPU busy"]]
    for name, runs in by_proxy.items():
        costs = [run["cpu_us"] for run in runs]
        own, failed = median(runs, "cpu_us"), sum(run["failed"] for run in runs)
        rows.append([name + (f" ({failed:.0f} failed)" if failed else ""), f"{own:.2f}",
                     f"{min(costs):.2f}-{max(costs):.2f}",
                     *(f"{own / median(by_proxy[other], 'cpu_us'):.2f}" for other in others),
                     f"{user_us(runs):.2f}", f"{median(runs, 'per_second'):.0f}",
                     *(f"{median(runs, field):.3f}"
                       for field in ("p50_ms", "p99_ms", "p99_99_ms")),
                     f"{median(runs, 'busy'):.0%}"])
    return report.markdown_table(rows)


def calls_table(calls: dict[str, dict[str, dict[str, float]]]) -> str:
    """System calls for each request, those that matter by name."""
    def count(made: dict[str, float], wanted: str) -> str:
        return f"{sum(number for name, number in made.items() if re.match(wanted, name)):.2f}"

    kinds = {"epoll_wait": "epoll_p?wait", "epoll_ctl": "epoll_ctl",
             "receiving": "recv|read", "sending": "send|write", "splice": "splice", "all": ""}
    rows = [["load", "mode", *kinds]]
    rows += [[title, name, *(count(made, wanted) for wanted in kinds.values())]
             for title, by_proxy in calls.items() for name, made in by_proxy.items()]
    return report.markdown_table(rows, texts=2)


def noise(scenes: Results) -> str:
    """How far the machine was from quiet; for the caption."""
    runs = [run for by_proxy in scenes.values() for runs in by_proxy.values() for run in runs]
    return (f"A proxy waited at most {max(run['disturbed'] for run in runs):.1%} of the time for "
            f"its CPU, and the load was {max(run['late_p99_ms'] for run in runs):.2f} ms late at "
            "worst (p99).\n")


def page_text(name: str, found: dict, options: argparse.Namespace) -> str:
    suite = SUITES[name]
    text = (f"Medians of {options.rounds} interleaved rounds of {options.seconds} s each. "
            + report.surroundings("", list(suite.proxies), options) + noise(found["scenes"]))
    for title, by_proxy in found["scenes"].items():
        text += f"\n{title[0].upper()}{title[1:]}:\n\n{table(by_proxy)}"
    if found["calls"]:
        text += f"\nSystem calls for each request (strace):\n\n{calls_table(found['calls'])}"
    return text


def plot(name: str, found: dict) -> str:
    return report.bars_svg(
        f"{SUITES[name].about}: CPU time of a request in us",
        {title: {proxy: median(runs, "cpu_us") for proxy, runs in by_proxy.items()}
         for title, by_proxy in found["scenes"].items()})
