#!/usr/bin/env python3
"""Measures weir beside the physical limit and its peers, in one run, and puts
what it finds into docs/.

  tools/bench                   weir's targets, in less than 20 minutes
  tools/bench --full            everything else: about an hour
  tools/bench SUITE...          one or some of it
  tools/bench --list            what there is
  tools/bench SUITE --help      bulk, tcp, fairness, attacks and wrk have
                                options of their own

Each proxy has one worker on the first CPU; the load and the server share the
second one. Rounds are interleaved; CPU time is what the scheduler has accounted
to the process tree, divided by the requests answered.

Fewer than 3 rounds, a part of a suite, a machine that is not quiet and requests
that fail are shown and not published: docs/performance.md has the bounds.

What is measured is built in build/release first. With the variable
WEIR_BENCH_BUILD, which names another folder with the same programs, nothing is
built. `tools/setup bench` is what all of it takes.

Exit codes: 0, all is well; 1, a suite has failed; 2, a mistake in the
arguments; 3, nothing has failed, but a result is not published.
"""

import argparse
import os
import pathlib
import signal
import sys
import tempfile
import traceback

import attacks
import bulk
import command_line
import cpu_profile
import fairness
import idle
import loads
import micro
import pgo
import publish
import rig
import second_opinion
import targets
import workers
from comparison import Comparison

TARGETS = targets.COMPARISON
COMPARISONS = {each.name: each for each in (
    TARGETS, *(pgo.describe() if name == "pgo" else loads.describe(name) for name in loads.SUITES),
    idle.COMPARISON, workers.COMPARISON, *bulk.COMPARISONS, fairness.COMPARISON,
    attacks.COMPARISON, second_opinion.COMPARISON, micro.COMPARISON, cpu_profile.COMPARISON)}


FAILED, NOT_PUBLISHED = 1, 3  # Exit codes.


def what_went_wrong(error: BaseException, name: str) -> str:
    """In a line, mostly. What nobody has foreseen tells where it was."""
    if isinstance(error, SystemExit):
        return str(error).removeprefix("bench: ").removeprefix(f"{name}: ")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)
              if frame.filename.startswith(str(rig.ROOT))]
    where = f"{pathlib.Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
    return f"{type(error).__name__} at {where}: {error}"


def run(comparison: Comparison, options: argparse.Namespace) -> int:
    """An exit code. Whatever goes wrong is lost with this suite alone."""
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        os.chmod(folder, 0o755)  # The worker of nginx is another user when started by root.
        try:
            rig.check_versions(options, command_line.programs_of(comparison))
            found = comparison.run(options, pathlib.Path(folder))
            text = comparison.page_text(found, options)
            print(f"\n{comparison.name}\n\n{text}", end="", flush=True)
            return 0 if publish.publish(comparison, found, text, options) else NOT_PUBLISHED
        except (Exception, SystemExit) as error:
            if isinstance(error, SystemExit) and error.code in rig.ENDED.values():
                raise
            print(f"bench: {comparison.name}: {what_went_wrong(error, comparison.name)}",
                  file=sys.stderr)
            return FAILED
        finally:
            rig.stop_all()


def run_all(chosen: list[tuple[Comparison, argparse.Namespace]]) -> int:
    rig.check_kernel()
    cpus = rig.two_cpus()
    rig.build()
    codes: dict[str, int] = {}
    for comparison, options in chosen:
        options.cpus = cpus
        codes[comparison.name] = run(comparison, options)
    failed = [name for name, code in codes.items() if code == FAILED]
    if failed:
        print(f"bench: failed: {', '.join(failed)}", file=sys.stderr)
    return FAILED if failed else max(codes.values())


def main(arguments: list[str]) -> int:
    try:
        chosen = command_line.parse(COMPARISONS, __doc__, TARGETS.name, arguments)
        rig.outlive_nothing()
        return run_all(chosen)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # What is still to do is to end the rest.
        print("bench: interrupted", file=sys.stderr)
        return rig.INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
