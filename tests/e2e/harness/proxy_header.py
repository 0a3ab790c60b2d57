"""Headers of the PROXY protocol, written and read without weir's help."""

import ipaddress
from dataclasses import dataclass

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LOCAL, PROXY = 0x20, 0x21
TCP4, TCP6, UDP4, UNIX = 0x11, 0x21, 0x12, 0x31
CHECKSUM = 0x03

# Of a listener: the tests may send one.
TRUSTED = {"accept_proxy": ["127.0.0.1"]}


def crc32c(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def v1(source: str = "192.0.2.7", port: int = 4711, target: str = "198.51.100.9",
       target_port: int = 443) -> bytes:
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {target} {port} {target_port}\r\n".encode()


def raw_v2(command: int, family: int, block: bytes, length: int | None = None) -> bytes:
    size = len(block) if length is None else length
    return SIGNATURE + bytes([command, family]) + size.to_bytes(2, "big") + block


def v2(source: str = "192.0.2.7", port: int = 4711, target: str = "198.51.100.9",
       target_port: int = 443, tlvs: bytes = b"") -> bytes:
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
    ports = port.to_bytes(2, "big") + target_port.to_bytes(2, "big")
    return raw_v2(PROXY, TCP6 if ":" in source else TCP4, addresses + ports + tlvs)


def tlv(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + len(value).to_bytes(2, "big") + value


def with_checksum(header: bytes) -> bytes:
    """Of a header that ends in an empty checksum."""
    assert header.endswith(tlv(CHECKSUM, bytes(4)))
    return header[:-4] + crc32c(header).to_bytes(4, "big")


@dataclass
class Header:
    version: int
    local: bool
    source: tuple | None  # Address and port.
    target: tuple | None
    tlvs: bytes
    raw: bytes


def read_header(reader) -> Header:
    """Takes one off the stream; the connection must begin with one."""
    begin = reader.exact(6)
    return _read_v1(reader, begin) if begin == b"PROXY " else _read_v2(reader, begin)


def _read_v1(reader, begin: bytes) -> Header:
    raw = begin + reader.until(b"\r\n", 107)
    words = raw[:-2].decode("ascii").split(" ")
    if words[1] == "UNKNOWN":
        return Header(1, False, None, None, b"", raw)
    kind, source, target, port, target_port = words[1:]
    assert kind == ("TCP6" if ":" in source else "TCP4"), raw
    return Header(1, False, (source, int(port)), (target, int(target_port)), b"", raw)


def _read_v2(reader, begin: bytes) -> Header:
    raw = begin + reader.exact(10)
    assert raw.startswith(SIGNATURE), raw
    command, family = raw[12], raw[13]
    block = reader.exact(int.from_bytes(raw[14:16], "big"))
    raw += block
    size = {0: 0, TCP4: 4, TCP6: 16}[family]
    if not size:
        return Header(2, command == LOCAL, None, None, block, raw)
    source, target = (str(ipaddress.ip_address(block[at:at + size])) for at in (0, size))
    ports = [int.from_bytes(block[at:at + 2], "big") for at in (2 * size, 2 * size + 2)]
    return Header(2, command == LOCAL, (source, ports[0]), (target, ports[1]),
                  block[2 * size + 4:], raw)
