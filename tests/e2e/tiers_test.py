"""Servers of a higher priority number, and backups, wait until nobody better is left."""

from harness import response, wait_until
from harness.named import NamedCase

BUSY = response(b"busy", status="503 Service Unavailable")
SOON = {"time": "100ms", "time_max": "100ms"}  # An ejected server is tried again.


class TiersCase(NamedCase):

    def tiered(self, servers, priorities, **backend):
        """Backends whose servers have these priorities; `backup` is one too."""
        tables = [{"address": server, **({"backup": True} if priority == "backup" else
                                         {"priority": priority})}
                  for server, priority in zip(servers, priorities)]
        backend = {"balance": "round_robin", "slow_start": "0s", "ejection": SOON, **backend}
        return self.weir(*tables, backend=backend)


class Backups(TiersCase):

    def test_a_backup_gets_nothing_while_one_other_is_up(self):
        servers = self.named("ABC")
        weir = self.tiered(servers, (0, 0, "backup"))
        self.assertEqual(self.counts(weir, 20), {"A": 10, "B": 10})
        servers[0].die()
        self.assertEqual(set(self.names(weir, 20)), {"B"})
        self.assertEqual(servers[2].asked, [])

    def test_it_takes_over_and_gives_back(self):
        servers = self.named("ABC")
        weir = self.tiered(servers, (0, 0, "backup"))
        for server in servers[:2]:
            server.die()
        self.assertEqual(set(self.names(weir, 20)), {"C"})
        servers[1].revive()
        wait_until(lambda: set(self.names(weir, 10)) == {"B"}, 20, "the other to be used again")

    def test_with_every_policy(self):
        for balance in ("p2c", "ewma", "least_connections", "least_load", "random", "first",
                        "ip_hash", "uri_hash"):
            with self.subTest(balance=balance):
                servers = self.named("ABC")
                weir = self.tiered(servers, ("backup", 0, 0), balance=balance)
                self.assertLessEqual(set(self.names(weir, 30)), {"B", "C"})
                servers[1].die()
                servers[2].die()
                self.assertEqual(set(self.names(weir, 10)), {"A"})

    def test_weight_zero_is_nobody(self):
        servers = self.named("AB")
        weir = self.weir({"address": servers[0], "weight": 0},
                         {"address": servers[1], "backup": True})
        self.assertEqual(set(self.names(weir, 10)), {"B"})

    def test_several_backups_share(self):
        servers = self.named("ABC")
        weir = self.tiered(servers, (0, "backup", 9))
        servers[0].die()
        self.assertEqual(self.counts(weir, 21).keys(), {"B", "C"})

    def test_a_check_that_finds_everybody_down_calls_the_backup(self):
        servers = self.named("ABC")
        for server in servers[:2]:
            server.health = BUSY
        weir = self.tiered(servers, (0, 0, "backup"), panic_percent=0, health={
            "path": "/health", "interval": "50ms", "fast_interval": "20ms", "fall": 2, "rise": 2})
        wait_until(lambda: weir.err.count(" is down: ") == 2, 10, "the checks' verdict")
        self.assertEqual(set(self.names(weir, 10)), {"C"})
        servers[0].report("fine")
        wait_until(lambda: set(self.names(weir, 5)) == {"A"}, 10, "the first to be used again")

    def test_a_healthy_backup_is_no_reason_to_panic(self):
        """One of eleven is less than panic_percent, but all of its tier."""
        servers = self.named("ABCDEFGHIJK")
        for server in servers[:10]:
            server.health = BUSY
        weir = self.tiered(servers, (0,) * 10 + ("backup",), health={
            "path": "/health", "interval": "50ms", "fast_interval": "20ms", "fall": 2, "rise": 2})
        wait_until(lambda: weir.err.count(" is down: ") == 10, 10, "the checks' verdict")
        asked = [len(server.asked) for server in servers[:10]]
        looked = weir.metric("weir_backend_panic")
        self.assertEqual(self.names(weir, 20), "K" * 20)
        self.assertEqual([len(server.asked) for server in servers[:10]], asked)
        self.assertEqual(looked, 0)
        servers[10].health = BUSY
        wait_until(lambda: weir.metric("weir_backend_panic") == 1, 10, "panic")
        self.assertGreater(len(set(self.names(weir, 50))), 2)


class Priorities(TiersCase):

    def test_tier_by_tier(self):
        servers = self.named("ABCD")
        weir = self.tiered(servers, (2, 1, 1, 5))
        for dies, expected in ((None, "BC"), (1, "C"), (2, "A"), (0, "D")):
            if dies is not None:
                servers[dies].die()
            self.assertEqual(set(self.names(weir, 12)), set(expected))

    def test_a_failed_request_goes_on_in_the_next_tier(self):
        servers = self.named("AB")
        servers[0].answer = BUSY
        weir = self.tiered(servers, (0, 3), retry={"statuses": 503}, ejection={"enabled": False})
        self.assertEqual(set(self.names(weir, 10)), {"B"})
        self.assertEqual(len(servers[0].asked), 10)

    def test_a_failed_request_prefers_its_own_tier(self):
        servers = self.named("ABC")
        servers[0].answer = BUSY
        weir = self.tiered(servers, (0, 1, 0), retry={"statuses": 503},
                           ejection={"enabled": False})
        self.assertEqual(set(self.names(weir, 10)), {"C"})
        self.assertEqual(servers[1].asked, [])

    def test_a_full_tier_is_not_a_missing_one(self):
        """Backups are for servers that cannot be used; what only has to wait waits."""
        servers = self.named("AB")
        weir = self.tiered(servers, (0, "backup"), server_limit=1)
        clients = self.hold(weir, 3)
        self.held(servers, 1)
        wait_until(lambda: weir.metric("weir_http_requests_in_flight") == 3, 10, "all three")
        self.finish(servers, clients)
        self.assertEqual([len(server.asked) for server in servers], [3, 0])
