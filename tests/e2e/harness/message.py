"""Strict reading of HTTP/1.1 messages, for clients and for scripted servers alike.

The readers accept only what a canonical writer emits: CRLF everywhere, one framing field, no chunk
extensions, `name: value`. So every test checks weir's own messages without saying so.
"""

import re
import socket
from dataclasses import dataclass, field

from .errors import Malformed, Silence, Truncated
from .wait import seconds

_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([^\x00\r\n]*)")
_REQUEST = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e\x80-\xff]+) (HTTP/1\.[01])")
_STATUS = re.compile(rb"(HTTP/1\.[01]) ([1-9][0-9][0-9]) ([^\x00\r\n]*)")
_SIZE = re.compile(rb"[0-9a-fA-F]+")


@dataclass
class Message:
    """What requests and responses share. `raw` is every byte of it as it was on the wire."""

    start: bytes = b""
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    raw_head: bytes = b""
    framing: str = "none"  # none, length, chunked, close

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name: str, default: str | None = None) -> str | None:
        """The only value of a field; a repeated field is a failure of the test."""
        values = self.all(name)
        if len(values) > 1:
            raise Malformed(f"{name} appears {len(values)} times in {self.raw_head!r}")
        return values[0] if values else default

    def has(self, name: str) -> bool:
        return bool(self.all(name))

    def names(self) -> set[str]:
        return {name.lower() for name, _ in self.fields}


@dataclass
class Request(Message):
    method: str = ""
    target: str = ""
    version: str = ""


@dataclass
class Response(Message):
    status: int = 0
    reason: str = ""
    version: str = ""
    interim: list["Response"] = field(default_factory=list)


class Reader:
    """Buffered reading from a socket. `received` keeps every byte when `record` is set."""

    def __init__(self, sock: socket.socket, record: bool = False):
        self.sock = sock
        self.buffer = bytearray()
        self.received = bytearray() if record else None
        self.ended = False

    def fill(self, most: int = 65536) -> bool:
        """One recv; False at the end of the stream. A reset raises ConnectionResetError."""
        try:
            data = self.sock.recv(most)
        except TimeoutError as error:
            raise Silence(
                f"nothing came for {self.sock.gettimeout()} s after {bytes(self.buffer[:400])!r}"
            ) from error
        if not data:
            self.ended = True
            return False
        self.buffer += data
        if self.received is not None:
            self.received += data
        return True

    def take(self, count: int) -> bytes:
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def exact(self, count: int) -> bytes:
        while len(self.buffer) < count:
            if not self.fill():
                raise Truncated(f"{len(self.buffer)} of {count} bytes came", self.take(count))
        return self.take(count)

    def until(self, end: bytes, most: int = 1 << 20) -> bytes:
        seen = 0
        while True:
            at = self.buffer.find(end, max(0, seen - len(end)))
            if at >= 0:
                return self.take(at + len(end))
            seen = len(self.buffer)
            if seen > most:
                raise Malformed(f"no {end!r} within {most} bytes")
            if not self.fill():
                seen = bytes(self.buffer)
                raise Truncated(f"end of stream in {seen[:400]!r}", seen)

    def to_end(self) -> bytes:
        while self.fill():
            pass
        return self.take(len(self.buffer))

    def at_end(self) -> bool:
        """True when the peer closed and nothing is left; waits for one or the other."""
        return not self.buffer and not self.fill()


def parse_fields(lines: list[bytes]) -> list[tuple[str, str]]:
    result = []
    for line in lines:
        match = _FIELD.fullmatch(line)
        if not match:
            raise Malformed(f"not a canonical field line: {line!r}")
        value = match[2].decode("latin-1")
        if value != value.strip(" \t"):
            raise Malformed(f"white space around a field value: {line!r}")
        result.append((match[1].decode("ascii"), value))
    return result


def split_head(raw: bytes) -> tuple[bytes, list[tuple[str, str]]]:
    lines = raw[:-4].split(b"\r\n")
    for line in lines:
        if b"\r" in line or b"\n" in line:
            raise Malformed(f"bare CR or LF in {raw!r}")
    return lines[0], parse_fields(lines[1:])


def _check_framing(message: Message) -> None:
    coding = message.get("transfer-encoding")
    length = message.get("content-length")
    if coding is not None and length is not None:
        raise Malformed(f"both framing fields in {message.raw_head!r}")
    if coding is not None and coding != "chunked":
        raise Malformed(f"transfer-encoding {coding!r}")
    if length is not None and not length.isascii() or length is not None and not length.isdigit():
        raise Malformed(f"content-length {length!r}")


