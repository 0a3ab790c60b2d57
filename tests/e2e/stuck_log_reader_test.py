"""A reader of weir's logs that stays open and takes nothing: traffic, reloads and the end go on."""

import json
import os
import signal
import subprocess

from harness import BINARY, Case, config, seconds, wait_until

# A line of three pages: the sixteen pages of a pipe end in the middle of one.
LONG_TARGET = f"/{'x' * 4_200}?{'y' * 3_900}"


class StuckReader(Case):

    def fifo(self):
        """A named pipe that somebody has open and never reads."""
        path = self.path("log.fifo")
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        return path

    def fill(self, weir):
        """Requests until lines are dropped: pipe and ring are full."""
        client = self.client(weir)

        def dropped():
            for _ in range(50):
                self.assertEqual(client.get(LONG_TARGET).body, b"ok")
            return weir.metric("weir_access_log_lines_dropped_total") > 0

        wait_until(dropped, 30, "lines to be dropped and counted")
        return client

    def reload(self, weir):
        before = weir.metric("weir_config_generation")
        weir.reload()
        wait_until(lambda: weir.metric("weir_config_generation") == before + 1, 10, "the reload")

    def test_access_log(self):
        """What weir has to say itself still reaches standard error."""
        weir = self.weir(self.origin(), access_log=self.fifo())
        client = self.fill(weir)
        self.reload(weir)
        wait_until(lambda: "generation 2 is active" in weir.err, 10, "the word about the reload")
        self.assertEqual(client.get().body, b"ok")
        weir.terminate()
        self.assertIn("stopping", weir.err)

    def test_rotation_away_from_it(self):
        """SIGUSR1 opens the path anew: whole lines only, though one had begun in the pipe."""
        path = self.fifo()
        weir = self.weir(self.origin(), access_log=path)
        client = self.fill(weir)
        os.unlink(path)
        weir.signal(signal.SIGUSR1)
        wait_until(lambda: os.path.exists(path), 10, "the new file")
        client.get("/last")

        def lines():
            with open(path, encoding="ascii") as file:
                return file.read().splitlines()

        wait_until(lambda: lines() and '"/last"' in lines()[-1], 10, "the last line")
        self.assertGreater(len([json.loads(line) for line in lines()]), 300)

    def test_pipe_that_nobody_has_opened(self):
        """At the start it is refused; at a rotation the old file stays. Neither waits."""
        lonely = self.path("lonely.fifo")
        os.mkfifo(lonely)
        weir = self.run_config(config(self.free_port(), [self.origin()], access_log=lonely), [],
                               ready=False)
        self.assertEqual(weir.wait(), 1)
        self.assertIn("no program has this pipe open for reading", weir.err)
        self.weirs.remove(weir)
        path = self.path("access.log")
        weir = self.weir(self.origin(), access_log=path)
        os.rename(path, path + ".1")
        os.mkfifo(path)
        weir.signal(signal.SIGUSR1)
        wait_until(lambda: "the old access log stays open" in weir.err, 10, "the refusal")
        self.client(weir).get("/kept")
        wait_until(lambda: os.path.getsize(path + ".1") > 0, 10, "the line in the old file")

    def test_standard_error(self):
        """Full before weir starts: nothing it says can be written, everything else works."""
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        os.set_blocking(write_end, False)
        try:
            while True:
                os.write(write_end, b"x" * 4_096)
        except BlockingIOError:
            os.set_blocking(write_end, True)
        port, admin = self.free_port(), self.free_port()
        path = self.path("weir.toml")
        with open(path, "w", encoding="ascii") as file:
            file.write(config(port, [self.origin()], admin=f"127.0.0.1:{admin}"))
        process = subprocess.Popen([BINARY, "run", "-c", path], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=write_end)
        os.close(write_end)
        try:
            wait_until(lambda: self.reached(port), 10, "an answer")
            for number in range(2, 5):
                process.send_signal(signal.SIGHUP)
                wait_until(lambda number=number: f"\nweir_config_generation {number}\n" in
                           self.client(admin).get("/metrics", host="a").body.decode(), 10,
                           f"generation {number}")
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(seconds(10)), 0)
        finally:
            process.kill()
            process.wait()

    def reached(self, port):
        try:
            return self.client(port).get().body == b"ok"
        except OSError:
            return False
