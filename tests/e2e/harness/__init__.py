"""What the end-to-end tests stand on: weir as a process, scripted and real servers, raw clients.

Nothing here knows how weir works inside. It starts the binary, speaks to it over real sockets and
reads what it prints, as a user would.
"""

from .case import Case
from .client import Client
from .config import config
from .errors import Malformed, Truncated
from .origin import OK, Origin, answering, response
from .servers import NginxServer, NodeServer, PythonServer
from .tools import curl, strace_counts, wrk
from .wait import SLOWDOWN, seconds, wait_until
from .weir import BINARY, SANITIZED, Weir

__all__ = [
    "BINARY", "Case", "Client", "Malformed", "NginxServer", "NodeServer", "OK", "Origin",
    "PythonServer", "SANITIZED", "SLOWDOWN", "Truncated", "Weir", "answering", "config", "curl",
    "response", "seconds", "strace_counts", "wait_until", "wrk",
]
