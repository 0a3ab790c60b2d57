#!/usr/bin/env python3
"""Writes the seed inputs of the fuzz targets: seeds.py FOLDER makes FOLDER/<target>/<number>.

Nothing is kept twice: the seeds are the bytes of tests/vectors, each with the zeros behind it that
the target takes its steering from (fuzz/input.h), and the examples of the documentation.
"""

import pathlib
import re
import sys
from typing import Iterator, NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
VECTORS = ROOT / "tests" / "vectors"

# Steering bytes in the order in which a target takes them; "limits" is one byte, 0 for ordinary.
PIECES = bytes([6, 0, 40, 255])
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH"]

COMMAND_LINES = """
8080 9001 9002
8080 9001 -N 8 -R 5 --bind 127.0.0.1 --server-limit 100 --balance p2c --admin 9900 --access-log -
proxy --from :8080 --to 127.0.0.1:9001 --to [::1]:9002 --workers 2
proxy --from unix:/run/a.sock --from 8080 --to http://localhost:9001 --balance least_connections
proxy --mode tcp --from 5432 --to db_1:5432 --to db2:5432
run -c weir.toml
run --config=/etc/weir/weir.toml
validate -c weir.toml --json --strict
-t -c weir.toml
demo --port 0 --admin :9900
demo -N 1
version
--version
help proxy
--help
8080 127.0.0.1:8080
9001 weir.toml
prxy --from :1
-- 8080 9001
8080 a\x7fb\u009bc
"""


class Vector(NamedTuple):
    wire: bytes
    options: dict[str, str]


def unescape(text: str) -> bytes:
    """The escapes of tests/vectors/http/README.md."""
    simple = {"r": b"\r", "n": b"\n", "t": b"\t", "s": b" ", "0": b"\0", "\\": b"\\"}

    def replace(match: re.Match) -> bytes:
        count, repeated, digits, letter = match.groups()
        if count is not None:
            return unescape(repeated) * int(count)
        return bytes([int(digits, 16)]) if digits is not None else simple[letter]

    pattern = re.compile(r"\\(?:\{(\d+):([^}]*)\}|x([0-9a-fA-F]{2})|(.))")
    out, end = b"", 0
    for match in pattern.finditer(text):
        out += text[end:match.start()].encode() + replace(match)
        end = match.end()
    return out + text[end:].encode()


def http_vectors(*names: str) -> Iterator[Vector]:
    return vectors("http", *names)


def vectors(folder: str, *names: str) -> Iterator[Vector]:
    for name in names:
        now = Vector(b"", {})
        for line in (VECTORS / folder / name).read_text().splitlines() + ["== end"]:
            if line.startswith("== "):
                if now.wire:
                    yield now
                now = Vector(b"", {})
            elif line.startswith("< "):
                now = now._replace(wire=now.wire + unescape(line[2:]))
            elif line.startswith("! "):
                key, _, value = line[2:].partition("=")
                now.options[key] = value


def steer(wire: bytes, *steering: int) -> bytes:
    """What is taken first stands last."""
    return wire + bytes(reversed(steering))


def method_of(vector: Vector) -> int:
    """The request's method, and from 10 on a server that was offered other protocols."""
    offered = 10 if "upgrade" in vector.options else 0
    return offered + METHODS.index(vector.options.get("method", "GET"))


def requests() -> list[Vector]:
    return list(http_vectors("request_heads.txt", "hosts.txt", "request_framing.txt",
                             "tunnels.txt", "forward_requests.txt"))


def responses() -> list[Vector]:
    return list(http_vectors("responses.txt", "forward_responses.txt"))


def pipelines(messages: list[Vector]) -> Iterator[bytes]:
    """Some messages one after the other, as a connection carries them."""
    for at in range(0, len(messages) - 3, 3):
        yield b"".join(message.wire for message in messages[at:at + 3])


