"""Servers that answer badly are left alone for a while, without any health check: who is, for how
long, how they come back, and when it is better to put nobody away."""

import collections
import threading

from harness import response, seconds, wait_until
from harness.failure import FailureCase, ms

FAILS = response(b"", status="500 Oops")


class Acting:
    """A script whose answer can be changed, and held back until `gate` is set."""

    def __init__(self, name: str):
        self.name, self.data, self.delay = name, None, 0.0
        self.gate = threading.Event()
        self.gate.set()
        self.targets: list[str] = []

    def __call__(self, connection) -> None:
        while request := connection.request():
            self.targets.append(request.target)
            self.gate.wait(seconds(20))
            if self.delay:
                threading.Event().wait(self.delay)
            connection.send(self.data or response(self.name.encode()))


class EjectionCase(FailureCase):

    def servers(self, count: int) -> list:
        self.acts = [Acting(name) for name in "ABCDEFGH"[:count]]
        self.addresses = [self.origin(act) for act in self.acts]
        return self.addresses

    def proxy(self, ejection: dict, **backend):
        return self.weir(*self.addresses, backend={
            "balance": "round_robin", "retry": {"enabled": False}, "ejection": ejection,
            **backend})

    def ask(self, weir, count: int) -> collections.Counter:
        """Who answers; a status where it is no 200."""
        client = self.client(weir)
        answers = (client.get() for _ in range(count))
        return collections.Counter(answer.body.decode() if answer.status == 200 else answer.status
                                   for answer in answers)

    def ejected(self, weir, index: int, why: str, deadline: float = 15) -> None:
        self.said(weir, f"server app/{self.addresses[index].address} is ejected for a while: "
                        f"{why}", deadline)

    def load_until(self, weir, condition, deadline: float = 20) -> None:
        """Requests without pause until it is so."""
        load = self.load(weir, clients=4, pause=0.002)
        wait_until(condition, deadline, weir.err[-2000:])
        load.stop()


class ErrorsInARow(EjectionCase):

    def test_so_many_and_no_more(self):
        for status in (500, 502, 503, 504):
            with self.subTest(status=status):
                self.servers(3)
                weir = self.proxy({"consecutive_errors": 4, "time": "1h"})
                self.acts[0].data = response(b"", status=f"{status} Oops")
                self.assertEqual(self.ask(weir, 30)[status], 4)
                self.ejected(weir, 0, "errors in a row")

    def test_a_good_answer_between_them(self):
        """In a row means in a row."""
        self.servers(2)
        weir = self.proxy({"consecutive_errors": 3, "time": "1h", "error_percent": 0})
        client = self.client(weir)
        for _ in range(5):
            for data in (FAILS, FAILS, None):
                self.acts[0].data = data
                client.get(), client.get()
        self.assertEqual(len(self.acts[0].targets), 15)
        self.assertNotIn("ejected", weir.err)

    def test_what_is_no_error_of_the_server(self):
        """It understood, and says no; 501 is about the method."""
        self.servers(2)
        weir = self.proxy({"consecutive_errors": 2, "time": "1h"})
        for status in ("400 Bad", "404 No", "429 Slow Down", "501 No Such Method"):
            self.acts[0].data = response(b"", status=status)
            self.assertEqual(self.ask(weir, 20)[int(status[:3])], 10)
        self.assertNotIn("ejected", weir.err)

    def test_timeouts(self):
        self.servers(2)
        weir = self.proxy({"consecutive_errors": 2, "time": "1h"}, response_head=ms(150))
        self.acts[0].gate.clear()
        self.assertEqual(self.ask(weir, 20), {504: 2, "B": 18})
        self.acts[0].gate.set()

    def test_resets(self):
        self.servers(2)
        weir = self.proxy({"consecutive_errors": 3, "time": "1h"})
        self.addresses[0].script = lambda connection: (connection.request(), connection.reset())
        self.assertEqual(self.ask(weir, 20), {502: 3, "B": 17})

    def test_never(self):
        for ejection in ({"enabled": False}, {"consecutive_errors": 0, "error_percent": 0}):
            with self.subTest(ejection=ejection):
                self.servers(2)
                weir = self.proxy({"window": "100ms", **ejection})
                self.acts[0].data = FAILS
                self.assertEqual(self.ask(weir, 60), {500: 30, "B": 30})

    def test_all_workers_leave_it_alone(self):
        """What one worker found out holds for all."""
        self.servers(2)
        weir = self.weir(*self.addresses, runtime={"workers": 4}, backend={
            "balance": "round_robin", "retry": {"enabled": False},
            "ejection": {"consecutive_errors": 4, "time": "1h"}})
        self.acts[0].data = FAILS
        answers = [self.client(weir).get().status for _ in range(64)]
        self.assertEqual(answers.count(500), 4)


