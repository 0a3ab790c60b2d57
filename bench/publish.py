"""Puts what a comparison has found where it belongs: its table between the marks of a page, its
picture beside it, every single measurement into docs/performance.json."""

import argparse
import json
import pathlib
import sys

import plot
import rig
from comparison import Comparison, objections

RESULTS = rig.ROOT / "docs" / "performance.json"


def publish(comparison: Comparison, found: dict, text: str, options: argparse.Namespace) -> bool:
    """Unless something speaks against it, which is said: then False."""
    about = text.split("\n", 1)[0]
    if options.json:
        write_results(options.json, comparison.name, about, found)
    if options.dry_run:
        return True
    against = objections(comparison, comparison.noise(found), options)
    if against and not options.write:
        print(f"tools/bench: {comparison.name} is not published: {'; '.join(against)}. --write "
              "does it all the same", file=sys.stderr)
        return False
    write_results(RESULTS, comparison.name, about, found)
    write_page(comparison.page, f"bench {comparison.name}", text + picture(comparison, found))
    for page, mark, more in comparison.blocks(found, options) if comparison.blocks else ():
        write_page(page, mark, more)
    return True


def picture(comparison: Comparison, found: dict) -> str:
    """Draws it; what the page says to show it."""
    if not comparison.bars:
        return ""
    title, groups = comparison.bars(found)
    path = comparison.page.parent / f"performance-{comparison.name}.svg"
    path.write_text(plot.bars_svg(title, groups))
    return f"\n![{title}]({path.name})\n"


def write_page(page: pathlib.Path, mark: str, text: str) -> None:
    """Replaces what stands between the two comments that carry `mark`."""
    begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    whole = page.read_text()
    if begin not in whole or end not in whole.split(begin, 1)[1]:
        sys.exit(f"bench: {page} has no place for `{mark}`: a line {begin} and a line {end}")
    before, rest = whole.split(begin, 1)
    page.write_text(f"{before}{begin}\n{text}{end}{rest.split(end, 1)[1]}")


def write_results(path: pathlib.Path, name: str, about: str, results: dict) -> None:
    """Every single measurement of a suite, beside those of the others in the file."""
    stored = json.loads(path.read_text()) if path.exists() else {}
    stored[name] = {"about": about, "found": rounded(results)}
    lines = [f"{json.dumps(key)}: {json.dumps(stored[key])}" for key in sorted(stored)]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def rounded(value):
    """With five digits in every number; more are noise."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value
