"""Signals that come before weir serves: a stop is never lost and never waits."""

import fcntl
import os
import signal
import subprocess
import termios

from harness import BINARY, Case, config, seconds, wait_until


class EarlySignals(Case):

    def fifo(self):
        path = self.path("weir.fifo")
        os.mkfifo(path)
        return path

    def start_on_pipe(self, *args):
        """weir with its file from a pipe, and the pipe's writing end, which weir waits for."""
        path = self.fifo()
        weir = self.start([*args, "-c", path], ready=False)
        return weir, wait_until(lambda: self.writer(path), 10, "weir to open the pipe")

    def writer(self, path):
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # Nobody reads it yet.
            return None

    def test_stop_while_the_file_is_being_written(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number):
                weir, writer = self.start_on_pipe("run")
                os.write(writer, b"[listener.web]\n")
                weir.signal(number)
                self.assertEqual(weir.wait(), 0)
                os.close(writer)
                os.unlink(self.path("weir.fifo"))

    def test_stop_without_a_writer(self):
        path = self.fifo()
        weir = self.start(["run", "-c", path], ready=False)
        wait_until(lambda: path in self.open_files(weir), 10, "weir to open the pipe")
        weir.signal(signal.SIGINT)
        self.assertEqual(weir.wait(5), 0)

    def open_files(self, weir):
        folder = f"/proc/{weir.pid}/fd"
        return [os.readlink(f"{folder}/{name}") for name in os.listdir(folder)
                if os.path.lexists(f"{folder}/{name}")]

    def test_file_from_a_slow_pipe(self):
        weir, writer = self.start_on_pipe("run")
        port = self.free_port()
        text = config(port, [self.origin()]).encode()
        os.write(writer, text[:20])
        wait_until(lambda: self.drained(writer), 10, "weir to read the first half")
        os.write(writer, text[20:])
        os.close(writer)
        weir.ports = [port]
        weir.wait_ready()
        self.assertEqual(self.client(port).get().body, b"ok")

    def drained(self, writer):
        return int.from_bytes(fcntl.ioctl(writer, termios.FIONREAD, bytes(4)), "little") == 0

    def test_ctrl_c_ends_validate_as_it_ends_any_command(self):
        weir, writer = self.start_on_pipe("validate")
        weir.signal(signal.SIGINT)
        self.assertEqual(weir.wait(), -signal.SIGINT)
        os.close(writer)
        self.weirs.remove(weir)

    def test_signals_are_taken_before_anything_else(self):
        """Before the arguments are looked at: later is a gap in which SIGTERM kills."""
        log = self.path("strace")
        subprocess.run(["strace", "-f", "-o", log, "-e", "trace=signalfd4,write", BINARY,
                        "nonsense"], check=False, capture_output=True, timeout=seconds(20),
                       env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
        with open(log, encoding="ascii") as file:
            calls = file.read()
        self.assertIn("signalfd4(", calls)
        self.assertLess(calls.index("signalfd4("), calls.index("write(2"))
