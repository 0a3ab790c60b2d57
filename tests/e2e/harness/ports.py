"""Fresh ports for programs that have to be told one.

The numbers lie below the range the kernel gives to outgoing connections, so that no client socket
can take one between the choice and the bind. A name in the abstract socket namespace reserves each
number for the life of this process, because test files run side by side.
"""

import random
import socket

_reservations: list[socket.socket] = []


def _ephemeral_low() -> int:
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as text:
        return int(text.read().split()[0])


def _bindable(port: int) -> bool:
    for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True


def free_port() -> int:
    """A port nobody uses, reserved for this process until it ends."""
    low = 10_000
    high = max(low + 1_000, min(_ephemeral_low(), 32_000))
    for _ in range(1_000):
        port = random.randrange(low, high)
        name = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            name.bind(f"\0weir-e2e-port-{port}")
        except OSError:
            name.close()
            continue
        if _bindable(port):
            _reservations.append(name)
            return port
        name.close()
    raise AssertionError("no free port found")


def is_listening(port: int) -> bool:
    """Whether a TCP socket listens on `port`, without connecting to it."""
    suffix = f":{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table, encoding="ascii") as lines:
            for line in lines:
                words = line.split()
                if len(words) > 3 and words[1].endswith(suffix) and words[3] == "0A":
                    return True
    return False
