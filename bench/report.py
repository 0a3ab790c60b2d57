"""What the comparisons make of their samples: tables, and the captions above them."""

import os
import pathlib
import platform
import re
import subprocess
import time

import rig

# In the comments of a program.
COMPILER = re.compile(rb"(GCC|clang)(?:: \([^)]*\)| version) (\d+(?:\.\d+)+)")


def version_of(name: str, options) -> str:
    """"nginx 1.22.1" and the like."""
    arguments = {"weir": [options.weir, "version"], "nginx": [options.nginx, "-v"],
                 "haproxy": [options.haproxy, "-v"]}
    if name not in arguments:
        return name
    number = re.search(r"\d+(?:\.\d+)+", output_of(arguments[name]))
    own = built(options.weir) if name == "weir" else ""
    return (f"{name} {number.group()}" if number else name) + own


def output_of(command: list[str]) -> str:
    """What it says; nothing where it cannot be run."""
    try:
        result = subprocess.run(command, cwd=rig.ROOT, stdin=subprocess.DEVNULL, text=True,
                                capture_output=True, timeout=5, check=False)
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return result.stdout + (result.stderr if result.returncode == 0 else "")


def is_built_here(weir: str) -> bool:
    return pathlib.Path(weir).resolve() == (rig.BUILD / "weir").resolve()


def built(weir: str) -> str:
    """" (1234567+, GCC 12.2.0)": the commit that it was built from, "+" with changes that are in
    none, and the compiler. Of another weir than this tree's only the compiler is known."""
    parts = []
    commit = output_of(["git", "rev-parse", "--short", "HEAD"]).strip()
    if commit and is_built_here(weir):
        changed = output_of(["git", "status", "--porcelain", "--untracked-files=no", "--", "src",
                             "bench", "cmake", "CMakeLists.txt", "CMakePresets.json"])
        parts.append(commit + ("+" if changed else ""))
    try:
        compilers = COMPILER.findall(pathlib.Path(weir).read_bytes())
    except OSError:
        compilers = []
    # What comes with the system's C library has been through GCC.
    for name, number in sorted(set(compilers), key=lambda found: found[0] == b"GCC")[:1]:
        parts.append(f"{'GCC' if name == b'GCC' else 'Clang'} {number.decode()}")
    return f" ({', '.join(parts)})" if parts else ""


def cpu_text(cpus: tuple) -> str:
    where = rig.cpus_text(cpus)
    first = str(cpus[0]).split(",", maxsplit=1)[0]
    governor = pathlib.Path(f"/sys/devices/system/cpu/cpu{first}/cpufreq/scaling_governor")
    known = governor.read_text().strip() if governor.exists() else ""
    return "".join(f", {text}" for text in (where, f"governor {known}" if known else "") if text)


def surroundings(names: list[str], options) -> str:
    """Versions, machine, day and command, for the caption of a table."""
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.*)", info)
    programs = dict.fromkeys(name.split()[0] for name in names)
    versions = ", ".join(version_of(name, options) for name in programs)
    settings = pathlib.Path("/proc/sys/net/ipv4")
    congestion = (settings / "tcp_congestion_control").read_text().strip()
    return (f"{versions}; Linux {platform.release()}, {model.group(1) if model else '?'}, "
            f"{os.cpu_count()} CPUs{cpu_text(options.cpus)}, TCP with {congestion}; "
            f"{time.strftime('%Y-%m-%d')}; `{options.command}`.\n" + options.repeats.text())


def markdown_table(rows: list[list[str]], texts: int = 1) -> str:
    """The first row is the head; all columns but the first ones are numbers."""
    rule = ["---"] * texts + ["---:"] * (len(rows[0]) - texts)
    return "".join(f"| {' | '.join(row)} |\n" for row in [rows[0], rule, *rows[1:]])
