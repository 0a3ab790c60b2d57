"""What the comparisons share: processes on CPUs of their own, their CPU time and memory, starting
proxies from the templates in bench/peers, and running loads."""

import argparse
import atexit
import ctypes
import errno
import functools
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
BUILD = pathlib.Path(os.environ.get("WEIR_BENCH_BUILD", ROOT / "build" / "release")).absolute()
PROGRAMS = ("weir", "floor", "floor_close", "floor_splice", "origin", "load", "pull", "attack",
            "hostile", "micro")
BODY_BYTES = 100  # Of the origin's answer to "/".
START_LIMIT_S = 20
VERSION_LIMIT_S = 5
# Exit codes after a signal, as a shell has them.
INTERRUPTED = 128 + signal.SIGINT
ENDED = {number: 128 + number for number in (signal.SIGTERM, signal.SIGHUP)}
LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG, EPOLL_PWAIT2 = 1, 441  # <sys/prctl.h>, <asm/unistd.h>
AUTOGROUP_LIMIT_S = 5

# --- Processes ----------------------------------------------------------------------------------

started: list[subprocess.Popen] = []


def end_with_parent() -> None:
    """In a process that is about to be started: SIGTERM when this program is no more, whatever has
    ended it. Not SIGKILL: nginx would leave its workers behind."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def start_session(command: list[str], **options) -> subprocess.Popen:
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True,
                               preexec_fn=end_with_parent, **options)
    started.append(process)
    return process


def start(cpu: int | str, command: list[str], **options) -> subprocess.Popen:
    return start_session(["taskset", "-c", str(cpu), *command], **options)


def start_low(cpu: int, command: list[str]) -> subprocess.Popen:
    """Started with low priority, within its session and, where the kernel groups them, beside
    other sessions."""
    process = start(cpu, ["nice", "-n", "10", *command], stdout=subprocess.PIPE, text=True)
    lower_session(process.pid)
    return process


def lower_session(pid: int) -> None:
    """The kernel lets users other than root do this ten times a second, all of them together."""
    deadline = time.monotonic() + AUTOGROUP_LIMIT_S
    while True:
        try:
            pathlib.Path(f"/proc/{pid}/autogroup").write_text("10")
            return
        except OSError as error:
            if error.errno != errno.EAGAIN:
                return  # No groups, not allowed, or it has ended: then others notice.
            if time.monotonic() > deadline:
                sys.exit(f"bench: the priority of process {pid} could not be lowered: {error}")
        time.sleep(0.02)


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
    """From here on, whatever ends this program ends what it started. A signal that is ignored
    stays so: that is what nohup does."""
    for number, code in ENDED.items():
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_, code=code: sys.exit(code))
    atexit.register(stop_all)


def finish(process: subprocess.Popen, limit_s: float) -> str:
    """What a program that ends by itself has written."""
    try:
        return process.communicate(timeout=limit_s)[0]
    except subprocess.TimeoutExpired:
        sys.exit(f"bench: {' '.join(process.args)} did not end in time")
    finally:
        stop(process)


def call(command: list[str], **options) -> int:
    """The exit code of what is no part of a measurement, a build say, and may take its time."""
    process = start_session(command, **options)
    try:
        return process.wait()
    finally:
        stop(process)


def set_up() -> None:
    """What is missing may be there in another way than by a package of Debian: then the build and
    check_programs() find it, or say what they miss."""
    if not shutil.which("apt-get"):
        print("tools/bench: no apt-get here: nothing is installed, the build will say what it "
              "misses", file=sys.stderr)
    # In this session, with its terminal: sudo may ask for a password there.
    elif subprocess.run([str(ROOT / "tools" / "setup"), "bench"],
                        stdin=subprocess.DEVNULL).returncode != 0:
        print("tools/bench: going on without what tools/setup could not install", file=sys.stderr)


def build() -> None:
    """Everything that is measured; says so, because it can take minutes."""
    if "WEIR_BENCH_BUILD" in os.environ:
        return
    set_up()
    print(f"tools/bench: building {BUILD.relative_to(ROOT)}", file=sys.stderr)
    log = ROOT / "build" / "bench.log"
    log.parent.mkdir(exist_ok=True)
    # Tests need packages that a benchmark does not; a tree that is there keeps its setting.
    without = [] if (BUILD / "build.ninja").exists() else ["-DWEIR_TESTS=OFF"]
    for command in (["cmake", "--preset", "release", "-DWEIR_BENCH=ON", *without],
                    ["cmake", "--build", "--preset", "release", "--target", *PROGRAMS]):
        try:
            with log.open("wb") as output:
                code = call(command, cwd=ROOT, stdout=output, stderr=output)
        except FileNotFoundError:
            sys.exit(f"bench: no program {command[0]}; tools/setup bench installs it")
        if code != 0:
            print(*log.read_text(errors="replace").splitlines()[-60:], sep="\n", file=sys.stderr)
            sys.exit(f"bench: `{' '.join(command)}` failed; the whole output is in {log}")


def check_kernel() -> None:
    """Our loads wait to the microsecond, which Linux can since 5.11."""
    ctypes.set_errno(0)
    LIBC.syscall(EPOLL_PWAIT2, -1, None, 0, None, None, 0)
    if ctypes.get_errno() == errno.ENOSYS:
        sys.exit(f"bench: needs the system call epoll_pwait2, of Linux 5.11 and later; this is "
                 f"{os.uname().release}")


def siblings(cpu: int) -> set[int]:
    """The CPUs that are threads of the same core, itself among them."""
    path = pathlib.Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    try:
        ranges = [part.split("-") for part in path.read_text().strip().split(",")]
    except OSError:
        return {cpu}
    return {each for part in ranges for each in range(int(part[0]), int(part[-1]) + 1)}


def two_cpus() -> tuple[int, int]:
    """Of two cores where there are two: threads of one core slow each other down."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        sys.exit("bench: needs two CPUs, one for the proxy and one for the load")
    first = cpus[0]
    return first, next((cpu for cpu in cpus[1:] if cpu not in siblings(first)), cpus[1])


