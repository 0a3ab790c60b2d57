"""A scripted server on a raw socket.

The script is a function called with each accepted connection, on a thread of its own. It reads
and writes exact bytes, waits for events, resets or half-closes. Everything that arrives is kept.
"""

import os
import socket
import struct
import threading

from .errors import Silence, Truncated
from .message import (Reader, Request, default_timeout, read_request_body, read_request_head)
from .wait import wait_until


def response(body: bytes = b"", status: str = "200 OK", fields: str = "",
             length: bool = True) -> bytes:
    """The bytes of a plain response; Content-Length is there unless `length` is False."""
    framing = f"Content-Length: {len(body)}\r\n" if length else ""
    return f"HTTP/1.1 {status}\r\n{framing}{fields}\r\n".encode("latin-1") + body


OK = response(b"ok")


class Connection:
    """The server's end of one connection."""

    def __init__(self, origin: "Origin", sock: socket.socket, index: int):
        self.origin = origin
        self.sock = sock
        self.index = index
        self.sock.settimeout(default_timeout())
        if sock.family != socket.AF_UNIX:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = Reader(sock, record=origin.record)
        self.requests: list[Request] = []
        self.done = threading.Event()  # The script returned.
        self.saw_end = False           # The peer closed in an orderly way.
        self.saw_reset = False
        self.saw_cut = False           # A request ended early.

    @property
    def received(self) -> bytes:
        return bytes(self.reader.received or b"")

    def head(self) -> Request | None:
        """The next request head; None at the end of the connection or when none comes."""
        try:
            if not self.reader.buffer and not self.reader.fill():
                self.saw_end = True
                return None
        except Silence:
            return None
        request = read_request_head(self.reader)
        self.requests.append(request)
        self.origin.note(request)
        return request

    def body(self, request: Request, sink=None) -> Request:
        read_request_body(self.reader, request, sink)
        return request

    def request(self, sink=None) -> Request | None:
        """The next request with its content."""
        request = self.head()
        return self.body(request, sink) if request else None

    def send(self, *pieces: bytes) -> "Connection":
        for piece in pieces:
            self.sock.sendall(piece)
        return self

    def wait_end(self) -> bytes:
        """Reads to the end of the stream and returns what still came."""
        rest = self.reader.to_end()
        self.saw_end = True
        return rest

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        if self.sock.family != socket.AF_UNIX:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        try:
            self.sock.close()
        except OSError:
            pass


def answering(data: bytes = OK, times: int | None = None):
    """A script that answers every request with the same bytes and keeps the connection open."""

    def script(connection: Connection) -> None:
        served = 0
        while connection.request():
            connection.send(data)
            served += 1
            if served == times:
                break

    return script


class Origin:
    """Listens on a port of its own (or a unix path) and runs the script for each connection."""

    def __init__(self, script=None, unix_path: str | None = None, backlog: int = 128,
                 port: int = 0, receive_buffer: int | None = None, record: bool = True,
                 host: str = "127.0.0.1", cut_requests: bool = False):
        self.script = script or answering()
        self.record = record  # Off for bodies too large to keep.
        self.cut_requests = cut_requests  # The test cuts requests off: not the proxy's fault.
        self.unix_path = unix_path
        self.connections: list[Connection] = []
        self.requests: list[Request] = []
        self.errors: list[BaseException] = []
        self.threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._backlog = backlog
        self._receive_buffer = receive_buffer
        self.host = host
        self.port = port
        self.listener: socket.socket | None = None
        self.listen()

    def listen(self) -> None:
        """Starts accepting; again after stop_listening() too, on the same address."""
        if self.unix_path:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            if os.path.exists(self.unix_path):
                os.unlink(self.unix_path)
            listener.bind(self.unix_path)
        else:
            family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
            listener = socket.socket(family, socket.SOCK_STREAM)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self._receive_buffer:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
            listener.bind((self.host, self.port))
            self.port = listener.getsockname()[1]
        listener.listen(self._backlog)
        self.listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    @property
    def address(self) -> str:
        if self.unix_path:
            return f"unix:{self.unix_path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def note(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                connection = Connection(self, sock, len(self.connections))
                self.connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _serve(self, connection: Connection) -> None:
        try:
            self.script(connection)
        except ConnectionError:
            connection.saw_reset = True
        except OSError:
            pass  # Closed under the script's feet by the end of the test.
        except BaseException as error:  # noqa: BLE001, reported by the test case
            if not (self.cut_requests and isinstance(error, Truncated)):
                self.errors.append(error)
            connection.saw_cut = isinstance(error, Truncated)
        finally:
            connection.close()
            connection.done.set()

    def wait_connections(self, count: int) -> list[Connection]:
        wait_until(lambda: len(self.connections) >= count, 10, f"{count} connections to the server")
        return self.connections

    def wait_requests(self, count: int) -> list[Request]:
        wait_until(lambda: len(self.requests) >= count, 10, f"{count} requests at the server")
        return self.requests

    def received(self) -> bytes:
        """Every byte of every connection, in the order of the connections."""
        return b"".join(connection.received for connection in self.connections)

    def stop_listening(self) -> None:
        """New connections are refused from now on; the open ones stay."""
        if self.listener:
            try:
                self.listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.listener.close()
            self.listener = None

    def reset_connections(self) -> None:
        for connection in list(self.connections):
            try:
                if connection.sock.family != socket.AF_UNIX:
                    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                               struct.pack("ii", 1, 0))
                connection.sock.shutdown(socket.SHUT_RDWR)  # Wakes a script that waits in recv.
            except OSError:
                pass

    def kill(self) -> None:
        """As when the process dies: no listener and no connection is left."""
        self.stop_listening()
        self.reset_connections()
        for connection in list(self.connections):
            connection.close()
