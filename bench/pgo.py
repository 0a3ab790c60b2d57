"""weir as tools/pgo builds it, beside the usual build (--weir)."""

import argparse
import os
import pathlib
import re
import subprocess
import sys

import comparison
import loads
import plain
import report
import rig

PROGRAM = rig.ROOT / "build" / "release-pgo" / "weir"
SOURCES = ("src", "cmake", "CMakeLists.txt", "CMakePresets.json")


def newer_source(program: pathlib.Path) -> pathlib.Path | None:
    """One that has changed since this was built; the program may be of older code then."""
    built = program.stat().st_mtime
    for name in SOURCES:
        for path in (rig.ROOT / name, *(rig.ROOT / name).rglob("*")):
            if path.is_file() and path.stat().st_mtime > built:
                return path
    return None


def build() -> None:
    """Where there is none, or one of other code than the build beside it."""
    if PROGRAM.exists():
        source = newer_source(PROGRAM)
        if not source:
            return
        older = f"{PROGRAM.relative_to(rig.ROOT)} is older than {source.relative_to(rig.ROOT)}"
        if "WEIR_BENCH_BUILD" in os.environ:
            sys.exit(f"bench: {older}: run tools/pgo")
        print(f"tools/bench: {older}, so it is built again", file=sys.stderr)
    if rig.call([str(rig.ROOT / "tools" / "pgo")]) != 0:
        sys.exit("bench: tools/pgo has failed")


def run(suite: loads.Suite, options: argparse.Namespace, folder: pathlib.Path) -> dict:
    """As loads.run()."""
    build()
    origin = rig.start_origin(options.cpus[1])
    proxies = []
    programs = dict(zip(suite.proxies, (str(PROGRAM), options.weir)))
    for name in options.names:
        own = folder / name.replace(" ", "-")
        own.mkdir()
        chosen = argparse.Namespace(**{**vars(options), "weir": programs[name]})
        proxies.append(plain.start("weir", suite.shape, chosen, own, origin)._replace(name=name))
    results = loads.measure_rounds(suite, proxies, options)
    rig.stop_all()
    return {"scenes": results, "calls": {},
            "instructions": {name: instructions(programs[name]) for name in options.names}}


def instructions(program: str) -> int:
    """Of a small keep-alive request in user space; tools/instructions.py says how."""
    command = [sys.executable, str(rig.ROOT / "tools" / "instructions.py")]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env={**os.environ, "WEIR_BINARY": program}, timeout=120)
    counted = re.search(r"^([\d,]+) instructions a request", done.stdout, re.MULTILINE)
    if not counted:
        sys.exit(f"bench: tools/instructions.py has failed:\n{done.stdout}{done.stderr}")
    return int(counted[1].replace(",", ""))


def page_text(suite: loads.Suite, found: dict, options: argparse.Namespace) -> str:
    rows = [["proxy", "instructions"],
            *([name, f"{number}"] for name, number in found["instructions"].items())]
    return (loads.page_text(suite, found, options)
            + "\nInstructions of a small keep-alive request in user space "
            "(`tools/instructions.py`):\n\n" + report.markdown_table(rows))


def describe() -> comparison.Comparison:
    suite = loads.SUITES["pgo"]
    return loads.describe("pgo", run)._replace(
        page_text=lambda found, options: page_text(suite, found, options))
