"""Standard input, output and error in odd states: closed, a pipe nobody reads, a full disk."""

import os
import subprocess

from harness import BINARY, Case, wait_until


class StandardStreams(Case):

    def test_closed_at_the_start(self):
        """No socket may get the number of a standard stream: log lines would go into it."""
        server = self.origin()
        for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
            with self.subTest(closed=closed):
                port = self.free_port()
                command = (f"exec {BINARY} -N 1 --access-log - {port} {server.port} {closed}")
                weir = subprocess.Popen(["bash", "-c", command], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                try:
                    wait_until(lambda port=port: self.answers(port), 10, "weir to answer")
                    kinds = [os.readlink(f"/proc/{weir.pid}/fd/{number}") for number in range(3)]
                    for kind in kinds:
                        self.assertNotRegex(kind, "^(socket|anon_inode|pipe)", str(kinds))
                finally:
                    weir.terminate()
                    self.assertEqual(weir.wait(20), 0)

    def answers(self, port):
        try:
            return self.client(port).get().body == b"ok"
        except OSError:
            return False

    def test_output_that_nobody_reads(self):
        """The reader of a pipe goes away: weir serves on, without a busy log thread."""
        read_end, write_end = os.pipe()
        server, port = self.origin(), self.free_port()
        weir = subprocess.Popen([BINARY, "-N", "1", "--access-log", "-", str(port),
                                 str(server.port)], stdin=subprocess.DEVNULL, stdout=write_end,
                                stderr=write_end)
        os.close(write_end)
        try:
            wait_until(lambda: self.answers(port), 10, "weir to answer")
            os.close(read_end)
            client = self.client(port)
            for _ in range(300):
                self.assertEqual(client.get().body, b"ok")
            self.assertIsNone(weir.poll())
        finally:
            weir.terminate()
            self.assertEqual(weir.wait(20), 0)

    def test_full_disk(self):
        """Lines that cannot be written are counted as dropped; traffic goes on."""
        weir = self.weir(self.origin(), access_log="/dev/full")
        client = self.client(weir)
        for _ in range(100):
            self.assertEqual(client.get().body, b"ok")
        wait_until(lambda: weir.metric("weir_access_log_lines_dropped_total") > 0, 5,
                   "the lost lines to be counted")
