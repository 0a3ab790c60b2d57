"""What the comparisons share: processes on CPUs of their own, their CPU time and memory, starting
proxies from the templates in bench/peers, and running loads."""

import atexit
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("WEIR_BENCH_BUILD", ROOT / "build" / "release"))
PROGRAMS = ("weir", "floor", "floor_close", "floor_splice", "origin", "load", "pull", "attack",
            "hostile", "micro")
BODY_BYTES = 100  # Of the origin's answer to "/".
START_LIMIT_S = 5
TERMINATED = 143  # Exit code after SIGTERM.

# --- Processes ----------------------------------------------------------------------------------

started: list[subprocess.Popen] = []


def start(cpu: int | str, command: list[str], **options) -> subprocess.Popen:
    process = subprocess.Popen(["taskset", "-c", str(cpu), *command], stdin=subprocess.DEVNULL,
                               start_new_session=True, **options)
    started.append(process)
    return process


def start_low(cpu: int, command: list[str]) -> subprocess.Popen:
    """Started with low priority, within its session and, where the kernel groups them, beside
    other sessions."""
    process = start(cpu, ["nice", "-n", "10", *command], stdout=subprocess.PIPE, text=True)
    group = pathlib.Path(f"/proc/{process.pid}/autogroup")
    if group.exists():
        group.write_text("10")
    return process


def stop(process: subprocess.Popen) -> None:
    """Ends what was started, by process group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(2)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass
    started.remove(process)


def stop_all() -> None:
    for process in reversed(list(started)):
        stop(process)


def outlive_nothing() -> None:
    """From here on, whatever ends this program ends what it started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    atexit.register(stop_all)


def finish(process: subprocess.Popen, limit_s: float) -> str:
    """What a program that ends by itself has written."""
    try:
        return process.communicate(timeout=limit_s)[0]
    except subprocess.TimeoutExpired:
        sys.exit(f"bench: {' '.join(process.args)} did not end in time")
    finally:
        stop(process)


def build() -> None:
    """Everything that is measured; says so, because it can take minutes."""
    if "WEIR_BENCH_BUILD" in os.environ:
        return
    print(f"tools/bench: building {BUILD.relative_to(ROOT)}", file=sys.stderr)
    log = ROOT / "build" / "bench.log"
    log.parent.mkdir(exist_ok=True)
    for command in (["tools/setup"], ["cmake", "--preset", "release", "-DWEIR_BENCH=ON"],
                    ["cmake", "--build", "--preset", "release", "--target", *PROGRAMS]):
        with log.open("wb") as output:
            # What the setup says is for whoever waits for it.
            shown = None if command == ["tools/setup"] else output
            done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=shown,
                                  stderr=shown)
        if done.returncode != 0:
            print(*log.read_text(errors="replace").splitlines()[-60:], sep="\n", file=sys.stderr)
            sys.exit(f"bench: `{' '.join(command)}` failed; the whole output is in {log}")


def two_cpus() -> tuple[int, int]:
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        sys.exit("bench: needs two CPUs, one for the proxy and one for the load")
    return cpus[0], cpus[1]


# --- Accounting ---------------------------------------------------------------------------------


def process_tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.name))
    tree = [root]
    for pid in tree:
        tree += children.get(pid, [])
    return tree


def cpu_seconds(root: int) -> float:
    """CPU time of a process and its descendants; all threads."""
    return sum(ran for ran, _ in thread_times(root).values())


Times = dict[str, tuple[float, float]]


def thread_times(root: int) -> Times:
    """Of every thread of a process tree, by its id: its CPU time in seconds, and for how long it
    was ready to run and another one did."""
    times: Times = {}
    for pid in process_tree(root):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            try:
                fields = (task / "schedstat").read_text().split()
                times[task.name] = int(fields[0]) / 1e9, int(fields[1]) / 1e9
            except OSError:  # A kernel without scheduler statistics: clock ticks.
                fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
                ticks = int(fields[11]) + int(fields[12])
                times[task.name] = ticks / os.sysconf("SC_CLK_TCK"), 0.0
    return times


def times_since(before: Times, root: int) -> tuple[float, float]:
    """The CPU time of all threads since then, and for how long the one waited that waited most:
    never more than the time that has passed, however many threads there are."""
    each = [(ran - before.get(task, (0, 0))[0], waited - before.get(task, (0, 0))[1])
            for task, (ran, waited) in thread_times(root).items()]
    return sum(ran for ran, _ in each), max((waited for _, waited in each), default=0.0)


