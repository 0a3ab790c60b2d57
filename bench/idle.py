"""Memory of a proxy at rest, and what each idle keep-alive client adds to it."""

import argparse
import contextlib
import pathlib
import resource
import socket
import statistics
import sys

import comparison
import loads
import plain
import report
import rig

CLIENTS = 5000
SHAPE = plain.Shape(connections=6144)
REQUEST = b"GET / HTTP/1.1\r\nHost: idle\r\n\r\n"
DESCRIPTORS = 3 * SHAPE.connections  # nginx has two for each client that it makes room for.


def connect(port: int) -> socket.socket:
    """A client that has been answered once."""
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    client.sendall(REQUEST)
    answer = b""
    while b"\r\n\r\n" not in answer or len(answer.split(b"\r\n\r\n", 1)[1]) < rig.BODY_BYTES:
        piece = client.recv(4096)
        if not piece:
            sys.exit(f"idle: no answer on port {port}: {answer!r}")
        answer += piece
    return client


def measure(name: str, options: argparse.Namespace, folder: pathlib.Path,
            origin: int) -> loads.Sample:
    """A proxy of its own each time: what was used once may stay allocated."""
    proxy = plain.start(name, SHAPE, options, folder, origin)
    rest = rig.pss_bytes(proxy.process.pid)
    with contextlib.ExitStack() as clients:
        for _ in range(CLIENTS):
            clients.enter_context(connect(proxy.port))
        grown = rig.pss_bytes(proxy.process.pid) - rest
    rig.stop(proxy.process)
    return {"rest_mb": rest / 1e6, "client_bytes": grown / CLIENTS}


def check_room() -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < DESCRIPTORS:
        sys.exit(f"idle: needs {DESCRIPTORS} open files (ulimit -Hn)")


def run(options: argparse.Namespace, folder: pathlib.Path) -> dict:
    check_room()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rig.check_programs(plain.programs(options.names, options))
    origin = rig.start_origin(options.cpus[1])
    found: dict[str, list[loads.Sample]] = {name: [] for name in options.names}
    for number in range(options.rounds):
        for name, runs in found.items():
            runs.append(measure(name, options, folder, origin))
        print(f"round {number + 1} of {options.rounds}: idle clients", file=sys.stderr)
    rig.stop_all()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return found


def page_text(found: dict, options: argparse.Namespace) -> str:
    rows = [["proxy", "at rest MB", "bytes for each idle client", "range"]]
    for name, runs in found.items():
        bytes_each = [run["client_bytes"] for run in runs]
        rows.append([name, f"{loads.median(runs, 'rest_mb'):.2f}",
                     f"{statistics.median(bytes_each):.0f}",
                     f"{min(bytes_each):.0f}-{max(bytes_each):.0f}"])
    return (f"Medians of {options.rounds} interleaved rounds, each with a fresh proxy of one "
            f"worker and {CLIENTS} clients. "
            + report.surroundings(list(found), options) + "\n" + report.markdown_table(rows))


def bars(found: dict) -> comparison.Bars:
    return "Memory", {title: {name: loads.median(runs, field) for name, runs in found.items()}
                      for title, field in (("An idle client (bytes)", "client_bytes"),
                                           ("One worker at rest (MB)", "rest_mb"))}


COMPARISON = comparison.Comparison(
    "idle", "Memory at rest, and of idle keep-alive clients", run, page_text,
    lambda found: comparison.Noise(), loads.PEERS, bars)