def cpus_text(cpus: tuple[int, int]) -> str:
    """For the caption of a table."""
    shared = ", two threads of one core" if cpus[1] in siblings(cpus[0]) else ""
    return f"CPUs {cpus[0]} and {cpus[1]}{shared}"


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


def of_living(read):
    """For what reads /proc of a process tree. Whoever ends while it is measured ends the suite."""
    @functools.wraps(read)
    def reading(root: int, *more):
        process = next((each for each in started if each.pid == root), None)
        name = f"`{' '.join(process.args[3:])}`" if process else f"process {root}"
        if process and process.poll() is not None:
            sys.exit(f"bench: {name} ended while it was measured, with exit code "
                     f"{process.returncode}")
        try:
            return read(root, *more)
        except (FileNotFoundError, ProcessLookupError):
            sys.exit(f"bench: {name} or a process of it ended while it was measured")
    return reading


def cpu_seconds(root: int) -> float:
    """CPU time of a process and its descendants; all threads."""
    return sum(ran for ran, _ in thread_times(root).values())


Times = dict[str, tuple[float, float]]


@of_living
def thread_times(root: int) -> Times:
    """Of every thread of a process tree, by its id: its CPU time in seconds, and for how long it
    was ready to run and another one did."""
    times: Times = {}
    for pid in process_tree(root):
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            try:
                times[task.name] = thread_time(task)
            except (FileNotFoundError, ProcessLookupError):
                pass  # This thread has just ended, its process has not.
    return times


def thread_time(task: pathlib.Path) -> tuple[float, float]:
    try:
        fields = (task / "schedstat").read_text().split()
        return int(fields[0]) / 1e9, int(fields[1]) / 1e9
    except FileNotFoundError:  # A kernel without scheduler statistics: clock ticks.
        fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
        ticks = int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK"), 0.0


def times_since(before: Times, root: int) -> tuple[float, float]:
    """The CPU time of all threads since then, and for how long the one waited that waited most:
    never more than the time that has passed, however many threads there are."""
    each = [(ran - before.get(task, (0, 0))[0], waited - before.get(task, (0, 0))[1])
            for task, (ran, waited) in thread_times(root).items()]
    return sum(ran for ran, _ in each), max((waited for _, waited in each), default=0.0)


@of_living
def peak_rss_mib(root: int) -> float:
    """The most memory that each of a process and its descendants has had resident, added up."""
    total = 0
    for pid in process_tree(root):
        peak = re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())
        total += int(peak.group(1)) if peak else 0
    return total / 1024


