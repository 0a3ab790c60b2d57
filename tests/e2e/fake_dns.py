"""A name server for tests: UDP and TCP on one port of 127.0.0.1, told what to answer while it runs.

A name it was told nothing about does not exist. Everything it is asked is kept in `asked`.
"""

import ipaddress
import socket
import struct
import threading

from harness.ports import free_port

A, CNAME, AAAA, SRV = 1, 5, 28, 33
SERVFAIL, NXDOMAIN, REFUSED = 2, 3, 5
DATAGRAM_MAX = 512  # RFC 1035 4.2.1: what is longer is cut off over UDP and whole over TCP.


def wire_name(name: str) -> bytes:
    labels = [label.encode() for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def read_name(message: bytes, at: int) -> tuple[str, int]:
    labels = []
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]].decode("latin-1"))
        at += 1 + message[at]
    return ".".join(labels).lower(), at + 1


class FakeDns:

    def __init__(self):
        self.records: dict[tuple[str, int], list[bytes]] = {}  # Whole records, by owner and type.
        self.codes: dict[str, int] = {}      # Names that fail, and with which code.
        self.silent: set[str] = set()        # Names about which nothing is said.
        self.garbage: dict[str, bytes] = {}  # What stands in the place of a name's record.
        self.asked: list[tuple[str, int]] = []
        self._lock = threading.Lock()
        self.port = free_port()
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        self._tcp = socket.create_server(("127.0.0.1", self.port))
        for serve in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        for sock in (self._udp, self._tcp):
            try:
                sock.shutdown(socket.SHUT_RDWR)  # Ends the thread's wait; close() would not.
            except OSError:
                pass  # A datagram socket says that it is not connected, and ends the wait.
            sock.close()

    # What it knows. Each call replaces what was said of this name and type before.

    def set_addresses(self, name: str, *addresses: str, ttl: int = 1) -> None:
        parsed = [ipaddress.ip_address(address) for address in addresses]
        self._set(name, A, ttl, [ip.packed for ip in parsed if ip.version == 4])
        self._set(name, AAAA, ttl, [ip.packed for ip in parsed if ip.version == 6])

    def set_alias(self, name: str, target: str, ttl: int = 1) -> None:
        self._set(name, CNAME, ttl, [wire_name(target)])

    def set_services(self, name: str, *services: tuple[int, int, int, str], ttl: int = 1) -> None:
        """Each is (priority, weight, port, target), RFC 2782."""
        self._set(name, SRV, ttl, [struct.pack(">HHH", *service[:3]) + wire_name(service[3])
                                   for service in services])

    def fail(self, name: str, code: int | None) -> None:
        """None: no longer."""
        with self._lock:
            self.codes.pop(name, None)
            if code is not None:
                self.codes[name] = code

    def count(self, name: str) -> int:
        with self._lock:
            return sum(1 for asked, _ in self.asked if asked == name)

    def _set(self, name: str, kind: int, ttl: int, data: list[bytes]) -> None:
        with self._lock:
            self.records[(name, kind)] = [
                wire_name(name) + struct.pack(">HHIH", kind, 1, ttl, len(item)) + item
                for item in data]

    # How it answers.

    def answer(self, query: bytes) -> bytes | None:
        name, end = read_name(query, 12)
        kind = struct.unpack_from(">H", query, end)[0]
        with self._lock:
            self.asked.append((name, kind))
            if name in self.silent:
                return None
            code, records = self._find(name, kind)
            if name in self.garbage:
                code, records = 0, [self.garbage[name]]
        head = query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, len(records), 0, 0)
        return head + query[12:end + 4] + b"".join(records)

    def _find(self, name: str, kind: int) -> tuple[int, list[bytes]]:
        if name in self.codes:
            return self.codes[name], []
        if alias := self.records.get((name, CNAME)):
            target, _ = read_name(alias[0], len(wire_name(name)) + 10)
            code, records = self._find(target, kind)
            return code, alias + records
        known = any(owner == name for owner, _ in self.records)
        return 0 if known else NXDOMAIN, self.records.get((name, kind), [])

    def _serve_udp(self) -> None:
        while True:
            try:
                query, peer = self._udp.recvfrom(4096)
                if not query:
                    return  # Shut down.
                answer = self.answer(query)
                if answer and len(answer) > DATAGRAM_MAX:
                    flags = struct.unpack_from(">H", answer, 2)[0] | 0x0200  # TC
                    answer = answer[:2] + struct.pack(">HHH", flags, 1, 0) + bytes(4) + query[12:]
                if answer:
                    self._udp.sendto(answer, peer)
            except OSError:
                return

    def _serve_tcp(self) -> None:
        while True:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._serve_connection, args=(connection,), daemon=True).start()

    def _serve_connection(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as reader:
            try:
                while len(size := reader.read(2)) == 2:
                    answer = self.answer(reader.read(struct.unpack(">H", size)[0]))
                    if answer:
                        connection.sendall(struct.pack(">H", len(answer)) + answer)
            except OSError:
                return