def chunked_bodies() -> Iterator[bytes]:
    """Whole requests and responses around the bodies of chunked.txt."""
    for vector in http_vectors("chunked.txt"):
        yield b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + vector.wire
        yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + vector.wire


def configurations() -> Iterator[bytes]:
    additions = {"+listener": '[listener.web]\nbind = "8080"\n',
                 "+route": '[[route]]\nbackend = "app"\n',
                 "+backend": '[backend.app]\nservers = ["9001"]\n'}
    for name in ("findings.txt", "policies.txt", "tcp.txt", "renderings.txt"):
        for case in re.split(r"(?m)^=== ", (VECTORS / "config" / name).read_text())[1:]:
            title, _, rest = case.partition("\n")
            text = rest.split("---\n")[0]
            yield (text + "".join(additions[word] for word in additions if word in title)).encode()
    for path in sorted((ROOT / "examples").glob("*.toml")):
        yield path.read_bytes()


def client_hellos() -> Iterator[bytes]:
    """Each as it was sent, and its parts: the target puts the rest around them."""
    for vector in vectors("wire", "client_hellos.txt"):
        yield steer(vector.wire, 0, *PIECES)
        yield steer(vector.wire[9:], 1, *PIECES)
    for host in (b"a.example", b"A-1.Example.COM", b"192.0.2.1", b"::1", b"a.", b"a" * 64):
        entry = b"\0" + len(host).to_bytes(2, "big") + host
        body = len(entry).to_bytes(2, "big") + entry
        extension = b"\0\0" + len(body).to_bytes(2, "big") + body
        for depth, part in enumerate((extension, body, host), 2):
            yield steer(part, depth, *PIECES)
            yield steer(part + part, depth, *PIECES)


def seeds() -> Iterator[tuple[str, bytes]]:
    for vector in requests():
        yield "request_head", steer(vector.wire, 0, 0, *PIECES)
        for options in (0, 0x0e, 0xff):
            yield "request_writer", steer(vector.wire, options, "upgrade" in vector.options)
    for vector in responses():
        yield "response_head", steer(vector.wire, 0, method_of(vector), *PIECES)
        for options in (0, 1, 0x1a):
            yield "response_writer", steer(vector.wire, options, method_of(vector))
    for vector in http_vectors("forward_trailers.txt"):
        yield "trailer_writer", vector.wire
    for vector in http_vectors("chunked.txt"):
        yield "chunked", steer(vector.wire, 0, *PIECES)
    for target in ("connection", "differential"):
        wires = [vector.wire for vector in requests()] + list(pipelines(requests()))
        for wire in wires + list(chunked_bodies()):
            yield target, steer(wire, 0, 0, 0, *PIECES)
        for vector in responses():
            yield target, steer(vector.wire, 1, 0, method_of(vector), *PIECES)
        for wire in list(pipelines(responses())) + list(chunked_bodies()):
            yield target, steer(wire, 1, 0, 0, *PIECES)
    for wire in [vector.wire for vector in requests()] + list(pipelines(requests())):
        yield "admin", steer(wire, *PIECES)
    head = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
    yield "admin", steer(head + b"GET /\r\n\r\n", *PIECES)
    for vector in vectors("wire", "proxy_headers.txt"):
        yield "proxy_protocol", steer(vector.wire, *PIECES, *bytes(11))
    for seed in client_hellos():
        yield "client_hello", seed
    for text in configurations():
        yield "config", steer(text, 0)
    for line in COMMAND_LINES.strip().splitlines():
        yield "command_line", line.replace(" ", "\n").encode()


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    numbers: dict[str, int] = {}
    for target, seed in seeds():
        folder = pathlib.Path(sys.argv[1]) / target
        folder.mkdir(parents=True, exist_ok=True)
        numbers[target] = numbers.get(target, 0) + 1
        (folder / f"{numbers[target]:03}").write_bytes(seed)


if __name__ == "__main__":
    main()