def peak_rss_mib(root: int) -> float:
    """The most memory that each of a process and its descendants has had resident, added up."""
    total = 0
    for pid in process_tree(root):
        peak = re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())
        total += int(peak.group(1)) if peak else 0
    return total / 1024


def pss_bytes(root: int) -> int:
    """Memory of a process tree; what several processes share is counted in parts."""
    texts = [pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in process_tree(root)]
    return sum(int(re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE).group(1)) << 10
               for text in texts)


def user_share(root: int, before: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    """Clock ticks of a process tree in user space and in the kernel since `before`."""
    user = system = 0
    for pid in process_tree(root):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        user, system = user + int(fields[11]), system + int(fields[12])
    return user - before[0], system - before[1]


# --- Proxies ------------------------------------------------------------------------------------


def add_programs(parser) -> None:
    search = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    parser.add_argument("--weir", metavar="PATH", default=str(BUILD / "weir"))
    parser.add_argument("--nginx", metavar="PATH",
                        default=shutil.which("nginx", path=search) or "nginx")
    parser.add_argument("--haproxy", metavar="PATH",
                        default=shutil.which("haproxy", path=search) or "haproxy")


def check_programs(programs: list[str]) -> None:
    for program in programs:
        if not shutil.which(program):
            sys.exit(f"bench: no program {program}; tools/bench builds ours, tools/setup installs "
                     "the others")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def port_of(server: subprocess.Popen) -> int:
    """The port that one of our own servers says it listens on."""
    return int(server.stdout.readline().split()[1])


def origin_command() -> list[str]:
    return [str(BUILD / "origin"), "--body", str(BODY_BYTES)]


def start_origin(cpu: int | str, *arguments: str) -> int:
    return port_of(start(cpu, [*origin_command(), *arguments], stdout=subprocess.PIPE, text=True))


def fill_in(template: str, folder: pathlib.Path, values: dict[str, object]) -> str:
    text = (ROOT / "bench" / "peers" / template).read_text()
    for name, value in {**values, "DIR": folder}.items():
        text = text.replace(f"@{name}@", str(value))
    path = folder / template.removesuffix(".in")
    path.write_text(text)
    return str(path)


def file_command(name: str, options, path: str) -> list[str]:
    """How a proxy is started with a configuration file."""
    return {"weir": [options.weir, "run", "-c", path],
            "nginx": [options.nginx, "-e", "stderr", "-c", path],
            "haproxy": [options.haproxy, "-q", "-f", path]}[name]


def start_proxy(name: str, cpu: int | str, command: list[str], folder: pathlib.Path,
                port: int) -> subprocess.Popen:
    """Started and serving; what it says goes to a file in `folder`."""
    with (folder / f"{name}.log").open("wb") as log:
        process = start(cpu, command, stdout=log, stderr=log)
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            sys.exit(f"bench: {name} ended with exit code {process.returncode}:\n"
                     + (folder / f"{name}.log").read_text())
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", "/")
            response = connection.getresponse()
            if response.status == 200 and len(response.read()) == BODY_BYTES:
                return process
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.02)
    sys.exit(f"bench: {name} does not answer on port {port}")


# --- Loads --------------------------------------------------------------------------------------


def load_command(port: int, **numbers: object) -> list[str]:
    """bench/load with its options; those that are True have no value."""
    command = [str(BUILD / "load"), "--port", str(port)]
    for name, value in numbers.items():
        option = "--" + name.replace("_", "-")
        command += [option] if value is True else [option, str(value)]
    return command


def read_json(process: subprocess.Popen, limit_s: float, name: str) -> dict:
    """What a load of ours has printed; ends the run when it did not get to its end."""
    text = finish(process, limit_s)
    try:
        return json.loads(text)
    except ValueError:
        sys.exit(f"bench: the load on {name} failed: {text}")


def run_load(cpu: int | str, name: str, port: int, **numbers: object) -> dict:
    process = start(cpu, load_command(port, **numbers), stdout=subprocess.PIPE, text=True)
    seen = read_json(process, numbers.get("seconds", 3) + numbers.get("warm_up", 1) + 30, name)
    seen["failed"] = sum(seen["errors"].values())
    return seen
