"""The parts of weir's data path one by one, by Google Benchmark (bench/micro): CPU time of one
call."""

import argparse
import json
import pathlib
import statistics
import subprocess

import comparison
import report
import rig

LIMIT_S = 900
HEADS = ("small_request", "large_request", "small_response", "large_response")
PARSERS = {"weir": "parse", "llhttp": "parse_llhttp", "byte by byte": "parse_scalar"}
POLICIES = ("round_robin", "least_connections", "p2c", "ewma", "least_load", "random", "first",
            "maglev")
# Tables with sizes: what the first column is; what the sizes are; rows; sizes.
SIZED = {
    "Chunked bodies of 64 KiB, by the size of a chunk in bytes":
        ("decoder", {"weir": "decode_chunked", "llhttp": "decode_chunked_llhttp"},
         (16, 1024, 16384)),
    "The route of a request, by the number of routes":
        ("routes", {"by host, the last one": "match/last_by_host",
                    "by host, none": "match/none_by_host",
                    "by path, the last one": "match/last_by_path",
                    "by path, none": "match/none_by_path"}, (10, 1000, 10000)),
    "A choice of server, by the number of servers":
        ("policy", {f"`{name}`": f"pick/{name}" for name in POLICIES}, (10, 1000)),
    "The timer wheel, for each timer, by their number":
        ("timers", {"moved to later": "timer_moved_later",
                    "set and cancelled": "timer_set_and_cancelled", "fire": "timers_fire"},
         (100, 100000)),
}
PLAIN = {
    "Understanding a head and writing the one for the other side":
        {"small request": "understand_and_write_request/small",
         "large request": "understand_and_write_request/large",
         "small response": "understand_and_write_response/small",
         "large response": "understand_and_write_response/large"},
    "A histogram": {"record a value": "histogram_record",
                    "read the percentiles": "histogram_read"},
}
UNITS = {"ns": 1, "us": 1e3, "ms": 1e6}

Found = dict[str, list[dict[str, float]]]  # By benchmark: its rounds.


def run(options: argparse.Namespace, _: pathlib.Path) -> Found:
    """The rounds of all benchmarks are shuffled."""
    command = [str(rig.BUILD / "micro"), f"--benchmark_min_time={options.seconds * 0.1:g}",
               f"--benchmark_repetitions={options.rounds}",
               "--benchmark_enable_random_interleaving=true", "--benchmark_format=json"]
    rig.check_programs(command[:1])
    process = rig.start(options.cpus[0], command, stdout=subprocess.PIPE, text=True)
    found: Found = {}
    for each in rig.read_json(process, LIMIT_S, "micro")["benchmarks"]:
        if each["run_type"] == "iteration":
            found.setdefault(each["name"], []).append(sample(each))
    return found


def sample(each: dict) -> dict[str, float]:
    scale = UNITS[each["time_unit"]]
    ns = 1e9 / each["items_per_second"] if "items_per_second" in each else each["cpu_time"] * scale
    return {"ns": ns, "disturbed": max(0.0, 1 - each["cpu_time"] / each["real_time"])}


def cell(found: Found, name: str) -> str:
    if name not in found:
        return ""
    ns = statistics.median(run["ns"] for run in found[name])
    return f"{ns:.1f}" if ns < 100 else f"{ns:.0f}"


def page_text(found: Found, options: argparse.Namespace) -> str:
    text = (f"CPU time in ns, medians of {options.rounds} rounds. "
            + report.surroundings(["weir"], options)
            + f"Where it was least quiet a benchmark waited {noise(found).waited:.1%} of the time "
            "for its CPU.\n\nReading a head:\n\n"
            + report.markdown_table([["head", *PARSERS], *(
                [head.replace("_", " "), *(cell(found, f"{parser}/{head}")
                                           for parser in PARSERS.values())] for head in HEADS)]))
    for title, rows in PLAIN.items():
        text += f"\n{title}:\n\n" + report.markdown_table(
            [["what", "ns"], *([what, cell(found, name)] for what, name in rows.items())])
    for title, (first, rows, sizes) in SIZED.items():
        text += f"\n{title}:\n\n" + report.markdown_table(
            [[first, *(f"{size:,}" for size in sizes)],
             *([what, *(cell(found, f"{name}/{size}") for size in sizes)]
               for what, name in rows.items())])
    return text


def noise(found: Found) -> comparison.Noise:
    return comparison.noise_of(found.values())


COMPARISON = comparison.Comparison(
    "micro", "The parts of weir's data path one by one", run, page_text, noise, rounds=3,
    seconds=1)
