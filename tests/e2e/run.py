#!/usr/bin/env python3
"""Runs the end-to-end tests: every file in a process of its own, a few files side by side.

WEIR_BINARY names the binary (default build/release/weir), WEIR_SLOWDOWN multiplies the deadlines
for sanitizer builds. The last line is `e2e: N passed, N failed`.
"""

import argparse
import concurrent.futures
import importlib.util
import json
import os
import pathlib
import queue
import resource
import signal
import subprocess
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
FILE_SECONDS = 150

# Files in which several workers and the control thread meet; what ThreadSanitizer should see.
MULTI_WORKER = (
    "access_log_test", "admin_test", "drain_test", "max_connections_test", "reload_test",
    "hand_over_test", "queue_test", "server_failure_test", "server_states_test", "traffic_test",
    "workers_test",
)
RUNNING: set[subprocess.Popen] = set()
# Files that measure under load. They would disturb each other and run one after the other.
MEASURING = ("brown_out_test", "goodput_test", "slow_start_test", "hung_server_test")
# The longest first, so that no long file runs alone at the end.
FIRST = (
    *MEASURING, "server_states_test", "ejection_test", "least_load_test", "retries_config_test",
    "queue_test", "huge_bodies_test", "retry_test", "classic_form_test", "timeouts_test",
    "reload_test", "server_failure_test",
)


class Stopped(Exception):
    """SIGTERM. Not a KeyboardInterrupt, for which unittest would leave out the cleaning up."""


class Result(unittest.TextTestResult):
    """Adds what weir printed to the report of a failure, and ends the file when it is stopped."""

    def addError(self, test, err):  # noqa: N802, the name of unittest
        if issubclass(err[0], Stopped):
            self.stop()
        super().addError(test, err)

    def stopTest(self, test):  # noqa: N802, the name of unittest
        log = getattr(test, "log", "")
        for entries in (self.failures, self.errors):
            if log and entries and _owner(entries[-1][0]) is test:
                entries[-1] = (entries[-1][0], f"{entries[-1][1]}\n{log}")
        super().stopTest(test)


def _stop(number, _):
    """The children clean up after themselves when they are asked to end."""
    for child in list(RUNNING):
        child.terminate()
    for child in list(RUNNING):
        child.wait()
    os._exit(128 + number)


def _owner(test):
    """The test method a failure belongs to; failures of subtests carry it."""
    return getattr(test, "test_case", test)


def _interrupt(*_):
    raise Stopped


def run_file(path: pathlib.Path, pattern: str | None, verbose: bool) -> int:
    """Runs the tests of one file in this process; the last line of stdout is its result."""
    signal.signal(signal.SIGTERM, _interrupt)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    loader = unittest.TestLoader()
    if pattern:
        loader.testNamePatterns = [f"*{pattern}*"]
    suite = loader.loadTestsFromModule(module)
    runner = unittest.TextTestRunner(sys.stderr, resultclass=Result, verbosity=2 if verbose else 1)
    result = runner.run(suite)
    # A skipped test proves nothing, so it counts as failed.
    bad = {str(_owner(test)) for test, _ in result.failures + result.errors + result.skipped}
    print(json.dumps({"run": result.testsRun, "bad": sorted(bad)}))
    return 1 if bad else 0


def lanes(files: list[pathlib.Path]) -> list[list[pathlib.Path]]:
    """What runs one after the other; the lanes may run side by side."""
    measuring = [path for path in files if path.stem in MEASURING]
    others = [[path] for path in files if path.stem not in MEASURING]
    return [measuring, *others] if measuring else others


def spawn_lane(lane: list[pathlib.Path], options: argparse.Namespace, limit: float,
               results: queue.SimpleQueue) -> None:
    for path in lane:
        results.put(spawn_file(path, options, limit))


def spawn_file(path: pathlib.Path, options: argparse.Namespace, limit: float) -> dict:
    """Runs one file in a child process and returns its result with its output."""
    command = [sys.executable, __file__, "--child", str(path)]
    command += ["-k", options.pattern] if options.pattern else []
    command += ["-v"] if options.verbose else []
    started = time.monotonic()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, errors="replace")
    RUNNING.add(child)
    try:
        out, err = child.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        child.terminate()  # Cleans up after itself.
        try:
            out, err = child.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = child.communicate()
        out, err = "", err + f"\n{path.stem}: stopped after {limit:g} s\n"
    RUNNING.discard(child)
    lines = out.strip().splitlines()
    try:
        result = json.loads(lines[-1])
    except (IndexError, ValueError):
        result = {"run": 1, "bad": [f"{path.stem} (did not finish)"]}
    result.update(name=path.stem, err=err, seconds=time.monotonic() - started)
    return result


def select(options: argparse.Namespace) -> list[pathlib.Path]:
    files = sorted(HERE.glob("*_test.py"), key=lambda path: (path.stem not in FIRST, path.stem))
    if options.tsan_subset:
        files = [path for path in files if path.stem in MULTI_WORKER]
    if options.file:
        files = [path for path in files if any(name in path.stem for name in options.file)]
    return files


def check_names(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Ends the program when a name that was asked for is in no file's name."""
    known = sorted(path.stem for path in HERE.glob("*_test.py"))
    for name in options.file or ():
        if not any(name in stem for stem in known):
            parser.error(f"no file with '{name}' in its name; there are: {', '.join(known)}")
    if not select(options):
        parser.error("--file and --tsan-subset have no file in common; the subset is: "
                     f"{', '.join(MULTI_WORKER)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", action="append", help="only files whose name contains this")
    parser.add_argument("-k", dest="pattern", help="only tests whose name contains this")
    parser.add_argument("-j", dest="jobs", type=int, default=2, help="files side by side")
    parser.add_argument("-v", dest="verbose", action="store_true", help="name every test")
    parser.add_argument("--tsan-subset", action="store_true", help="only the multi-worker files")
    parser.add_argument("--list", action="store_true", help="print the files and run nothing")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        return run_file(pathlib.Path(options.child), options.pattern, options.verbose)
    check_names(parser, options)
    if options.list:
        print(*(path.stem for path in select(options)), sep="\n")
        return 0
    binary = os.environ.get("WEIR_BINARY") or str(HERE.parents[1] / "build" / "release" / "weir")
    if not os.access(binary, os.X_OK):
        print(f"no binary at {binary}\ne2e: 0 passed, 1 failed")
        return 1
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    limit = FILE_SECONDS * float(os.environ.get("WEIR_SLOWDOWN", "1"))
    run = failed = 0
    with concurrent.futures.ThreadPoolExecutor(max(1, options.jobs)) as pool:
        files, results = select(options), queue.SimpleQueue()
        for lane in lanes(files):
            pool.submit(spawn_lane, lane, options, limit, results)
        for result in (results.get() for _ in files):
            run += result["run"]
            failed += len(result["bad"])
            if result["bad"] or options.verbose:
                print(result["err"], flush=True)
            good = result["run"] - len(result["bad"])
            print(f"{result['name']}: {good} passed, {len(result['bad'])} failed"
                  f" ({result['seconds']:.1f} s)", flush=True)
    if not run:
        print(f"no test with '{options.pattern}' in its name")
    print(f"e2e: {run - failed} passed, {failed} failed")
    return 1 if failed or not run else 0


if __name__ == "__main__":
    sys.exit(main())
