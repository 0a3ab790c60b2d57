#!/usr/bin/env python3
"""Measures weir beside the physical limit and its peers, and puts what it finds into docs/.

Without a suite: the table of targets, in less than 20 minutes. Each proxy has one worker on the
first CPU; the load and the server share the second one. Rounds are interleaved; CPU time is what
the scheduler has accounted to the process tree, divided by the requests answered.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

import idle
import loads
import pgo
import plain
import report
import rig
import targets
import workers

PAGE, RESULTS = rig.ROOT / "docs" / "performance.md", rig.ROOT / "docs" / "performance.json"
TRIGGER_PAGE = rig.ROOT / "docs" / "trigger_modes.md"
# Suites with programs and options of their own: `tools/bench NAME --help`.
OTHERS = {"bulk": ("bulk.py", "bulk"), "tcp": ("bulk.py", "tcp"), "fairness": ("fairness.py",),
          "attacks": ("attacks.py",), "wrk": ("second_opinion.py",)}
# What the pictures show, of suites that have one.
PICTURES = {"targets": "CPU time of a request, as a multiple of the bare relay's",
            "small": "CPU time of a small request",
            "close": "CPU time of a small request on a connection of its own",
            "uploads": "CPU time of an upload",
            "pgo": "CPU time of a small request by build",
            "trigger": "CPU time of a request by trigger mode"}
OWN = ("targets", *loads.SUITES, "idle", "workers")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", metavar="SUITE",
                        help=f"of {', '.join((*OWN, *OTHERS))}")
    parser.add_argument("--full", action="store_true", help="everything but the targets")
    rig.add_programs(parser)
    parser.add_argument("--rounds", type=int, help="default: 5; of other suites their own")
    parser.add_argument("--seconds", type=int, help="of each measurement; default: 3")
    parser.add_argument("--only", type=lambda text: text.split(","),
                        help="proxies to compare, with commas between them; not of targets")
    parser.add_argument("--dry-run", action="store_true", help="leave docs/ alone")
    options = parser.parse_args()
    options.passed_on = [f"--{name}={getattr(options, name)}"
                         for name in ("weir", "nginx", "haproxy", "rounds", "seconds")
                         if getattr(options, name) != parser.get_default(name)]
    if options.full:
        options.suites = [*OWN[1:], *OTHERS]
    options.suites = options.suites or ["targets"]
    for name in options.suites:
        if name not in OWN and name not in OTHERS:
            parser.error(f"no suite '{name}'; there are: {', '.join((*OWN, *OTHERS))}")
    return options


def run_suite(name: str, options: argparse.Namespace, folder: pathlib.Path) -> None:
    figure = None
    if name == "targets":
        found = targets.run(options, folder)
        text, figure = targets.page_text(found, options), targets.plot(found)
    elif name == "idle":
        found = idle.run(options, folder)
        text = idle.page_text(found, options)
    elif name == "workers":
        found = workers.run(options, folder, workers.every_case(options))
        text = workers.page_text(found, options)
    else:
        suite = loads.SUITES[name]
        found = (pgo.run if name == "pgo" else loads.run)(suite, options, folder)
        text, figure = loads.page_text(name, found, options), loads.plot(name, found)
    print(f"\n{name}\n\n{text}", end="", flush=True)
    if options.dry_run:
        return
    report.write_results(RESULTS, name, text.split("\n", 1)[0], found)
    page = TRIGGER_PAGE if name == "trigger" else PAGE
    if figure and name in PICTURES:
        picture = page.parent / f"performance-{name}.svg"
        picture.write_text(figure)
        text += f"\n![{PICTURES[name]}]({picture.name})\n"
    report.write_page(page, f"bench {name}", text)


def run_other(name: str, options: argparse.Namespace) -> bool:
    """A suite that is a program of its own. True when it went well."""
    script, *arguments = OTHERS[name]
    command = [sys.executable, str(rig.ROOT / "bench" / script), *arguments, *options.passed_on]
    if name == "attacks":
        command += [] if options.dry_run else ["--write-docs"]
    elif options.dry_run:
        command += ["--dry-run"]
    process = rig.start(",".join(map(str, options.cpus)), command)
    try:
        return process.wait(timeout=3600) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        rig.stop(process)


def main() -> int:
    options = parse_arguments()
    options.cpus = rig.two_cpus()
    rig.check_programs(plain.programs((*loads.PEERS, *plain.FLOORS), options))
    rig.outlive_nothing()
    failed = [name for name in options.suites if name in OTHERS and not run_other(name, options)]
    options.rounds, options.seconds = options.rounds or 5, options.seconds or 3
    for name in [name for name in options.suites if name in OWN]:
        with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
            os.chmod(folder, 0o755)  # The worker of nginx is another user when started by root.
            try:
                run_suite(name, options, pathlib.Path(folder))
            except SystemExit as end:
                if end.code == rig.TERMINATED:
                    raise
                print(end, file=sys.stderr)
                failed.append(name)
            finally:
                rig.stop_all()
    if failed:
        print(f"bench: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