@of_living
def pss_bytes(root: int) -> int:
    """Memory of a process tree; what several processes share is counted in parts."""
    texts = [pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in process_tree(root)]
    return sum(int(re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE).group(1)) << 10
               for text in texts)


@of_living
def user_share(root: int, before: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    """Clock ticks of a process tree in user space and in the kernel since `before`."""
    user = system = 0
    for pid in process_tree(root):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        user, system = user + int(fields[11]), system + int(fields[12])
    return user - before[0], system - before[1]


# --- Proxies ------------------------------------------------------------------------------------


def default_programs() -> dict[str, str]:
    search = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return {"weir": str(BUILD / "weir"),
            **{name: shutil.which(name, path=search) or name for name in ("nginx", "haproxy")}}


def given_program(text: str) -> str:
    """A name that the shell would find, or a path from where the caller stands."""
    path = pathlib.Path(("" if "/" in text else shutil.which(text)) or text).absolute()
    if not path.exists():
        raise argparse.ArgumentTypeError(f"'{text}' does not exist")
    if not path.is_file() or not os.access(path, os.X_OK):
        raise argparse.ArgumentTypeError(f"'{text}' is not a program")
    return str(path)


def add_programs(parser) -> None:
    """Those that are not given are none here: default_programs()."""
    for name in default_programs():
        parser.add_argument(f"--{name}", metavar="PATH", type=given_program,
                            help=f"the {name} to measure")


def check_programs(programs: list[str]) -> None:
    for program in programs:
        if not shutil.which(program):
            sys.exit(f"bench: no program {program}; tools/bench builds ours, `tools/setup bench` "
                     "installs the others")


def check_versions(options, names) -> None:
    """Before something is measured: each of these proxies is there, and says its version."""
    for name in dict.fromkeys(name.split()[0] for name in names):
        if name not in default_programs():
            continue
        program = getattr(options, name)
        check_programs([program])
        command = [program, "version" if name == "weir" else "-v"]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                                  timeout=VERSION_LIMIT_S)
        except (OSError, subprocess.TimeoutExpired) as error:
            sys.exit(f"bench: `{' '.join(command)}` does not work: {error}")
        if done.returncode != 0:
            said = " ".join((done.stderr or done.stdout).decode(errors="replace").split())
            sys.exit(f"bench: `{' '.join(command)}` ends with exit code {done.returncode}: {said}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def port_of(server: subprocess.Popen) -> int:
    """The port that one of our own servers says it listens on."""
    words = server.stdout.readline().split()
    if len(words) < 2:
        sys.exit(f"bench: `{' '.join(server.args[3:])}` ended before it listened")
    return int(words[1])


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


@functools.lru_cache
def nginx_values(nginx: str, folder: pathlib.Path) -> dict[str, str]:
    """What the templates say to some builds of nginx only. Files of a module belong into `folder`,
    and to a build without that module their directive is a mistake; `stream` may be a part of the
    program, a file to be loaded, or not there."""
    done = subprocess.run([nginx, "-V"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=VERSION_LIMIT_S)
    built_with = done.stdout + done.stderr
    modules = [name for name in ("fastcgi", "uwsgi", "scgi")
               if f"--without-http_{name}_module" not in built_with]
    path = re.search(r"--modules-path=(\S+)", built_with)
    load = f"load_module {path[1] if path else 'modules'}/ngx_stream_module.so;"
    return {"TEMP_PATHS": "\n    ".join(f"{name}_temp_path {folder}/nginx-{name};"
                                        for name in modules),
            "LOAD_STREAM": load if "--with-stream=dynamic" in built_with else ""}


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
    deadline, answered = time.monotonic() + START_LIMIT_S, ""
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = (folder / f"{name}.log").read_text(errors="replace").strip()
            sys.exit(f"bench: {name} did not serve: it ended with exit code {process.returncode}"
                     + (f":\n{said}" if said else " and said nothing"))
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", "/")
            response = connection.getresponse()
            if response.status == 200 and len(response.read()) == BODY_BYTES:
                return process
            answered = f" but with status {response.status}"
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.02)
    sys.exit(f"bench: {name} does not answer on port {port}{answered}")


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