class Floors(EjectionCase):

    def test_the_last_server_is_never_ejected(self):
        """An error is an answer; nobody is better off with none."""
        self.servers(1)
        weir = self.proxy({"consecutive_errors": 2, "max_ejected_percent": 100, "time": "1h",
                           "window": "100ms"})
        self.acts[0].data = FAILS
        self.assertEqual(self.ask(weir, 50), {500: 50})
        self.assertNotIn("ejected", weir.err)

    def test_nor_the_last_of_several(self):
        self.servers(3)
        weir = self.proxy({"consecutive_errors": 2, "max_ejected_percent": 100, "time": "1h",
                           "error_percent": 0}, panic_percent=0)
        for act in self.acts:
            act.data = FAILS
        self.ask(weir, 60)
        self.assertEqual(weir.err.count("is ejected"), 2)
        counts = [len(act.targets) for act in self.acts]
        self.ask(weir, 20)
        self.assertEqual(sorted(len(act.targets) - count for act, count
                                in zip(self.acts, counts)), [0, 0, 20])

    def test_the_last_that_a_weight_leaves(self):
        """A server of weight 0 takes nothing, so it is not somebody else."""
        self.servers(2)
        self.addresses = [self.addresses[0], {"address": self.addresses[1], "weight": 0}]
        weir = self.proxy({"consecutive_errors": 2, "max_ejected_percent": 100, "time": "1h"})
        self.acts[0].data = FAILS
        self.assertEqual(self.ask(weir, 20), {500: 20})

    def test_no_more_than_the_share(self):
        for percent, most in ((50, 2), (49, 1), (24, 0), (75, 3)):
            with self.subTest(percent=percent):
                self.servers(4)
                weir = self.proxy({"consecutive_errors": 2, "max_ejected_percent": percent,
                                   "time": "1h", "error_percent": 0}, panic_percent=0)
                for act in self.acts:
                    act.data = FAILS
                self.ask(weir, 80)
                self.assertEqual(weir.err.count("is ejected"), most)

    def test_panic(self):
        """Fewer than panic_percent are healthy: more likely the verdicts are wrong, all are used;
        until enough are healthy again."""
        self.servers(4)
        weir = self.proxy({"consecutive_errors": 2, "max_ejected_percent": 100, "time": ms(3000),
                           "error_percent": 0}, panic_percent=50)
        for act in self.acts[:3]:
            act.data = FAILS
        self.ask(weir, 30)
        self.said(weir, "1 of 4 servers are healthy, fewer than panic_percent: all are used")
        before = [len(act.targets) for act in self.acts]
        self.assertEqual(self.ask(weir, 40)["D"], 10)
        self.assertEqual([len(act.targets) - count for act, count in zip(self.acts, before)],
                         [10] * 4)
        for act in self.acts[:3]:
            act.data = None
        self.load_until(weir, lambda: "servers are healthy, the others are left alone" in weir.err)


class WholeWindows(EjectionCase):

    def test_error_rate(self):
        """Every second answer is an error: never two in a row, and yet too many."""
        self.servers(3)

        def every_second(connection):
            while connection.request():
                act.targets.append("")
                connection.send(FAILS if len(act.targets) % 2 else response(b"A"))

        act = self.acts[0]
        self.addresses[0].script = every_second
        weir = self.proxy({"consecutive_errors": 200, "window": ms(1000), "time": "1h",
                           "error_percent": 40})
        self.load_until(weir, lambda: "is ejected" in weir.err)
        self.ejected(weir, 0, "")
        self.assertRegex(weir.err, r"ejected for a while: \d+ of \d+ answers were errors")
        self.assertEqual(set(self.ask(weir, 20)), {"B", "C"})

    def test_answers_that_are_cut_short(self):
        """The head came in time and said 200, and the body never ends."""
        self.servers(3)

        def cut(connection):
            connection.request()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nand no")
            connection.close()

        self.addresses[0].script = cut
        weir = self.proxy({"window": ms(1000), "time": "1h"})
        self.load_until(weir, lambda: "is ejected" in weir.err)
        self.ejected(weir, 0, "")
        self.assertRegex(weir.err, r"ejected for a while: (\d+) of \1 answers were errors")
        self.assertEqual(set(self.ask(weir, 20)), {"B", "C"})
        server = {"backend": "app", "server": str(self.addresses[0].address)}
        self.assertGreaterEqual(weir.metric("weir_server_errors_total", **server), 20)
        self.assertEqual(weir.metric("weir_server_bad_answers_total", **server),
                         weir.metric("weir_server_answers_total", **server))

    def test_error_rate_of_all(self):
        """When all servers err, the fault is behind them."""
        self.servers(3)
        for act in self.acts:
            act.data = FAILS
        weir = self.proxy({"consecutive_errors": 0, "window": ms(200), "time": "1h"})
        load = self.load(weir, clients=4, pause=0.002)
        weir.wait_turns(3, "control")  # So many looks at least.
        wait_until(lambda: len(load.answers) > 1_000, 30, "answers")
        load.stop()
        self.assertNotIn("ejected", weir.err)

    def test_too_few_requests(self):
        self.servers(2)
        weir = self.proxy({"consecutive_errors": 0, "window": "100ms", "time": "1h",
                           "min_requests": 1_000_000})
        self.acts[0].data = FAILS
        self.ask(weir, 100)
        weir.wait_turns(3, "control")
        self.assertNotIn("ejected", weir.err)

    def test_latency(self):
        """Much slower than the median of the others."""
        self.servers(4)
        self.acts[2].delay = 0.2
        weir = self.proxy({"window": ms(2000), "time": "1h", "min_requests": 5})
        self.load_until(weir, lambda: "is ejected" in weir.err, 30)
        self.ejected(weir, 2, "median ")
        self.assertEqual(set(self.ask(weir, 30)), {"A", "B", "D"})

    def test_latency_where_most_are_slow(self):
        """Two of three: what is slow here is normal. Without a factor nobody is compared."""
        self.servers(3)
        for slow, factor in ((2, 5), (1, 0)):
            with self.subTest(slow=slow, factor=factor):
                for number, act in enumerate(self.acts):
                    act.delay = 0.05 if number < slow else 0
                weir = self.proxy({"window": ms(300), "time": "1h", "min_requests": 5,
                                   "latency_factor": factor})
                load = self.load(weir, clients=4)
                weir.wait_turns(4, "control")
                wait_until(lambda n=load: len(n.answers) > 300, 30, "answers")
                load.stop()
                self.assertNotIn("ejected", weir.err)


