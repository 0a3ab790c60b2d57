"""Programs used as clients and observers: curl, wrk, strace, promtool."""

import os
import re
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass

from .wait import seconds, wait_until


def curl(*args: str, check: bool = True) -> subprocess.CompletedProcess:
    """curl, silent, without proxies or configuration of the user's."""
    result = subprocess.run(["curl", "-q", "-sS", "--noproxy", "*", "--max-time",
                             str(int(seconds(60))), *args], capture_output=True, check=False)
    if check and result.returncode != 0:
        raise AssertionError(f"curl {args} failed: {result.returncode} {result.stderr!r}")
    return result


@dataclass
class Load:
    requests: int
    failures: list[str]


def wrk(url: str, requests: int, connections: int = 64, deadline: float = 60) -> Load:
    """Rounds of one second with one thread until `requests` have been answered."""
    done, failures, end = 0, [], time.monotonic() + seconds(deadline)
    while done < requests:
        if time.monotonic() > end:
            raise AssertionError(f"only {done} of {requests} requests in {seconds(deadline)} s")
        text = subprocess.run(["wrk", "-t", "1", "-c", str(connections), "-d", "1s", "--timeout",
                               "10s", url], capture_output=True, text=True, check=True).stdout
        done += int(re.search(r"(\d+) requests in", text)[1])
        failures += re.findall(r".*(?:Socket errors|Non-2xx).*", text)
    return Load(done, failures)


class StraceCounts:
    """System calls of a process while a block runs; `calls` afterwards."""

    def __init__(self, pid: int):
        self.pid = pid
        self.calls: dict[str, int] = {}

    def __enter__(self) -> "StraceCounts":
        handle, self.path = tempfile.mkstemp(prefix="weir-strace-")
        os.close(handle)
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            ["strace", "-f", "-c", "-U", "calls,name", "-o", self.path, "-p", str(self.pid)],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        try:
            threads = os.listdir(f"/proc/{self.pid}/task")
            wait_until(lambda: all(self._traced(thread) for thread in threads), 10,
                       "strace to attach")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _traced(self, thread: str) -> bool:
        if self.process.poll() is not None:
            self.log.seek(0)
            raise AssertionError(f"strace ended: {self.log.read()!r}")
        with open(f"/proc/{self.pid}/task/{thread}/status", encoding="ascii") as file:
            return "TracerPid:\t0\n" not in file.read()

    def __exit__(self, *_) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(seconds(10))
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        with open(self.path, encoding="ascii") as file:
            for line in file:
                words = line.split()
                if len(words) == 2 and words[0].isdigit() and words[1] != "total":
                    self.calls[words[1]] = int(words[0])
        os.unlink(self.path)
        self.log.close()

    def sum(self, *names: str) -> int:
        return sum(self.calls.get(name, 0) for name in names)


def strace_counts(pid: int) -> StraceCounts:
    return StraceCounts(pid)
