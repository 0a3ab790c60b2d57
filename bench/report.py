"""What the comparisons make of their samples: tables, plots, and their places in files."""

import html
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import time

COLOURS = ("#08519c", "#4292c6", "#9ecae1", "#bdbdbd", "#737373", "#d9d9d9")
BAR, GAP, LEFT, WIDTH = 12, 10, 260, 860  # Of a plot, in pixels.


def version_of(name: str, options) -> str:
    """"nginx 1.22.1" and the like."""
    arguments = {"weir": [options.weir, "version"], "nginx": [options.nginx, "-v"],
                 "haproxy": [options.haproxy, "-v"]}
    if name not in arguments:
        return name
    result = subprocess.run(arguments[name], capture_output=True, text=True, timeout=5, check=False)
    number = re.search(r"\d+(?:\.\d+)+", result.stdout + result.stderr)
    return f"{name} {number.group()}" if number else name


def surroundings(command: str, names: list[str], options) -> str:
    """Versions, machine, day and command, for the caption of a table."""
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.*)", info)
    programs = dict.fromkeys(name.split()[0] for name in names)
    versions = ", ".join(version_of(name, options) for name in programs)
    arguments = " ".join(["tools/bench", *command.split(), *sys.argv[1:]])
    return (f"{versions}; Linux {platform.release()}, {model.group(1) if model else '?'}, "
            f"{os.cpu_count()} CPUs; {time.strftime('%Y-%m-%d')}; `{arguments}`.\n")


def markdown_table(rows: list[list[str]], texts: int = 1) -> str:
    """The first row is the head; all columns but the first ones are numbers."""
    rule = ["---"] * texts + ["---:"] * (len(rows[0]) - texts)
    return "".join(f"| {' | '.join(row)} |\n" for row in [rows[0], rule, *rows[1:]])


def write_page(page: pathlib.Path, mark: str, text: str) -> None:
    """Replaces what stands between the two comments that carry `mark`."""
    begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    before, rest = page.read_text().split(begin, 1)
    after = rest.split(end, 1)[1]
    page.write_text(f"{before}{begin}\n{text}{end}{after}")


def write_results(path: pathlib.Path, name: str, about: str, results: dict) -> None:
    """Every single measurement of a suite, beside those of the others in the file."""
    stored = json.loads(path.read_text()) if path.exists() else {}
    stored[name] = {"about": about, "found": rounded(results)}
    lines = [f"{json.dumps(key)}: {json.dumps(stored[key])}" for key in sorted(stored)]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def rounded(value):
    """With five digits in every number; more are noise."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


# --- Plots --------------------------------------------------------------------------------------


def bars_svg(title: str, groups: dict[str, dict[str, float]]) -> str:
    """Horizontal bars: one group for each scene, in it one bar for each proxy. All groups have the
    same scale, which begins at 0."""
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    most = max((value for group in groups.values() for value in group.values()), default=0) or 1
    parts, y = [], 48
    for scene, group in groups.items():
        parts.append(text_svg(LEFT - 8, y + len(group) * BAR / 2 + 4, scene, "end"))
        for name, value in group.items():
            width = value / most * (WIDTH - LEFT - 60)
            parts.append(rect_svg(LEFT, y, width, BAR - 1, colour_of(name, names)))
            parts.append(text_svg(LEFT + width + 4, y + BAR - 2, f"{value:.3g}", "start", 10))
            y += BAR
        y += GAP
    legend = [piece for i, name in enumerate(names)
              for piece in (rect_svg(LEFT + i * 98, 26, 10, 10, colour_of(name, names)),
                            text_svg(LEFT + i * 98 + 14, 35, name, "start"))]
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" '
            'font-family="sans-serif" font-size="12">\n'
            '<rect width="100%" height="100%" fill="white"/>\n'
            f'{text_svg(10, 18, title, "start", 14)}\n' + "\n".join([*legend, *parts])
            + "\n</svg>\n")


def colour_of(name: str, names: list[str]) -> str:
    return COLOURS[names.index(name) % len(COLOURS)]


def rect_svg(x: float, y: float, width: float, height: float, fill: str) -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:.1f}" height="{height:g}" fill="{fill}"/>'


def text_svg(x: float, y: float, text: str, anchor: str, size: int = 12) -> str:
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">'
            f'{html.escape(text)}</text>')