class Trial(EjectionCase):

    def ejected_one(self, time: str, **backend):
        """A and B; A has just been ejected for that long."""
        self.servers(2)
        weir = self.proxy({"consecutive_errors": 2, "time": time}, **backend)
        self.acts[0].data = FAILS
        self.assertEqual(self.ask(weir, 10)[500], 2)
        self.ejected(weir, 0, "errors in a row")
        return weir

    def test_one_request_decides(self):
        """While the trial is under way nobody else is sent there; its good answer ends it."""
        weir = self.ejected_one(ms(300), slow_start="0s")
        self.acts[0].gate.clear()
        self.acts[0].data = None
        load = self.load(weir, clients=4, pause=0.001)
        wait_until(lambda: len(self.acts[0].targets) == 3, 10, "the trial")
        seen = len(load.answers)
        wait_until(lambda: len(load.answers) > seen + 300, 20, "requests during the trial")
        self.assertEqual(len(self.acts[0].targets), 3)
        self.acts[0].gate.set()
        self.said(weir, "takes requests again")
        load.stop()
        self.assertEqual(self.ask(weir, 20), {"A": 10, "B": 10})
        self.assertEqual(load.failures, [])

    def test_one_request_decides_on_all_workers(self):
        self.servers(2)
        weir = self.weir(*self.addresses, runtime={"workers": 4}, backend={
            "balance": "round_robin", "retry": {"enabled": False},
            "ejection": {"consecutive_errors": 2, "time": ms(1000)}})
        self.acts[0].data = FAILS
        load = self.load(weir, clients=16, pause=0.002)
        self.ejected(weir, 0, "errors in a row")
        wait_until(lambda: weir.metric("weir_server_requests_in_flight",
                                       server=self.addresses[0].address) == 0, 10,
                   "the end of those that were under way")
        self.acts[0].gate.clear()
        seen = len(self.acts[0].targets)
        wait_until(lambda: len(self.acts[0].targets) > seen, 10, "the trial")
        answers = len(load.answers)
        wait_until(lambda: len(load.answers) > answers + 500, 20, "requests during the trial")
        self.assertEqual(len(self.acts[0].targets), seen + 1)
        self.acts[0].gate.set()
        load.stop()

    def test_a_failed_trial_means_a_longer_time(self):
        """Two in a row ejected it; now one is enough, and the next trial is later."""
        weir = self.ejected_one(ms(200))
        load = self.load(weir, clients=2, pause=0.002)
        wait_until(lambda: len(self.acts[0].targets) == 2 + 3, 30, "three trials")
        load.stop()
        trials = [answer.begun for answer in load.failures]
        self.assertEqual(len(trials), 3)
        # Each time doubles, less a quarter at random at most, so that it is longer in any case.
        self.assertGreater(trials[2] - trials[1], trials[1] - trials[0])

    def test_a_client_that_leaves_proves_nothing(self):
        """The trial ends with its client; the next request is the next trial."""
        weir = self.ejected_one(ms(200))
        self.acts[0].gate.clear()
        self.acts[0].data = None
        client = self.client(weir)
        wait_until(lambda: self.trial_by(weir), 10, "the trial")
        self.acts[0].gate.set()
        self.load_until(weir, lambda: "takes requests again" in weir.err)
        client.close()

    def trial_by(self, weir) -> bool:
        """Sends one request and resets its client if it went to A."""
        client = self.client(weir)
        before = len(self.acts[0].targets), len(self.acts[1].targets)
        client.send(b"GET /trial HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: (len(self.acts[0].targets), len(self.acts[1].targets)) != before
                   or not client.quiet(0.001), 10, "the request at a server")
        client.reset()
        return len(self.acts[0].targets) > 2

    def test_a_long_ejection_is_kept(self):
        weir = self.ejected_one("1h")
        self.acts[0].data = None
        self.assertEqual(self.ask(weir, 200), {"B": 200})
