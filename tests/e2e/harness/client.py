"""A client on a raw socket: it sends exactly the bytes it is given, in the pieces it is given."""

import socket
import struct

from .message import (Reader, Response, default_timeout, read_response, read_response_body,
                      read_response_head)


class Client:
    """One connection. `target` is a port on 127.0.0.1, a (host, port) pair or a unix path."""

    def __init__(self, target, timeout: float | None = None, receive_buffer: int | None = None,
                 source: str | None = None):
        if isinstance(target, str):
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            address = target
        else:
            address = ("127.0.0.1", target) if isinstance(target, int) else target
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
            self.sock = socket.socket(family, socket.SOCK_STREAM)
            if source:
                self.sock.bind((source, 0))
        self.sock.settimeout(timeout or default_timeout())
        if receive_buffer:  # Before connect, so that the window is small from the start.
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            self.sock.connect(address)
        except BaseException:
            self.sock.close()
            raise
        if self.sock.family != socket.AF_UNIX:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = Reader(self.sock)

    @property
    def local_port(self) -> int:
        return self.sock.getsockname()[1]

    def send(self, *pieces: bytes) -> "Client":
        """One send call for each piece, without waiting between them."""
        for piece in pieces:
            self.sock.sendall(piece)
        return self

    def response(self, method: str = "GET", sink=None) -> Response:
        return read_response(self.reader, method, sink)

    def head(self) -> Response:
        """The next head only, interim or final."""
        return read_response_head(self.reader)

    def body(self, response: Response, method: str = "GET", sink=None) -> Response:
        read_response_body(self.reader, response, method, sink)
        return response

    def request(self, method: str = "GET", path: str = "/", fields: str = "", body: bytes = b"",
                host: str = "weir.test") -> Response:
        """One request with a Content-Length when it has a body, and its response."""
        if body or method in ("POST", "PUT", "PATCH"):
            fields += f"Content-Length: {len(body)}\r\n"
        head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"
        self.send(head.encode("latin-1") + body)
        return self.response(method)

    def get(self, path: str = "/", fields: str = "", host: str = "weir.test") -> Response:
        return self.request("GET", path, fields, host=host)

    def closed(self) -> bool:
        """Waits; True when the peer closed in an orderly way and sent nothing more."""
        return self.reader.at_end()

    def gone(self) -> bool:
        """Waits; True when the peer closed or reset and sent nothing more."""
        try:
            return self.reader.at_end()
        except (ConnectionResetError, BrokenPipeError):
            return True

    def rest(self) -> bytes:
        """Everything up to the end of the stream."""
        return self.reader.to_end()

    def quiet(self, timeout: float = 0.05) -> bool:
        """True when nothing comes within `timeout` and the connection is still open."""
        if self.reader.buffer:
            return False
        before = self.sock.gettimeout()
        self.sock.settimeout(timeout)
        try:
            return not self.sock.recv(1, socket.MSG_PEEK) and False
        except TimeoutError:
            return True
        except ConnectionResetError:
            return False
        finally:
            self.sock.settimeout(before)

    def half_close(self) -> "Client":
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def reset(self) -> None:
        """Ends with a RST instead of a FIN."""
        if self.sock.fileno() >= 0 and self.sock.family != socket.AF_UNIX:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_) -> None:
        self.close()
