#!/usr/bin/env python3
"""Counts the user-space instructions of one small keep-alive request; a step of tools/check.

Time varies from run to run and from machine to machine; instructions hardly do, and what the
kernel does is not among them. This script is the client and the server, one request at a time over
one connection each. callgrind counts two runs of different length, and the difference is divided
by the difference in requests: what starting and ending cost cancels out.

    tools/instructions.py             compares with the figure in tools/instructions.txt
    tools/instructions.py --renew     writes that figure; it belongs to the commit that changed it
    tools/instructions.py --profile   shows the functions of the longer run, most first

The figure is that of the release build by Debian 12's compiler on x86-64. WEIR_BINARY names
another program to count.
"""

import argparse
import contextlib
import pathlib
import re
import socket
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIGURE = ROOT / "tools" / "instructions.txt"
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from harness.ports import free_port  # noqa: E402
from harness.weir import Weir  # noqa: E402

CHANGE_MAX = 0.03
RUNS = (500, 2500)  # Requests. The first ones fill slabs, pools and tables, in both runs.
PATIENCE_S = 20

# As curl asks, and as a small service answers.
REQUEST = (b"GET /hello HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl/7.88.1\r\n"
           b"Accept: */*\r\n\r\n")
BODY = b"hello\n"
ANSWER = (b"HTTP/1.1 200 OK\r\nServer: small\r\nContent-Type: text/plain\r\n"
          b"Content-Length: 6\r\n\r\n" + BODY)

CONFIG = """
[runtime]
workers = 1
[listener.web]
bind = "127.0.0.1:{port}"
[[route]]
backend = "app"
[backend.app]
servers = ["127.0.0.1:{server_port}"]
"""

# The C library has several memcpy() and chooses by processor: the same one everywhere.
TUNABLES = "GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX_Fast_Unaligned_Load,-AVX2,-AVX512F,-ERMS,-FSRM"


def receive(connection: socket.socket, end: bytes) -> None:
    """Everything that comes until it ends so."""
    data = b""
    while not data.endswith(end):
        more = connection.recv(65536)
        if not more:
            raise ConnectionError(f"weir closed a connection of the script, after {data!r}")
        data += more


def play(port: int, listener: socket.socket, requests: int) -> None:
    """The script: every request, on both sides of weir."""
    with contextlib.ExitStack() as connections:

        def use(connection: socket.socket) -> socket.socket:
            connection.settimeout(PATIENCE_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connections.enter_context(connection)

        client = use(socket.create_connection(("127.0.0.1", port), PATIENCE_S))
        client.sendall(REQUEST)
        server = use(listener.accept()[0])
        for request in range(requests):
            if request > 0:
                client.sendall(REQUEST)
            receive(server, b"\r\n\r\n")
            server.sendall(ANSWER)
            receive(client, b"\r\n\r\n" + BODY)


def count(requests: int, directory: pathlib.Path) -> int:
    """Instructions of a whole run of weir with so many requests."""
    profile = directory / f"callgrind.{requests}"
    config = directory / "weir.toml"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_S)
        port = free_port()
        config.write_text(CONFIG.format(port=port, server_port=listener.getsockname()[1]))
        weir = Weir(str(directory), ["run", "-c", str(config)], [port],
                    prefix=["env", TUNABLES, "valgrind", "--tool=callgrind",
                            f"--callgrind-out-file={profile}"])
        try:
            weir.start()
            play(port, listener, requests)
            weir.terminate()
        finally:
            weir.kill()
    return int(re.search(r"^totals: (\d+)$", profile.read_text(), re.MULTILINE)[1])


def compare(measured: int) -> int:
    """Prints the verdict; the exit code."""
    expected = int(FIGURE.read_text())
    change = measured / expected - 1
    print(f"{measured:,} instructions a request, {change:+.1%} of {expected:,}")
    renew = "tools/instructions.py --renew writes the new figure"
    if change > CHANGE_MAX:
        print(f"More than {CHANGE_MAX:.0%} too many: --profile shows where. If it is worth that,",
              f"{renew}.")
        return 1
    if change < -CHANGE_MAX:
        print(f"So much fewer is worth keeping: {renew}.")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/instructions.py",
                                     description="Counts the instructions of a small request.")
    parser.add_argument("--renew", action="store_true", help="write the figure to compare with")
    parser.add_argument("--profile", action="store_true", help="show the functions, most first")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weir-instructions-") as name:
        directory = pathlib.Path(name)
        counts = [count(requests, directory) for requests in RUNS]
        if arguments.profile:
            subprocess.run(["callgrind_annotate", "--auto=no",
                            str(directory / f"callgrind.{RUNS[-1]}")], check=True)
    measured = round((counts[1] - counts[0]) / (RUNS[1] - RUNS[0]))
    if arguments.renew:
        FIGURE.write_text(f"{measured}\n")
    return compare(measured)


if __name__ == "__main__":
    sys.exit(main())
