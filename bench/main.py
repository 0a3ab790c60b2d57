#!/usr/bin/env python3
"""Measures weir beside the physical limit and its peers, in one run, and puts
what it finds into docs/.

  tools/bench                   weir's targets, in less than 20 minutes
  tools/bench --full            everything else: about an hour
  tools/bench SUITE...          one or some of it
  tools/bench SUITE --help      bulk, tcp, fairness, attacks and wrk have
                                options of their own

Each proxy has one worker on the first CPU; the load and the server share the
second one. Rounds are interleaved; CPU time is what the scheduler has accounted
to the process tree, divided by the requests answered.

Fewer than 3 rounds, a part of a suite, a machine that is not quiet and requests
that fail are shown and not published: docs/performance.md has the bounds.
"""

import argparse
import os
import pathlib
import sys
import tempfile

import attacks
import bulk
import command_line
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
    attacks.COMPARISON, second_opinion.COMPARISON, micro.COMPARISON)}


def run(comparison: Comparison, options: argparse.Namespace) -> bool:
    """True when it got to its end."""
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        os.chmod(folder, 0o755)  # The worker of nginx is another user when started by root.
        try:
            found = comparison.run(options, pathlib.Path(folder))
            text = comparison.page_text(found, options)
            print(f"\n{comparison.name}\n\n{text}", end="", flush=True)
            publish.publish(comparison, found, text, options)
        except SystemExit as end:
            if end.code == rig.TERMINATED:
                raise
            print(end, file=sys.stderr)
            return False
        finally:
            rig.stop_all()
    return True


def main(arguments: list[str]) -> int:
    chosen = command_line.parse(COMPARISONS, __doc__, TARGETS.name, arguments)
    cpus = rig.two_cpus()
    rig.build()
    rig.outlive_nothing()
    failed = []
    for comparison, options in chosen:
        options.cpus = cpus
        if not run(comparison, options):
            failed.append(comparison.name)
    if failed:
        print(f"bench: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
