"""Servers that are killed, stopped, restarted, slow, failing or talking nonsense while clients
ask: requests that may be repeated are never lost, others never happen twice."""

import collections
import signal
import time

from harness import seconds, wait_until
from harness.failure import FailureCase, ms

LEAVES, RETURNS = 2, 5  # Seconds, on a release build.


def posts_at(servers: list) -> collections.Counter:
    """How often each POST came to one of them."""
    return sum((server.posts() for server in servers), start=collections.Counter())


class UnderLoad(FailureCase):

    def setUp(self):
        super().setUp()
        self.servers = [self.moody(name, service=0.01) for name in ("sick", "two", "three")]
        self.sick = self.servers[0]
        self.proxy = self.weir(*self.servers, runtime={"workers": 2}, backend={
            "slow_start": "0s",
            "retry": {"statuses": [500], "try_timeout": ms(500)},
            "ejection": {"consecutive_errors": 3, "time": ms(1000)},
            "health": {"path": "/health", "interval": ms(200), "fast_interval": ms(100),
                       "timeout": ms(400), "fall": 2, "rise": 1}})
        self.gets = self.load(self.proxy, clients=32, pause=0.02)
        self.posts = self.load(self.proxy, clients=2, pause=0.005, method="POST", path="/post/{}")
        wait_until(lambda: self.gets.from_server("sick") > 100, 20, "traffic")

    def left_alone(self) -> bool:
        """weir says so, for whatever reason it found first."""
        name = f"server app/{self.sick.address} is "
        return f"{name}down" in self.proxy.err or f"{name}ejected" in self.proxy.err

    def goes_and_comes(self, go, come) -> None:
        go()
        away = self.took("left alone", self.left_alone, LEAVES)
        seen = len(self.gets.answers)
        wait_until(lambda: len(self.gets.answers) > seen + 300, 20, "traffic without it")
        come()
        cured = time.monotonic()
        back = self.took("used again", lambda: self.gets.from_server("sick", cured) > 20, RETURNS)
        self.assertLess(away, seconds(LEAVES))
        self.assertLess(back, seconds(RETURNS))
        self.assertGreater(len(self.gets.stop()), 500)
        self.posts.stop()
        self.assertEqual(self.gets.failures, [])
        self.no_post_twice()

    def no_post_twice(self) -> None:
        """RFC 9110 9.2.2: counted where it matters, at the servers. What was answered with 200 was
        done; what was not may have been."""
        done = posts_at(self.servers)
        self.assertEqual([post for post, times in done.items() if times > 1], [])
        for answer in self.posts.answers:
            if answer.status == 200:
                self.assertEqual(done[f"/post/{answer.number}"], 1)

    def test_killed_and_restarted(self):
        self.goes_and_comes(self.sick.kill, self.sick.start)

    def test_stopped_and_continued(self):
        """SIGSTOP: the kernel still accepts connections for it, and nobody answers."""
        self.goes_and_comes(self.sick.freeze, self.sick.thaw)

    def test_too_slow(self):
        self.goes_and_comes(lambda: self.sick.be(delay=seconds(3)), lambda: self.sick.be(delay=0))

    def test_status_500(self):
        self.goes_and_comes(lambda: self.sick.be(answer="status"),
                            lambda: self.sick.be(answer="ok"))

    def test_resets_connections(self):
        self.goes_and_comes(lambda: self.sick.be(answer="reset"),
                            lambda: self.sick.be(answer="ok"))

    def test_answers_garbage(self):
        self.goes_and_comes(lambda: self.sick.be(answer="garbage"),
                            lambda: self.sick.be(answer="ok"))

    def test_ends_in_the_middle_of_a_head(self):
        self.goes_and_comes(lambda: self.sick.be(answer="half"),
                            lambda: self.sick.be(answer="ok"))


class WithDefaults(FailureCase):
    """Nothing is configured: however long a server was ill, it is back within the same time."""

    def goes_and_comes(self, go, come) -> None:
        servers = [self.moody(name) for name in ("sick", "two", "three")]
        weir = self.weir(*servers)
        sick = servers[0]
        load = self.load(weir, clients=8, pause=0.01)
        wait_until(lambda: load.from_server("sick") > 20, 20, "traffic")
        go(sick)
        self.said(weir, f"server app/{sick.address} is ejected")
        seen = self.attempts(weir, sick)
        # From the third failed trial on waits do not grow any more, and the next has just begun.
        self.took("three trials", lambda: self.attempts(weir, sick) >= seen + 3, 30)
        come(sick)
        cured = time.monotonic()
        back = self.took("used again", lambda: load.from_server("sick", cured) > 0, RETURNS)
        self.assertLess(back, seconds(RETURNS))
        load.stop()
        wait_until(lambda: weir.metric("weir_server_returns_total", server=sick.address) >= 1, 10,
                   "the return to be counted")

    def attempts(self, weir, server) -> float:
        return sum(weir.metric(name, server=server.address) for name in
                   ("weir_server_requests_total", "weir_server_connect_failures_total"))

    def test_killed_and_restarted(self):
        self.goes_and_comes(lambda sick: sick.kill(), lambda sick: sick.start())

    def test_status_500(self):
        self.goes_and_comes(lambda sick: sick.be(answer="status"),
                            lambda sick: sick.be(answer="ok"))



class RealServers(FailureCase):

    def test_nginx_stopped_under_load(self):
        """SIGSTOP without any health check: the timeout of a try finds it out."""
        servers = [self.nginx(name=name) for name in ("sick", "two", "three")]
        weir = self.weir(*servers, runtime={"workers": 2}, backend={
            "slow_start": "0s", "retry": {"try_timeout": ms(400)},
            "ejection": {"consecutive_errors": 3, "time": ms(1000)}})
        load = self.load(weir, clients=32, pause=0.02, path="/name?{}")
        wait_until(lambda: load.from_server("sick") > 100, 20, "traffic")
        process = servers[0].process
        process.send_signal(signal.SIGSTOP)
        self.addCleanup(process.send_signal, signal.SIGCONT)
        self.took("left alone", lambda: " is ejected for a while: " in weir.err, LEAVES)
        seen = len(load.answers)
        wait_until(lambda: len(load.answers) > seen + 300, 20, "traffic without it")
        process.send_signal(signal.SIGCONT)
        cured = time.monotonic()
        self.took("used again", lambda: load.from_server("sick", cured) > 20, RETURNS)
        load.stop()
        self.assertEqual(load.failures, [])


class Posts(FailureCase):
    """A POST that a server has seen is never sent a second time, whatever becomes of it."""

    def test_not_even_when_every_server_fails(self):
        for mood in ({"answer": "reset"}, {"answer": "half"}, {"answer": "garbage"},
                     {"answer": "status"}, {"delay": 60}):
            with self.subTest(mood=mood):
                servers = [self.moody(name, **mood) for name in ("one", "two", "three")]
                weir = self.weir(*servers, runtime={"workers": 2}, backend={
                    "retry": {"statuses": [500], "try_timeout": ms(300)}})
                load = self.load(weir, clients=4, method="POST", path="/post/{}")
                wait_until(lambda: len(load.answers) > 20, 20, "answers")
                load.stop()
                posts = posts_at(servers)
                self.assertEqual(set(posts.values()), {1})
                self.assertEqual(len(posts), len(load.answers))
                self.assertTrue(all(answer.status >= 500 for answer in load.answers))
