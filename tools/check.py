#!/usr/bin/env python3
"""Runs every check in order and adds up the result; tools/check calls it.

Each step prints one line and keeps its output in build/check/<step>.log; the output of a step that
fails is shown as well. A failing step does not stop the others, unless they need what it builds.
The last line is `N passed, N failed`: tests are counted one by one, every other step counts as one.

Nothing outlives the run: steps have a time limit and their own process group, and what escapes the
group becomes a child of this process (subreaper) and is killed after the step.
"""

import argparse
import concurrent.futures
import ctypes
import fcntl
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from typing import Callable, NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOGS = ROOT / "build" / "check"
SHOWN_LINES_MAX = 150
PR_SET_CHILD_SUBREAPER = 36

THREADS = re.compile(r"#include <(?:thread|future)>|start_thread")
FORMATTED_FOLDERS = ("src", "sim", "tests", "fuzz", "bench")


class Outcome(NamedTuple):
    passed: int
    failed: int
    note: str = ""


class Step(NamedTuple):
    name: str
    run: Callable[["Log"], Outcome]
    needs: str = ""                    # A step without which this one cannot work.
    beside: "Flavour | None" = None    # What is built ahead from here on.


# --- Running programs ---------------------------------------------------------------------------


class Log:
    """What a step prints, and the programs it runs."""

    def __init__(self, name: str):
        self.name = name
        self.path = LOGS / f"{name}.log"
        self.file = self.path.open("ab")
        self.file.truncate(0)

    def write(self, text: str) -> None:
        self.file.write(text.encode())
        self.file.flush()

    def run(self, command: list[str], limit_s: int, env: dict[str, str] | None = None) -> bool:
        return self.capture(command, limit_s, env)[0]

    def capture(self, command: list[str], limit_s: int,
                env: dict[str, str] | None = None) -> tuple[bool, str]:
        """Runs one program to its end or to the time limit: (exit code was 0, its output)."""
        self.write(f"$ {' '.join(command)}\n")
        begin = self.file.tell()
        # Straight into the file: a pipe would stay open for as long as any grandchild lives.
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **(env or {})},
                                   stdin=subprocess.DEVNULL, stdout=self.file,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.write(f"\n*** stopped: no end after {limit_s} s\n")
        finally:
            kill_group(process.pid)
            process.wait()
        if process.returncode:
            self.write(f"*** exit code {process.returncode}\n")
        with self.path.open("rb") as file:
            file.seek(begin)
            return process.returncode == 0, file.read().decode(errors="replace")


def kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def list_children() -> list[tuple[int, str]]:
    """Live children of this process as (pid, name); dead ones are reaped on the way."""
    children = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            name, rest = (entry / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if int(parent) != os.getpid() or int(entry.name) == AHEAD.pid():
            continue
        if state == "Z":
            os.waitpid(int(entry.name), 0)
        else:
            children.append((int(entry.name), name))
    return children


def kill_orphans(grace_s: float = 1.0) -> list[str]:
    """Ends the processes that a finished step has left behind; returns their names."""
    names = []
    begin = time.monotonic()
    while (children := list_children()) and time.monotonic() < begin + grace_s + 5:
        if time.monotonic() > begin + grace_s:
            for pid, name in children:
                names.append(name)
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        else:
            time.sleep(0.02)
    return names


# --- The steps ----------------------------------------------------------------------------------


def one(success: bool) -> Outcome:
    return Outcome(1, 0) if success else Outcome(0, 1)


def step_format(log: Log) -> Outcome:
    files = sorted(str(path.relative_to(ROOT)) for folder in FORMATTED_FOLDERS
                   for path in (ROOT / folder).rglob("*") if path.suffix in (".h", ".cpp"))
    return one(log.run(["clang-format-16", "--dry-run", "-Werror", *files], 120))


def step_tidy(log: Log) -> Outcome:
    rules = log.run([sys.executable, "tools/tidy.py", "--self-test"], 60)
    tree = log.run([sys.executable, "tools/tidy.py"], 60)
    return Outcome(rules + tree, 2 - rules - tree)


class Flavour:
    """One build of the program and the tests that run on it."""

    def __init__(self, preset: str, env: dict[str, str], prefix: list[str]):
        self.preset = preset
        self.folder = ROOT / "build" / preset
        self.env = env
        self.prefix = prefix

    def step_build(self, log: Log) -> Outcome:
        configure, build = self.build_commands()
        return one(log.run(configure, 120) and log.run(build, 1500))

    def build_commands(self) -> tuple[list[str], list[str]]:
        configure = ["cmake", "--preset", self.preset, "-DWEIR_TESTS=ON"]
        # The simulator's fibers are unknown to TSan, and ASan sees its layers in the other tests.
        ours = "ON" if self.preset == "release" else "OFF"
        configure += [f"-DWEIR_BENCH={ours}", f"-DWEIR_SIM={ours}"]
        build = ["cmake", "--build", "--preset", self.preset]
        if self.preset == "tsan":
            build += ["--target", "weir", *(f"unit_{layer}" for layer in self.layers())]
        return self.prefix + configure, self.prefix + build

    def layers(self) -> list[str]:
        """The layers with unit tests; for TSan those whose tests start threads."""
        layers = []
        for folder in sorted((ROOT / "tests" / "unit").iterdir()):
            texts = [path.read_text() for path in folder.glob("*.cpp")]
            threaded = any(THREADS.search(text) for text in texts)
            if texts and (threaded or self.preset != "tsan"):
                layers.append(folder.name)
        return layers

    def step_unit(self, log: Log) -> Outcome:
        shards = os.cpu_count() or 1
        jobs = [(layer, shard) for layer in self.layers() for shard in range(shards)]
        with concurrent.futures.ThreadPoolExecutor(shards) as pool:
            outcomes = list(pool.map(lambda job: self.run_shard(log, *job, shards), jobs))
        return self.with_reports(log, sum(outcome.passed for outcome in outcomes),
                                 sum(outcome.failed for outcome in outcomes))

    def run_shard(self, step_log: Log, layer: str, shard: int, shards: int) -> Outcome:
        """Every so manieth test of a layer, with a log of its own until it has ended."""
        log = Log(f"{step_log.name}-{layer}-{shard}")
        env = {**self.env, "GTEST_TOTAL_SHARDS": str(shards), "GTEST_SHARD_INDEX": str(shard)}
        binary = str(self.folder / f"unit_{layer}")
        success, output = log.capture([*self.prefix, binary], 600, env)
        passed, failed = count_gtest(output)
        if not success and failed == 0:
            log.write(f"*** unit_{layer} failed outside of its tests\n")
            failed = 1
        log.file.close()
        step_log.write(log.path.read_text(errors="replace"))
        log.path.unlink()
        return Outcome(passed, failed)

    def step_e2e(self, log: Log) -> Outcome:
        # More than there are processors: most of them wait, most of the time.
        command = [*self.prefix, sys.executable, "tests/e2e/run.py", "-j", "3"]
        if self.preset == "tsan":
            command.append("--tsan-subset")
        env = {**self.env, "WEIR_BINARY": str(self.folder / "weir")}
        success, output = log.capture(command, 900, env)
        counts = re.findall(r"^e2e: (\d+) passed, (\d+) failed", output, re.MULTILINE)
        passed, failed = map(int, counts[-1]) if counts else (0, 0)
        return self.with_reports(log, passed, max(failed, 0 if success and counts else 1))

    def with_reports(self, log: Log, passed: int, failed: int) -> Outcome:
        """A report of a sanitizer is a failure even if no test has noticed it."""
        reports = sorted(LOGS.glob(f"{self.preset}-report*"))
        for report in reports:
            log.write(f"*** {report.name}\n{report.read_text(errors='replace')}\n")
            report.unlink()
        note = f"{len(reports)} sanitizer reports" if reports else ""
        return Outcome(passed, max(failed, 1) if reports else failed, note)


class Ahead:
    """Builds what a later step needs while others leave processors idle. They do not notice: the
    kernel gives it what nobody else wants."""

    def __init__(self) -> None:
        self.process: subprocess.Popen | None = None

    def start(self, flavour: Flavour) -> None:
        # With a quota instead of processors of one's own, it would use up what the others need.
        if self.process or not is_without_quota():
            return
        script = " && ".join(shlex.join(command) for command in flavour.build_commands())
        with (LOGS / f"{flavour.preset}-build-ahead.log").open("wb") as output:
            self.process = subprocess.Popen(
                ["sh", "-c", script], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=give_way)

    def stop(self) -> None:
        """What was built stays; ninja removes what it was in the middle of."""
        if not self.process:
            return
        try:
            os.killpg(self.process.pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process = None
        kill_orphans(grace_s=10)

    def pid(self) -> int | None:
        return self.process.pid if self.process else None


AHEAD = Ahead()


def give_way() -> None:
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    try:  # Where sessions share the time by themselves, that alone would not do.
        pathlib.Path("/proc/self/autogroup").write_text("19")
    except OSError:
        pass


def is_without_quota() -> bool:
    try:
        return pathlib.Path("/sys/fs/cgroup/cpu.max").read_text().startswith("max")
    except OSError:
        return True


def count_gtest(output: str) -> tuple[int, int]:
    """Passed and failed tests in the output of one gtest binary."""
    passed = len(re.findall(r"\[       OK \] \S+.*\(\d+ ms\)", output))
    failed = len(re.findall(r"\[  FAILED  \] \S+.*\(\d+ ms\)", output))
    return passed, failed


def counted(log: Log, command: list[str], limit_s: int) -> Outcome:
    """Of a program whose last line is `N passed, N failed`."""
    success, output = log.capture(command, limit_s)
    counts = re.findall(r"^(\d+) passed, (\d+) failed$", output, re.MULTILINE)
    passed, failed = map(int, counts[-1]) if counts else (0, 0)
    return Outcome(passed, max(failed, 0 if success and counts else 1))


def step_sim(log: Log) -> Outcome:
    """The simulated kernel against the real one, then the seeds."""
    folder = ROOT / "build" / "release"
    success, output = log.capture([str(folder / "unit_sim_kernel")], 300)
    passed, failed = count_gtest(output)
    failed = max(failed, 0 if success else 1)
    compare = ["tests/sim_kernel/compare.py", str(folder / "sim_script_linux"),
               str(folder / "sim_script_sim")]
    for command in ([sys.executable, *compare], ["tools/sim", "--check"]):
        outcome = counted(log, command, 300)
        passed, failed = passed + outcome.passed, failed + outcome.failed
    return Outcome(passed, failed)


def step_fuzz(log: Log) -> Outcome:
    """The targets that asan-build has built beside the tests."""
    return counted(log, [sys.executable, "tools/fuzz", "--smoke", "--build", "build/asan"], 1200)


def step_instructions(log: Log) -> Outcome:
    success, output = log.capture([sys.executable, "tools/instructions.py"], 120)
    figure = re.search(r"^[\d,]+ instructions a request.*", output, re.MULTILINE)
    return one(success)._replace(note=figure[0] if figure else "")


def sanitizer_env(preset: str) -> dict[str, str]:
    """Reports go to files, because a test may swallow or kill what would print them."""
    report = f"log_path={LOGS / preset}-report"
    if symbolizer := shutil.which("llvm-symbolizer-16"):
        report += f":external_symbolizer_path={symbolizer}"
    if preset == "asan":
        return {"ASAN_OPTIONS": f"{report}:strict_string_checks=1",
                "UBSAN_OPTIONS": f"{report}:print_stacktrace=1", "WEIR_SLOWDOWN": "4"}
    return {"TSAN_OPTIONS": f"{report}:second_deadlock_stack=1", "WEIR_SLOWDOWN": "6"}


def without_address_randomisation() -> list[str]:
    """The TSan of clang 16 refuses the address layouts that newer kernels draw now and then."""
    command = ["setarch", "-R"]
    works = shutil.which("setarch") and subprocess.run(
        [*command, "true"], check=False, stderr=subprocess.DEVNULL).returncode == 0
    return command if works else []


def all_steps() -> list[Step]:
    steps = [Step("format", step_format), Step("tidy", step_tidy)]
    release = Flavour("release", {}, [])
    asan = Flavour("asan", sanitizer_env("asan"), [])
    tsan = Flavour("tsan", sanitizer_env("tsan"), without_address_randomisation())
    for prefix, flavour, following in (("", release, asan), ("asan-", asan, tsan),
                                       ("tsan-", tsan, None)):
        steps += [
            Step(f"{prefix}build", flavour.step_build),
            Step(f"{prefix}unit", flavour.step_unit, f"{prefix}build"),
            Step(f"{prefix}e2e", flavour.step_e2e, f"{prefix}build", following),
        ]
    steps[5:5] = [Step("sim", step_sim, "build"),
                  Step("instructions", step_instructions, "build")]
    steps.append(Step("fuzz-smoke", step_fuzz, "asan-build"))
    return steps


# --- The run ------------------------------------------------------------------------------------


def choose(steps: list[Step], wanted: list[str], fast: bool) -> list[Step]:
    """The steps to run, in order, with the builds they need; `asan` means all of its steps."""
    groups = [step.name for step in steps] + ["asan", "tsan"]
    unknown = [name for name in wanted if name not in groups]
    if unknown:
        sys.exit(f"tools/check: no step '{unknown[0]}'; there are: {', '.join(groups)}")
    chosen = {step.name for step in steps
              if not wanted or step.name in wanted or step.name.split("-")[0] in wanted}
    if fast:
        chosen = {name for name in chosen if "-" not in name}
    chosen |= {step.needs for step in steps if step.name in chosen}
    return [step for step in steps if step.name in chosen]


def run_step(step: Step) -> Outcome:
    if sys.stdout.isatty():
        print(f"{step.name:<12} ...", end="\r", flush=True)
    begin = time.monotonic()
    log = Log(step.name)
    try:
        outcome = step.run(log)
    except OSError as error:  # A tool or a binary that is not there.
        log.write(f"*** {error}\n")
        outcome = Outcome(0, 1)
    left = kill_orphans()
    if left:
        log.write(f"*** left behind and killed: {' '.join(left)}\n")
    log.file.close()
    print_outcome(step, outcome, time.monotonic() - begin, left)
    if outcome.failed:
        lines = without_successes(log.path.read_text(errors="replace").splitlines())
        print("\n".join(f"  | {line}" for line in lines[-SHOWN_LINES_MAX:]))
        print(f"  everything it printed: {log.path.relative_to(ROOT)}", flush=True)
    return outcome


def without_successes(lines: list[str]) -> list[str]:
    """Leaves out what gtest prints about the tests that passed."""
    passed = {line.split()[3] for line in lines if line.startswith("[       OK ]")}
    return [line for line in lines if not line.startswith(("[----------]", "[       OK ]"))
            and not (line.startswith("[ RUN      ]") and line.split()[3] in passed)]


def print_outcome(step: Step, outcome: Outcome, seconds: float, left: list[str]) -> None:
    result = f"{outcome.passed:5} passed"
    result += f", {outcome.failed} failed" if outcome.failed else ""
    notes = [outcome.note] if outcome.note else []
    notes += [f"left behind: {' '.join(left)}"] if left else []
    print(f"{step.name:<12} {result:<24} {seconds:7.1f} s  {', '.join(notes)}".rstrip(), flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/check", description="Runs every check, or the steps named.",
        epilog="steps: " + ", ".join(step.name for step in all_steps()) + "; asan and tsan name "
        "their three steps at once")
    parser.add_argument("--fast", action="store_true", help="leave out the sanitizer builds")
    parser.add_argument("step", nargs="*", help="run only these steps and what they need")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    steps = choose(all_steps(), arguments.step, arguments.fast)
    LOGS.mkdir(parents=True, exist_ok=True)
    lock = (LOGS / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit("tools/check: another check is running in this tree")
    for stale in LOGS.glob("*-report*"):
        stale.unlink()
    # Debian keeps nginx and haproxy where only root's PATH looks.
    os.environ["PATH"] += ":/usr/local/sbin:/usr/sbin:/sbin"
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    chosen = {step.name for step in steps}
    passed = failed = 0
    broken: set[str] = set()
    try:
        for step in steps:
            if step.needs in broken:
                print(f"{step.name:<12} skipped, {step.needs} failed")
                continue
            if step.name.endswith("build"):
                AHEAD.stop()
            if step.beside and f"{step.beside.preset}-build" in chosen:
                AHEAD.start(step.beside)
            outcome = run_step(step)
            passed, failed = passed + outcome.passed, failed + outcome.failed
            if outcome.failed:
                broken.add(step.name)
    except KeyboardInterrupt:
        failed += 1
        print(f"{'':<12} interrupted")
    finally:
        AHEAD.stop()
        kill_orphans(grace_s=0)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
