"""`weir demo`: three embedded servers, a balancer in front, something to look at at once."""

import os
import pty
import re
import subprocess

from harness import BINARY, Case, curl, seconds, wait_until


class Demo(Case):

    def test_demo(self):
        weir = self.start(["demo"])
        url = wait_until(lambda: re.search(r"http://[^\s/]+(:\d+)?/?", weir.output), 10,
                         "an address to open")[0]
        wait_until(lambda: curl("-o", "/dev/null", "-w", "%{http_code}", url,
                                check=False).stdout == b"200", 10, "the demo to answer")
        bodies = {curl(url).stdout for _ in range(30)}
        self.assertGreaterEqual(len(bodies), 3, "three servers should answer")

    def test_two_demos_side_by_side(self):
        """The second one finds a free port of its own."""
        for _ in range(2):
            weir = self.start(["demo"])
            url = wait_until(lambda weir=weir: re.search(r"http://[^\s/]+(:\d+)?/?", weir.output),
                             10, "an address to open")[0]
            wait_until(lambda url=url: curl("-o", "/dev/null", "-w", "%{http_code}", url,
                                            check=False).stdout == b"200", 10, "an answer")

    def test_ctrl_c_on_a_terminal(self):
        """The `^C` that the terminal shows and the live line are wiped; a summary is left."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(BINARY, [BINARY, "demo", "--port", "0"])
        shown = b""

        def read_until(end):
            nonlocal shown
            while end not in shown:
                try:
                    shown += os.read(terminal, 4_096)
                except OSError:  # The other side is closed.
                    break
            self.assertIn(end, shown)

        try:
            read_until(b"requests 0 (0/s)")
            os.write(terminal, b"\x03")
            read_until(b"demo over")
            read_until(b"errors 0\r\n")
        finally:
            os.close(terminal)
            _, status = os.waitpid(pid, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), 0)
        after = shown[shown.index(b"^C"):].decode()
        self.assertRegex(after, r"^\^C\r\x1b\[K")
        self.assertRegex(after, r"\r\x1b\[Kweir: stopping: [^\r\n]*\r\n"
                                r"demo over: 0 requests, fast 0, medium 0, slow 0, errors 0\r\n$")

    def test_piped_output(self):
        """Plain lines; with the reader the demo ends as well, as `weir demo | head` should."""
        demo = subprocess.Popen([BINARY, "demo", "--port", "0"], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            lines = [demo.stdout.readline() for _ in range(3)]
            self.assertNotIn("\x1b", "".join(lines))
            demo.stdout.close()
            self.assertEqual(demo.wait(seconds(10)), 0)
        finally:
            demo.kill()
            demo.wait()
