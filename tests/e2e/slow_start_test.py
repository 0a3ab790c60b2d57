"""A server that is new or back again gets less than its share at first, and more and more."""

import collections

from harness import config, wait_until
from harness.failure import FailureCase, ms


class SlowStart(FailureCase):

    def setUp(self):
        super().setUp()
        self.servers = [self.moody(name) for name in ("back", "two", "three")]

    def proxy(self, slow_start: str, servers: list | None = None, **backend):
        return self.weir(*(servers or self.servers), runtime={"workers": 2}, backend={
            "slow_start": slow_start, "retry": {"statuses": [500]}, **backend})

    def checks(self) -> dict:
        return {"path": "/health", "interval": ms(100), "fast_interval": ms(50), "rise": 1,
                "fall": 1}

    def shares(self, weir, count: int = 900) -> collections.Counter:
        """Who answers so many requests, in percent."""
        load = self.load(weir, clients=6)
        wait_until(lambda: len(load.answers) >= count, 60, "answers")
        answers = load.stop()
        self.assertEqual(load.failures, [])
        names = collections.Counter(answer.server for answer in answers)
        return collections.Counter({name: round(100 * times / len(answers))
                                    for name, times in names.items()})

    def back_by_checks(self, weir) -> None:
        """Down for its checks, and up again."""
        self.servers[0].be(answer="status")
        self.said(weir, f"server app/{self.servers[0].address} is down: status 500")
        self.servers[0].be(answer="ok")
        self.said(weir, f"server app/{self.servers[0].address} is up again")

    def test_a_small_share_at_first(self):
        """In every balance that spreads; what it does not get the others share."""
        for balance in ("round_robin", "p2c", "least_connections", "random", "ewma"):
            with self.subTest(balance=balance):
                weir = self.proxy("1h", balance=balance, health=self.checks())
                self.shares(weir, 30)
                self.back_by_checks(weir)
                shares = self.shares(weir)
                self.assertGreater(shares["back"], 0)
                self.assertLess(shares["back"], 16)
                for other in ("two", "three"):
                    self.assertGreater(shares[other], shares["back"])
                if balance in ("round_robin", "random"):  # Others go by load.
                    self.assertLess(abs(shares["two"] - shares["three"]), 20)

    def test_its_whole_share_at_once(self):
        weir = self.proxy("0s", balance="round_robin", health=self.checks())
        self.back_by_checks(weir)
        self.assertTrue(30 <= self.shares(weir)["back"] <= 36)

    def test_its_share_grows(self):
        weir = self.proxy(ms(3000), balance="round_robin", health=self.checks())
        self.back_by_checks(weir)
        load = self.load(weir, clients=4, pause=0.005)

        def share_of_the_last() -> float:
            last = [answer.server for answer in list(load.answers)[-150:]]
            return len(last) >= 150 and last.count("back") / len(last)

        growing = wait_until(lambda: share_of_the_last(), 10, "150 answers")
        self.took("a fair share", lambda: share_of_the_last() > 0.3, 15)
        load.stop()
        self.assertLess(growing, 0.3)
        self.assertEqual(load.failures, [])

    def test_after_an_ejection(self):
        weir = self.proxy("1h", balance="round_robin",
                          ejection={"consecutive_errors": 3, "time": ms(200)})
        self.servers[0].be(answer="status")
        self.shares(weir, 60)
        self.said(weir, f"server app/{self.servers[0].address} is ejected")
        self.servers[0].be(answer="ok")
        load = self.load(weir, clients=2, pause=0.005)
        self.said(weir, f"server app/{self.servers[0].address} takes requests again")
        load.stop()
        shares = self.shares(weir)
        self.assertGreater(shares["back"], 0)
        self.assertLess(shares["back"], 16)

    def test_a_server_that_a_reload_brings(self):
        weir = self.proxy("1h", self.servers[1:], balance="round_robin")
        self.shares(weir, 30)
        weir.write_config(config(servers=self.servers, **weir.options))
        weir.reload()
        wait_until(lambda: weir.metric("weir_config_generation") == 2, 10, "the reload")
        shares = self.shares(weir)
        self.assertGreater(shares["back"], 0)
        self.assertLess(shares["back"], 16)

    def test_not_when_weir_itself_starts(self):
        """All are new then, and somebody has to serve."""
        for health in (None, self.checks()):
            weir = self.proxy("1h", balance="round_robin", health=health)
            self.assertTrue(30 <= self.shares(weir)["back"] <= 36)

    def test_nobody_is_refused_for_it(self):
        """The only server takes all there is, however new it is."""
        weir = self.proxy("1h", self.servers[:1], health=self.checks(), panic_percent=0)
        self.back_by_checks(weir)
        self.assertEqual(self.shares(weir, 200), {"back": 100})

    def test_with_limits_nobody_waits_for_it(self):
        """A new server with room is better than the queue."""
        for server in self.servers:
            server.be(service=0.05)
        weir = self.proxy("1h", server_limit=2, health=self.checks(), queue={"target": "0s"})
        self.back_by_checks(weir)
        load = self.load(weir, clients=6)
        wait_until(lambda: len(load.answers) >= 120, 30, "answers")
        load.stop()
        self.assertEqual(load.failures, [])
        self.assertLessEqual(self.servers[0].report()["most_in_flight"], 2)
