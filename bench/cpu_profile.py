"""Where the CPU time of a request goes, in weir and in the bare relay beside it: it explains a
target that is missed. The kernel's profiler (perf) looks what runs, 4,999 times a second."""

import argparse
import collections
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import time
from typing import Callable, Iterable, NamedTuple

import bulk_rig
import comparison
import loads
import plain
import report
import rig
import workers

SAMPLES_PER_S = 4999  # No multiple of a clock's rate.
ATTACH_LIMIT_S, REPORT_LIMIT_S = 10, 60
SYSTEM_CALL = re.compile(r"\b__\w+_sys_(\w+)")
FRAME = re.compile(r"\s+(?P<address>[0-9a-f]+) (?P<symbol>.*) \((?P<object>.*)\)$")
KERNEL_FROM = 1 << 63  # Addresses.
OWN, LIBRARIES, AROUND = "its own code", "libraries", "entry, exit, interrupts"
# By what is done; what two programs call by different names is the same here.
CALLS = {"receive": ("recvfrom", "recvmsg", "read", "readv"),
         "send": ("sendto", "sendmsg", "write", "writev"),
         "wait": ("epoll_wait", "epoll_pwait", "epoll_pwait2"),
         "accept": ("accept", "accept4"), "close": ("close", "shutdown"),
         "splice": ("splice",), "epoll_ctl": ("epoll_ctl",)}
OTHER = "other calls"
PARTS = (OWN, LIBRARIES, *CALLS, OTHER, AROUND)


class Case(NamedTuple):
    name: str  # Of a proxy, as bench/plain.py has it.
    workers: int = 1


class Scene(NamedTuple):
    load: dict[str, object]
    cases: tuple[Case, ...]
    everywhere: bool = False  # On all CPUs, beside the load and the server.


WEIR = Case("weir")
SCENES = {
    "Small keep-alive, 64 connections": Scene(loads.closed(64).load, (WEIR, Case("floor"))),
    f"The same at {loads.RATE} a second": Scene(loads.fixed(loads.RATE).load,
                                                (WEIR, Case("floor"))),
    "A connection for each request, 64 at a time": Scene(
        loads.closed(64, no_keep_alive=True).load, (WEIR, Case("floor_close"))),
    "The same, accepts deferred": Scene(
        loads.closed(64, no_keep_alive=True).load,
        (Case("weir deferred"), Case(loads.FLOOR_DEFERRED))),
    **{f"{bulk_rig.size_name(size)} bodies to 16 clients": Scene(
        loads.closed(16, path=f"/{size}").load, (WEIR, Case("floor_splice")))
       for size in (64 << 10, 1 << 20)},
    f"{workers.BUSY} busy of {workers.CLIENTS} clients, by workers": Scene(
        {"connections": workers.CLIENTS, "busy": workers.BUSY},
        (Case("weir", 4), WEIR, Case("floor", 4), Case("floor")), everywhere=True),
}
PROGRAMS = ["weir", "floor", "floor_close", "floor_splice"]


# --- Measuring ----------------------------------------------------------------------------------


