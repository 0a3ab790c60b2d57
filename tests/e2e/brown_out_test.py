"""Brown-out: all servers are so slow at once that no answer is in time. weir does not make it worse
with retries, does not put all servers away, and serves again as soon as they do."""

import time

from harness import seconds, wait_until
from harness.failure import FailureCase, ms

SLOW = 5.0          # Seconds for an answer.
LOAD_MOST = 1.2     # Requests at the servers per request of the clients.
RECOVERS = 2        # Seconds, on a release build.


class BrownOut(FailureCase):

    def setUp(self):
        super().setUp()
        self.servers = [self.moody(name) for name in ("one", "two", "three")]

    def asked(self) -> int:
        return sum(server.report()["requests"] for server in self.servers)

    def slow(self, delay: float) -> None:
        for server in self.servers:
            server.be(delay=delay)

    def brown_out(self, weir, rate: float, count: int) -> float:
        """Requests at the servers per request of the clients while nothing is in time; then the
        servers recover. `count`: requests of the clients meanwhile."""
        load = self.load(weir, rate=rate)
        wait_until(lambda: len(load.answers) >= rate, 30, "traffic while all is well")
        self.assertEqual(load.failures, [])
        asked, client = self.asked(), load.asked
        self.slow(seconds(SLOW))
        wait_until(lambda: load.asked >= client + count, 60, "requests during the brown-out")
        share = (self.asked() - asked) / (load.asked - client)
        self.slow(0)
        cured = time.monotonic()
        self.took("served again", lambda: sum(load.from_server(server.name, cured)
                                              for server in self.servers) >= 50, RECOVERS + 3)
        wait_until(lambda: len(load.answers) >= rate + count, 30, "the end of the slow ones")
        load.stop()
        self.say(f"{share:.2f} requests at the servers per request of the clients")
        self.assertLess(self.recovered(load, cured), seconds(RECOVERS))
        return share

    def recovered(self, load, cured: float) -> float:
        """When the last request began that was not served, in seconds after the servers' cure."""
        lost = [answer.begun - cured for answer in load.failures if answer.begun > cured]
        after = max(lost, default=0.0)
        self.say(f"{len(lost)} requests lost after the cure, the last after {after:.3f} s")
        return after

    def test_with_a_timeout_for_each_try(self):
        """Each try is given up after half a second, so that retries suggest themselves."""
        weir = self.weir(*self.servers, runtime={"workers": 2}, backend={
            "retry": {"try_timeout": ms(500)}})
        self.assertLessEqual(self.brown_out(weir, 200, 1_200), LOAD_MOST)

    def test_with_health_checks_that_fail(self):
        """All servers are down for their checks; that is no reason to have none."""
        weir = self.weir(*self.servers, runtime={"workers": 2}, backend={
            "retry": {"try_timeout": ms(500)},
            "health": {"path": "/health", "interval": ms(200), "fast_interval": ms(100),
                       "timeout": ms(400), "fall": 2, "rise": 1}})
        self.assertLessEqual(self.brown_out(weir, 200, 1_200), LOAD_MOST)

    def test_after_quiet_times(self):
        """What was not retried in a long good time is no reserve for a bad one."""
        weir = self.weir(*self.servers, runtime={"workers": 2}, backend={
            "retry": {"try_timeout": ms(500)}})
        load = self.load(weir, clients=16)
        wait_until(lambda: len(load.answers) > 8_000, 60, "a long good time")
        load.stop()
        self.assertLessEqual(self.brown_out(weir, 200, 1_200), LOAD_MOST)

    def test_without_timeouts_nothing_is_sent_twice(self):
        """Five seconds are within the defaults: everybody gets an answer, and one request is
        one."""
        weir = self.weir(*self.servers, runtime={"workers": 2})
        load = self.load(weir, rate=100)
        wait_until(lambda: load.asked >= 100, 30, "traffic")
        self.slow(seconds(SLOW))
        wait_until(lambda: load.asked >= 600, 30, "requests during the brown-out")
        self.slow(0)
        load.stop()
        self.assertEqual(load.failures, [])
        self.assertEqual(self.asked(), load.asked)
