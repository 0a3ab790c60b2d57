"""`weir demo`: three embedded servers, a balancer in front, something to look at at once."""

import re

from harness import Case, curl, wait_until


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