def read_chunked(reader: Reader, sink=None) -> tuple[bytes, list[tuple[str, str]]]:
    """Content and trailers of a chunked body. With `sink` the content goes there instead."""
    body = bytearray()
    try:
        while True:
            line = reader.until(b"\r\n", 1024)[:-2]
            if not _SIZE.fullmatch(line):
                raise Malformed(f"chunk line {line!r}")
            size = int(line, 16)
            if size == 0:
                break
            read_counted(reader, size, sink or body.extend)
            if reader.exact(2) != b"\r\n":
                raise Malformed("no CRLF after chunk data")
        lines = []
        while (line := reader.until(b"\r\n", 65536)) != b"\r\n":
            lines.append(line[:-2])
    except Truncated as error:
        raise Truncated(f"in a chunked body: {error}", bytes(body) + error.partial) from error
    return bytes(body), parse_fields(lines)


def read_counted(reader: Reader, count: int, sink) -> None:
    """Passes exactly `count` bytes to sink() in pieces, never holding them all."""
    while count:
        if not reader.buffer and not reader.fill(min(count, 262144)):
            raise Truncated(f"{count} bytes are missing")
        piece = reader.take(min(count, len(reader.buffer)))
        count -= len(piece)
        sink(piece)


def read_request_head(reader: Reader) -> Request | None:
    """The next request head, or None at a clean end of the stream."""
    if not reader.buffer and not reader.fill():
        return None
    raw = reader.until(b"\r\n\r\n")
    start, fields = split_head(raw)
    match = _REQUEST.fullmatch(start)
    if not match:
        raise Malformed(f"request line {start!r}")
    request = Request(start=start, fields=fields, raw_head=raw,
                      method=match[1].decode("latin-1"), target=match[2].decode("latin-1"),
                      version=match[3].decode("ascii"))
    _check_framing(request)
    if request.has("transfer-encoding"):
        request.framing = "chunked"
    elif request.has("content-length"):
        request.framing = "length"
    return request


def read_request_body(reader: Reader, request: Request, sink=None) -> None:
    body = bytearray()
    if request.framing == "chunked":
        request.body, request.trailers = read_chunked(reader, sink)
    elif request.framing == "length":
        length = int(request.get("content-length"))
        try:
            read_counted(reader, length, sink or body.extend)
        except Truncated as error:
            raise Truncated(str(error), bytes(body)) from error
        request.body = bytes(body)


def read_response_head(reader: Reader) -> Response:
    raw = reader.until(b"\r\n\r\n")
    start, fields = split_head(raw)
    match = _STATUS.fullmatch(start)
    if not match:
        raise Malformed(f"status line {start!r}")
    response = Response(start=start, fields=fields, raw_head=raw, status=int(match[2]),
                        reason=match[3].decode("latin-1"), version=match[1].decode("ascii"))
    _check_framing(response)
    return response


def read_response_body(reader: Reader, response: Response, method: str, sink=None) -> None:
    """Reads the content as RFC 9112 6.3 delimits it."""
    body = bytearray()
    keep = sink or body.extend
    if method == "HEAD" or response.status in (204, 304):
        return
    try:
        if response.has("transfer-encoding"):
            response.framing = "chunked"
            response.body, response.trailers = read_chunked(reader, sink)
            return
        if response.has("content-length"):
            response.framing = "length"
            read_counted(reader, int(response.get("content-length")), keep)
        else:
            response.framing = "close"
            while reader.buffer or reader.fill(262144):
                keep(reader.take(len(reader.buffer)))
    except Truncated as error:
        raise Truncated(f"{response.start!r}: {error}", bytes(body) or error.partial) from error
    response.body = bytes(body)


def read_response(reader: Reader, method: str = "GET", sink=None) -> Response:
    """The next final response with its content; what came before it is in `interim`."""
    interim = []
    while True:
        response = read_response_head(reader)
        if response.status >= 200 or response.status == 101:
            break
        if response.has("content-length") or response.has("transfer-encoding"):
            raise Malformed(f"framing field in {response.raw_head!r}")
        interim.append(response)
    response.interim = interim
    read_response_body(reader, response, method, sink)
    return response


def default_timeout() -> float:
    return seconds(10)
