"""bench/rig.py and what stands on it: nothing that was started stays, whoever fails is named, and
only its suite is lost."""

import argparse
import errno
import io
import os
import pathlib
import shutil
import signal
import subprocess
import sys
from unittest import mock

from harness import Case, seconds, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

import comparison  # noqa: E402
import main  # noqa: E402
import pgo  # noqa: E402
import plain  # noqa: E402
import rig  # noqa: E402

# Starts a process as a suite does, says its number, and waits for it. Whoever runs the tests may
# ignore signals (nohup, a shell's background), and children would do so too.
STARTER = """
import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, sys.argv[1])
import main, rig
def suites(chosen):
    sleeper = rig.start(rig.two_cpus()[0], ["sleep", "600"])
    print(sleeper.pid, flush=True)
    sleeper.wait()
main.run_all = suites
sys.exit(main.main(["micro", "--dry-run"]))
"""


def is_there(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Signals(Case):

    def end(self, number, **options):
        """Exit code and error output of a bench that has got this signal."""
        with subprocess.Popen([sys.executable, "-c", STARTER, str(ROOT / "bench")], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, **options) as bench:
            try:
                sleeper = int(bench.stdout.readline())
                bench.send_signal(number)
                said = bench.communicate(timeout=seconds(20))[1]
            finally:
                bench.kill()
        wait_until(lambda: not is_there(sleeper), what="what was started has ended")
        return bench.returncode, said

    def test_nothing_outlives_the_bench_whatever_ends_it(self):
        for number, expected in ((signal.SIGTERM, (143, "")), (signal.SIGHUP, (129, "")),
                                 (signal.SIGINT, (130, "bench: interrupted\n")),
                                 (signal.SIGKILL, (-9, ""))):
            with self.subTest(number=number):
                self.assertEqual(self.end(number), expected)

    def test_a_signal_that_is_ignored_stays_so(self):
        script = ("import sys; sys.path.insert(0, sys.argv[1]); import rig, signal\n"
                  "rig.outlive_nothing(); signal.raise_signal(signal.SIGHUP); print('went on')")
        said = subprocess.run(["nohup", sys.executable, "-c", script, str(ROOT / "bench")],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=seconds(20)).stdout
        self.assertEqual(said, "went on\n")


class Containment(Case):
    """Suites of this test do what it says; nothing is published."""

    def setUp(self):
        super().setUp()
        self.addCleanup(rig.stop_all)
        self.options = argparse.Namespace(
            cpus=rig.two_cpus(), dry_run=True, json=None, write=False, names=[], rounds=1,
            weir=self.script("weir", "echo weir 0.1.0"),
            nginx=self.script("nginx", "echo nginx 1.2.3"),
            haproxy=self.script("haproxy", "echo HAProxy 2.3.4"))

    def script(self, name, *lines):
        path = pathlib.Path(self.directory) / name
        path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        path.chmod(0o755)
        return str(path)

    def run_suite(self, work):
        """Its exit code, and what was said of it."""
        suite = comparison.Comparison("small", "", lambda options, folder: work(),
                                      lambda found, options: "text\n",
                                      lambda found: comparison.Noise())
        with mock.patch("sys.stderr", io.StringIO()) as said, mock.patch("sys.stdout"):
            code = main.run(suite, self.options)
        return code, said.getvalue()

    def assert_lost(self, work, words):
        code, said = self.run_suite(work)
        self.assertEqual(code, 1)
        self.assertRegex(said, r"\Abench: small: [^\n]+\n\Z")
        self.assertIn(words, said)
        self.assertEqual(rig.started, [])

    def start(self, *command):
        return rig.start(self.options.cpus[0], list(command), stdout=subprocess.PIPE, text=True)

    def test_a_suite_that_is_fine(self):
        self.assertEqual(self.run_suite(lambda: {}), (0, ""))

    def test_an_origin_that_ends_at_once(self):
        self.assert_lost(lambda: rig.port_of(self.start("true")), "`true` ended before it listened")

    def test_a_process_that_ends_while_it_is_measured(self):
        def work():
            measured = self.start("true")
            wait_until(lambda: not is_there(measured.pid))
            rig.thread_times(measured.pid)
        self.assert_lost(work, "`true` ended while it was measured, with exit code 0")

    def test_a_descendant_that_vanishes(self):
        measured = self.start("sleep", "600")
        with mock.patch.object(rig, "process_tree", lambda root: [root, 2 ** 22 + 1]):
            for read in (rig.thread_times, rig.peak_rss_mib, rig.pss_bytes, rig.user_share):
                with self.assertRaises(SystemExit) as end:
                    read(measured.pid)
                self.assertIn("`sleep 600` or a process of it ended", str(end.exception))

    def test_what_nobody_has_foreseen_says_where_it_was(self):
        self.assert_lost(lambda: [][0], "IndexError at bench_rig_test.py:")

    def test_a_program_that_does_not_work_is_found_before_anything_is_measured(self):
        measured = mock.Mock()
        for name, change, words in (
                ("weir", self.script("broken", "echo no such thing >&2", "exit 3"),
                 "version` ends with exit code 3: no such thing"),
                ("haproxy", "/nonexistent", "no program /nonexistent"),
                ("nginx", self.script("garbage", "") + "x", "no program ")):
            before, after = getattr(self.options, name), change
            setattr(self.options, name, after)
            with self.subTest(name=name):
                self.assert_lost(measured, words)
            setattr(self.options, name, before)
        measured.assert_not_called()

    def test_a_program_that_is_no_proxy_did_not_serve(self):
        folder = pathlib.Path(self.directory) / "proxies"
        folder.mkdir()
        self.options.weir = shutil.which("true")
        self.assert_lost(lambda: plain.start("weir", plain.Shape(), self.options, folder, 9),
                         "weir did not serve: it ended with exit code 0 and said nothing")

    def test_the_exit_code_is_that_of_the_worst_suite(self):
        for codes, expected in (((0, 0), 0), ((0, 3), 3), ((3, 1, 0), 1)):
            chosen = [(mock.Mock(), argparse.Namespace()) for _ in codes]
            for (suite, _), name in zip(chosen, ("one", "two", "three")):
                suite.name = name
            with mock.patch.object(main, "run", side_effect=codes), mock.patch("sys.stderr"), \
                    mock.patch.object(rig, "build"):
                self.assertEqual(main.run_all(chosen), expected)


class Machine(Case):

    def test_the_priority_of_a_session_is_lowered_when_the_kernel_lets_it(self):
        busy = OSError(errno.EAGAIN, "not now")
        with mock.patch.object(pathlib.Path, "write_text", side_effect=[busy, busy, 2]) as write:
            rig.lower_session(1)
        self.assertEqual(write.call_count, 3)
        for number in (errno.ENOENT, errno.EPERM, errno.ESRCH):
            with mock.patch.object(pathlib.Path, "write_text", side_effect=OSError(number, "")):
                rig.lower_session(1)

    def test_two_cores_are_preferred_to_two_threads_of_one(self):
        threads = {0: {0, 1}, 1: {0, 1}, 2: {2, 3}, 3: {2, 3}}
        with mock.patch.object(rig, "siblings", threads.get):
            for cpus, chosen, text in (((0, 1, 2, 3), (0, 2), "CPUs 0 and 2"),
                                       ((1, 3), (1, 3), "CPUs 1 and 3"),
                                       ((2, 3), (2, 3), "CPUs 2 and 3, two threads of one core")):
                with mock.patch.object(os, "sched_getaffinity", lambda _, cpus=cpus: set(cpus)):
                    self.assertEqual(rig.two_cpus(), chosen)
                self.assertEqual(rig.cpus_text(chosen), text)

    def test_without_packages_of_debian_the_build_decides(self):
        for apt, code, calls, words in ((None, 0, 0, "no apt-get here"),
                                        ("/bin/apt-get", 0, 1, ""),
                                        ("/bin/apt-get", 1, 1, "going on without what ")):
            done = mock.Mock(returncode=code)
            with mock.patch.object(shutil, "which", return_value=apt), \
                    mock.patch.object(subprocess, "run", return_value=done) as run, \
                    mock.patch("sys.stderr", io.StringIO()) as said:
                rig.set_up()
            self.assertEqual(run.call_count, calls)
            self.assertIn(words, said.getvalue())

    def test_a_kernel_without_the_loads_system_call_is_refused(self):
        rig.check_kernel()
        with mock.patch.object(rig, "EPOLL_PWAIT2", 1_000_000), \
                self.assertRaises(SystemExit) as end:
            rig.check_kernel()
        self.assertIn("needs the system call epoll_pwait2, of Linux 5.11", str(end.exception))

    def test_siblings_are_read_as_lists_of_ranges(self):
        for text, expected in (("5\n", {5}), ("0-1\n", {0, 1}), ("0,8\n", {0, 8}),
                               ("0-1,8-9\n", {0, 1, 8, 9})):
            with mock.patch.object(pathlib.Path, "read_text", lambda _, text=text: text):
                self.assertEqual(rig.siblings(0), expected)

    def test_nginx_is_told_only_what_its_build_understands(self):
        folder = pathlib.Path(self.directory)
        for number, (built_with, lines, load) in enumerate((
                ("--modules-path=/m --with-stream=dynamic", 3,
                 "load_module /m/ngx_stream_module.so;"),
                ("--with-stream=dynamic", 3, "load_module modules/ngx_stream_module.so;"),
                ("--with-stream --without-http_uwsgi_module", 2, ""),
                ("--without-http_fastcgi_module --without-http_uwsgi_module "
                 "--without-http_scgi_module --with-stream", 0, ""))):
            program = folder / f"nginx{number}"
            program.write_text(f"#!/bin/sh\necho 'configure arguments: {built_with}' >&2\n")
            program.chmod(0o755)
            values = rig.nginx_values(str(program), folder)
            self.assertEqual(values["LOAD_STREAM"], load)
            self.assertEqual(values["TEMP_PATHS"].count("_temp_path"), lines)
            self.assertNotIn("uwsgi" if "http_uwsgi" in built_with else "?", values["TEMP_PATHS"])

    def test_the_second_word_of_a_proxy_is_in_its_file(self):
        given = argparse.Namespace(**rig.default_programs())
        ports = {"PORT": 8080, "ADMIN": 8081, "ORIGIN": 8082}
        for name, spliced in (("haproxy", False), ("haproxy splice", True)):
            path = plain.command_of(name, plain.Shape(), given, pathlib.Path(self.directory),
                                    ports)[-1]
            self.assertEqual("option splice-request" in pathlib.Path(path).read_text(), spliced)
            checked = subprocess.run([given.haproxy, "-c", "-f", path], capture_output=True,
                                     text=True, timeout=seconds(20))
            self.assertEqual(checked.returncode, 0, checked.stderr)

    def test_a_program_older_than_a_source_is_noticed(self):
        program = pathlib.Path(self.directory) / "weir"
        program.touch()
        newest = max(path.stat().st_mtime for path in (ROOT / "src").rglob("*") if path.is_file())
        os.utime(program, (0, newest - 1))
        self.assertIsNotNone(pgo.newer_source(program))
        os.utime(program, (0, newest + 10 ** 9))
        self.assertIsNone(pgo.newer_source(program))
