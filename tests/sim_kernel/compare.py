#!/usr/bin/env python3
"""Runs one script of os.h calls over Linux and over the simulated kernel and compares every answer.

  compare.py SCRIPT_LINUX SCRIPT_SIM [SEEDS]    300 scripts if SEEDS is not given

Over loopback Linux delivers while the sender is still in its call, nearly always. So a difference
counts only when it is there again each time Linux is asked; a real one is.
"""

import difflib
import pathlib
import re
import subprocess
import sys
import tempfile

SEEDS_PER_RUN = 50
TRIES = 4


def transcript(program: pathlib.Path, first: int, last: int) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        ran = subprocess.run([program, str(first), str(last)], cwd=folder, text=True,
                             stdout=subprocess.PIPE, timeout=60, check=False)
    return ran.stdout.splitlines() + ([] if ran.returncode == 0 else [f"exit {ran.returncode}"])


def first_difference(linux: list[str], sim: list[str]) -> str:
    lines = list(difflib.unified_diff(linux, sim, "Linux", "simulated", lineterm="", n=25))
    return "\n".join(lines[:60])


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
    answers = again = 0
    for first in range(1, seeds + 1, SEEDS_PER_RUN):
        last = min(first + SEEDS_PER_RUN - 1, seeds)
        simulated = transcript(sim, first, last)
        for left in reversed(range(TRIES)):
            real = transcript(linux, first, last)
            if real == simulated:
                break
            again += 1
            if left == 0:
                print(first_difference(real, simulated))
                print(f"{first - 1} passed, 1 failed")
                return 1
        answers += len(simulated)
    print(f"{answers} answers equal, {again} runs over Linux repeated")
    print(f"{seeds} passed, 0 failed")
    return 0 if answers > 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