def start_profiler(pid: int, cpu: int | str, folder: pathlib.Path) -> subprocess.Popen:
    """Of all threads of a process tree, into perf.data. It counts when this returns."""
    orders, answers = folder / "orders", folder / "answers"
    for pipe in (orders, answers):
        pipe.unlink(missing_ok=True)
        os.mkfifo(pipe)
    profiler = rig.start(cpu, [
        "perf", "record", "--quiet", "--event", "cpu-clock", "--freq", str(SAMPLES_PER_S),
        "--call-graph", "fp", "--output", str(folder / "perf.data"), "--delay", "-1",
        "--control", f"fifo:{orders},{answers}", "--pid",
        ",".join(map(str, rig.process_tree(pid)))],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    with open(os.open(orders, os.O_RDWR), "w", encoding="ascii") as writing, \
            open(os.open(answers, os.O_RDWR | os.O_NONBLOCK), "rb", buffering=0) as reading:
        print("enable", file=writing, flush=True)
        deadline = time.monotonic() + ATTACH_LIMIT_S
        while not (reading.read(64) or b"").startswith(b"ack"):
            if profiler.poll() is not None:
                said = [*profiler.stderr.read().split("\n"), ""][0]
                sys.exit(f"profile: perf cannot look at process {pid}, which root may, or "
                         f"everybody with kernel.perf_event_paranoid = 1: {said}")
            if time.monotonic() > deadline:
                sys.exit(f"profile: perf did not begin within {ATTACH_LIMIT_S} s")
            time.sleep(0.02)
    return profiler


def part_of(frames: list[re.Match], program: str) -> str:
    """Of a sample with these frames, innermost first."""
    if int(frames[0]["address"], 16) < KERNEL_FROM:
        return OWN if pathlib.Path(frames[0]["object"]).name == program else LIBRARIES
    for frame in frames:
        if call := SYSTEM_CALL.search(frame["symbol"]):
            return next((part for part, names in CALLS.items() if call[1] in names), OTHER)
    return AROUND


def shares(lines: Iterable[str], program: str) -> dict[str, float]:
    """What `perf script` has said, as the share of each part."""
    counts: collections.Counter[str] = collections.Counter()
    frames: list[re.Match] = []
    for line in [*lines, ""]:
        if found := FRAME.match(line):
            frames.append(found)
        elif frames:
            counts[part_of(frames, program)] += 1
            frames = []
    if not counts:
        sys.exit(f"profile: perf has seen nothing of {program}")
    return {part: counts[part] / counts.total() for part in PARTS}


def measure(case: Case, scene: Scene, options: argparse.Namespace, folder: pathlib.Path,
            origin: int) -> loads.Sample:
    """CPU time of a request, and each part of it, in us; with the profiler's own interrupts."""
    cpus = [workers.every_cpu()] * 2 if scene.everywhere else options.cpus
    proxy = plain.start(case.name, plain.Shape(workers=case.workers), options, folder, origin,
                        cpus[0])
    load = loads.start_load(cpus[1], rig.load_command(
        proxy.port, hold=True, warm_up=0, seconds=options.seconds, **scene.load))
    pid = proxy.process.pid
    profiler = start_profiler(pid, cpus[1], folder)
    times, machine = rig.thread_times(pid), comparison.stolen_ticks(options.cpus)
    seen = loads.go(load, case.name)
    cpu, waited = rig.times_since(times, pid)
    steal = comparison.steal_since(machine, options.cpus)
    profiler.send_signal(signal.SIGINT)
    profiler.communicate(timeout=ATTACH_LIMIT_S)
    for process in (profiler, load, proxy.process):
        rig.stop(process)
    said = subprocess.run(["perf", "script", "--input", str(folder / "perf.data"), "--fields",
                           "ip,sym,dso"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=REPORT_LIMIT_S, check=False).stdout
    cpu_us = cpu / max(seen["requests"], 1) * 1e6
    program = pathlib.Path(plain.programs([case.name], options)[0]).name
    return {"cpu_us": cpu_us, "disturbed": waited / seen["seconds"], "requests": seen["requests"],
            "failed": sum(seen["errors"].values()), "late_p99_ms": seen["late_p99_ms"],
            "steal": steal,
            **{part: share * cpu_us for part, share in shares(said.splitlines(), program).items()}}


def run(options: argparse.Namespace, folder: pathlib.Path) -> dict:
    """By scene and case."""
    rig.check_programs([*plain.programs(PROGRAMS, options), "perf"])
    found = {title: {case_title(case, scene): [] for case in scene.cases}
             for title, scene in SCENES.items()}
    for number in range(options.rounds):
        for title, scene in SCENES.items():
            origin = rig.start_origin(workers.every_cpu() if scene.everywhere else options.cpus[1])
            comparison.add_scene(found[title], measures(scene, options, folder, origin),
                                 options.repeats, options.cpus)
            rig.stop_all()
        print(f"round {number + 1} of {options.rounds}: profiles", file=sys.stderr)
    return found


def measures(scene: Scene, options: argparse.Namespace, folder: pathlib.Path,
             origin: int) -> Callable[[], dict[str, loads.Sample]]:
    return lambda: {case_title(case, scene): measure(case, scene, options, folder, origin)
                    for case in scene.cases}


def case_title(case: Case, scene: Scene) -> str:
    return workers.title(case.name, case.workers) if scene.everywhere else case.name


# --- Reporting ----------------------------------------------------------------------------------


def table(by_case: dict[str, list[loads.Sample]]) -> str:
    """The difference is that of the first two. Parts that are nothing in all are left out."""
    first, second, *_ = by_case
    rows = [["part", *by_case, "difference"]]
    for part in ("cpu_us", *PARTS):
        values = [statistics.median(run[part] for run in runs) for runs in by_case.values()]
        more = statistics.median(own[part] - other[part]
                                 for own, other in zip(by_case[first], by_case[second]))
        if part == "cpu_us" or max(values) >= 0.05:
            rows.append([part.replace("cpu_us", "**all**"), *(f"{value:.2f}" for value in values),
                         f"{more:+.2f}"])
    return report.markdown_table(rows)


def page_text(found: dict, options: argparse.Namespace) -> str:
    text = (f"CPU us of a request, medians of {options.rounds} rounds of {options.seconds} s, and "
            "of their differences. "
            + report.surroundings(PROGRAMS, options)
            + comparison.noise_text(noise(found)))
    for title, by_case in found.items():
        text += f"\n{title}:\n\n{table(by_case)}"
    return text


def noise(found: dict) -> comparison.Noise:
    """Where the proxies share their CPUs with the load, waiting is part of what is measured."""
    each = [comparison.noise_of(found[title].values(), shared=scene.everywhere)
            for title, scene in SCENES.items()]
    return comparison.Noise(*map(max, zip(*each)))


COMPARISON = comparison.Comparison(
    "profile", "Where the CPU time of a request goes, beside the bare relay", run, page_text, noise,
    rounds=3, seconds=2)
