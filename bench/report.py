"""What the comparisons make of their samples: tables, and the captions above them."""

import os
import pathlib
import platform
import re
import subprocess
import time


def version_of(name: str, options) -> str:
    """"nginx 1.22.1" and the like."""
    arguments = {"weir": [options.weir, "version"], "nginx": [options.nginx, "-v"],
                 "haproxy": [options.haproxy, "-v"]}
    if name not in arguments:
        return name
    result = subprocess.run(arguments[name], capture_output=True, text=True, timeout=5, check=False)
    number = re.search(r"\d+(?:\.\d+)+", result.stdout + result.stderr)
    return f"{name} {number.group()}" if number else name


def surroundings(names: list[str], options) -> str:
    """Versions, machine, day and command, for the caption of a table."""
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.*)", info)
    programs = dict.fromkeys(name.split()[0] for name in names)
    versions = ", ".join(version_of(name, options) for name in programs)
    settings = pathlib.Path("/proc/sys/net/ipv4")
    congestion = (settings / "tcp_congestion_control").read_text().strip()
    return (f"{versions}; Linux {platform.release()}, {model.group(1) if model else '?'}, "
            f"{os.cpu_count()} CPUs, TCP with {congestion}; {time.strftime('%Y-%m-%d')}; "
            f"`{options.command}`.\n")


def markdown_table(rows: list[list[str]], texts: int = 1) -> str:
    """The first row is the head; all columns but the first ones are numbers."""
    rule = ["---"] * texts + ["---:"] * (len(rows[0]) - texts)
    return "".join(f"| {' | '.join(row)} |\n" for row in [rows[0], rule, *rows[1:]])
