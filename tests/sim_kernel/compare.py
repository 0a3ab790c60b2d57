#!/usr/bin/env python3
"""Runs one script of os.h calls over Linux and over the simulated kernel and compares every answer.

  compare.py SCRIPT_LINUX SCRIPT_SIM [SEEDS]    300 scripts if SEEDS is not given

The scripts that have shown a difference once are run as well.

Over loopback Linux delivers while the sender is still in its call, nearly always; less so on a busy
machine. So a difference counts only when one script alone shows it each time Linux is asked; a real
one does.
"""

import difflib
import pathlib
import re
import subprocess
import sys
import tempfile

SEEDS_PER_RUN = 50
TRIES = 4
# What lies side by side in a pipe, and a listener watched for urgent bytes.
KNOWN = (317, 381, 666, 945, 1888, 2706)


def transcript(program: pathlib.Path, first: int, last: int) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        ran = subprocess.run([program, str(first), str(last)], cwd=folder, text=True,
                             stdout=subprocess.PIPE, timeout=60, check=False)
    return ran.stdout.splitlines() + ([] if ran.returncode == 0 else [f"exit {ran.returncode}"])


def first_difference(linux: list[str], sim: list[str]) -> str:
    lines = list(difflib.unified_diff(linux, sim, "Linux", "simulated", lineterm="", n=25))
    return "\n".join(lines[:60])


def difference_of(linux: pathlib.Path, sim: pathlib.Path, seed: int) -> str:
    """Of one script; empty when Linux has answered as the simulated kernel does."""
    simulated = transcript(sim, seed, seed)
    for _ in range(TRIES):
        real = transcript(linux, seed, seed)
        if real == simulated:
            return ""
    return first_difference(real, simulated)


def main(arguments: list[str]) -> int:
    if arguments in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    if len(arguments) not in (2, 3) or not all(re.fullmatch("[1-9][0-9]*", text)
                                               for text in arguments[2:]):
        print(__doc__, file=sys.stderr)
        return 2
    # Programs run in a folder of their own.
    linux, sim = (pathlib.Path(program).resolve() for program in arguments[:2])
    for program in (linux, sim):
        if not program.is_file():
            print(f"compare.py: no program {program}; `ninja -C build/release {program.name}` "
                  "builds it", file=sys.stderr)
            return 2
    seeds = int(arguments[2]) if len(arguments) == 3 else 300
    answers = again = passed = 0
    runs = [(first, min(first + SEEDS_PER_RUN - 1, seeds))
            for first in range(1, seeds + 1, SEEDS_PER_RUN)]
    runs += [(seed, seed) for seed in KNOWN if seed > seeds]
    for first, last in runs:
        simulated = transcript(sim, first, last)
        answers += len(simulated)
        passed += last - first + 1
        if transcript(linux, first, last) == simulated:
            continue
        for seed in range(first, last + 1):
            again += 1
            if difference := difference_of(linux, sim, seed):
                print(difference)
                print(f"{passed - (last - seed + 1)} passed, 1 failed")
                return 1
    print(f"{answers} answers equal, {again} scripts repeated over Linux")
    print(f"{passed} passed, 0 failed")
    return 0 if answers > 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
