"""The program under test as a process: start, observe, stop. Everything is by pid."""

import os
import pathlib
import re
import signal
import subprocess
import time

from .client import Client
from .ports import is_listening
from .wait import seconds, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[3]
BINARY = os.environ.get("WEIR_BINARY") or str(ROOT / "build" / "release" / "weir")


def _sanitized() -> bool:
    try:
        with open(BINARY, "rb") as binary:
            data = binary.read()
    except OSError:
        return False
    return b"__asan_init" in data or b"__tsan_init" in data


# A sanitizer build: memory limits do not apply, and reports are looked for at every stop.
SANITIZED = _sanitized()
_REPORTS = ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:")


class Weir:
    """One running weir. `ports` are those it must listen on before start() returns."""

    def __init__(self, directory: str, args: list[str], ports: list[int] = (),
                 admin_port: int | None = None, prefix: list[str] = (), name: str = "weir"):
        self.args = [str(arg) for arg in args]
        self.ports = list(ports)
        self.admin_port = admin_port
        self.prefix = list(prefix)
        self.out_path = os.path.join(directory, f"{name}.out")
        self.err_path = os.path.join(directory, f"{name}.err")
        self.process: subprocess.Popen | None = None
        self.config_path: str | None = None
        self.admin_client: Client | None = None  # Set when no new connection can be opened.

    @property
    def port(self) -> int:
        return self.ports[0]

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def out(self) -> str:
        return _text(self.out_path)

    @property
    def err(self) -> str:
        return _text(self.err_path)

    @property
    def output(self) -> str:
        return self.out + self.err

    def start(self, ready: bool = True) -> "Weir":
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.process = subprocess.Popen(
                [*self.prefix, BINARY, *self.args], stdin=subprocess.DEVNULL, stdout=out,
                stderr=err)
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        ports = [*self.ports, *([self.admin_port] if self.admin_port else [])]

        def ready() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(
                    f"weir {' '.join(self.args)} ended with {self.process.returncode}:\n"
                    f"{self.output}")
            return all(is_listening(port) for port in ports) and bool(self.output)

        wait_until(ready, 10, f"weir {' '.join(self.args)} to listen on {ports}")

    def client(self, port: int | None = None, **options) -> Client:
        return Client(port or self.port, **options)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait(self, deadline: float = 10) -> int:
        """The exit code, once it ended by itself."""
        try:
            return self.process.wait(seconds(deadline))
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"weir is still running after {seconds(deadline):g} s") from error

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def terminate(self, deadline: float = 10) -> None:
        """SIGTERM, and then what every stop must show: exit 0 and no sanitizer report."""
        if self.running():
            self.signal(signal.SIGTERM)
            try:
                self.wait(deadline)
            except AssertionError:
                stacks = self.threads()
                self.kill()
                raise AssertionError(f"weir did not stop on SIGTERM; threads: {stacks}") from None
        self.check_exit()

    def check_exit(self) -> None:
        for report in _REPORTS:
            if report in self.err:
                raise AssertionError(f"sanitizer report:\n{self.err[:20000]}")
        if self.process.returncode != 0:
            raise AssertionError(f"weir exited with {self.process.returncode}:\n{self.err[-4000:]}")

    def kill(self) -> None:
        if self.running():
            self.process.kill()
            self.process.wait()

    def reload(self) -> None:
        self.signal(signal.SIGHUP)

    def write_config(self, text: str) -> None:
        """Replaces the file in one step, so that a reader never sees half of it."""
        temporary = self.config_path + ".new"
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(temporary, self.config_path)

    # What the process looks like from outside.

    def threads(self) -> list[str]:
        result = []
        for thread in os.listdir(f"/proc/{self.pid}/task"):
            words = _text(f"/proc/{self.pid}/task/{thread}/stat").split()
            wchan = _text(f"/proc/{self.pid}/task/{thread}/wchan")
            result.append(f"{words[1] if len(words) > 1 else '?'}:{wchan}")
        return result

    def memory_peak(self) -> int:
        return self._status("VmHWM") * 1024

    def memory(self) -> int:
        return self._status("VmRSS") * 1024

    def _status(self, key: str) -> int:
        return int(re.search(rf"{key}:\s+(\d+)", _text(f"/proc/{self.pid}/status"))[1])

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def sockets(self) -> int:
        """Open sockets, listening ones included."""
        count = 0
        for name in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                count += os.readlink(f"/proc/{self.pid}/fd/{name}").startswith("socket:")
            except OSError:
                pass
        return count

    def cpu_seconds(self) -> float:
        words = _text(f"/proc/{self.pid}/stat").rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def cpu_share(self, span: float = 0.5) -> float:
        """CPU seconds used per second, watched for `span` seconds."""
        before, start = self.cpu_seconds(), time.monotonic()
        time.sleep(span)
        return (self.cpu_seconds() - before) / (time.monotonic() - start)

    # The admin listener.

    def admin(self, path: str):
        if self.admin_client:
            return self.admin_client.get(path, host="127.0.0.1")
        with Client(self.admin_port) as client:
            return client.get(path, host="127.0.0.1")

    def metrics(self) -> dict[str, float]:
        """`name{labels}` to value; see metric() for sums."""
        result = {}
        for line in self.admin("/metrics").body.decode().splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                result[name] = float(value)
        return result

    def metric(self, name: str, **labels: str) -> float:
        """Sum of all series of `name` whose labels include the given ones."""
        total, found = 0.0, False
        for series, value in self.metrics().items():
            base, _, rest = series.partition("{")
            if base == name and all(f'{key}="{text}"' in rest for key, text in labels.items()):
                total, found = total + value, True
        if not found and not labels:
            raise AssertionError(f"no metric {name}")
        return total

    def wait_turns(self, count: int, worker: int = 0) -> None:
        """Until a worker's loop has turned so many times more, by its own timers if need be."""
        def turns() -> float:
            return self.metric("weir_worker_turns_total", worker=str(worker))

        end = turns() + count
        wait_until(lambda: turns() >= end, 10, f"{count} turns of worker {worker}")


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
