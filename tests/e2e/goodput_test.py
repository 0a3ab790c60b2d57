"""More load than the servers can take: they stay as busy as they can be with answers that somebody
still wants, and the rest is told early."""

from harness import SLOWDOWN, seconds, wait_until
from harness.failure import FailureCase, ms
from harness.load import quantile

SLOTS, SERVICE = 32, 0.4            # Of one server: 80 requests a second.
CAPACITY = SLOTS / SERVICE
GOODPUT_LEAST = 0.95                # Of the capacity.
OVER = 400                          # Requests after which the queue has its length.
COUNT = 800
HOPS = 4                            # Wake-ups from a server's answer to its next request.


class Goodput(FailureCase):

    def overload(self, weir, servers: list, factor: float, timeout: float) -> list:
        """Asks at a rate of `factor` times the capacity; the answers of the second part."""
        rate = factor * CAPACITY * len(servers) / SLOWDOWN
        load = self.load(weir, rate=rate)
        wait_until(lambda: load.asked >= OVER, 60, "the queue to fill")
        before = [server.report() for server in servers]
        wait_until(lambda: load.asked >= OVER + COUNT, 60, "requests")
        after = [server.report() for server in servers]
        span = [report["now"] for report in (before[0], after[0])]
        answers = [answer for answer in load.stop() if span[0] <= answer.ended <= span[1]]
        self.check(before, after, answers, timeout)
        return answers

    def check(self, before: list, after: list, answers: list, timeout: float) -> None:
        """What is lost to a busy machine is not held against weir: the server says itself how long
        its slots were taken, and the load how long it slept beyond its time, which everybody else
        may have done as well. What came of the slots' time is the share of the server's answers
        that somebody got; in whole numbers they come in waves, and a wave may fall on either side
        of an end."""
        def grown(what: str) -> float:
            return sum(report[what] for report in after) - sum(report[what] for report in before)

        took, served = grown("service_sum") / grown("served"), grown("served")
        span = after[0]["now"] - before[0]["now"]
        good = [answer.seconds for answer in answers if answer.status == 200]
        late = [answer.late for answer in answers]
        stalled, stalled_worst = HOPS * sum(late) / len(late), HOPS * quantile(late, 0.99)
        share = grown("taken") / (len(after) * SLOTS * span) * min(1, len(good) / served)
        worst = quantile(good, 0.99)
        self.say(f"{len(good)} good answers of {served} in {span:.2f} s, {share:.1%} of capacity,"
                 f" p99 {worst:.3f} s, {len(answers) - len(good)} refused,"
                 f" stalled {stalled:.3f} s, p99 {stalled_worst:.3f} s")
        self.assertGreaterEqual(share + stalled / took, GOODPUT_LEAST)
        self.assertLess(worst - took, seconds(timeout) + 0.1 * SLOWDOWN + stalled_worst)
        self.assertLessEqual(max(report["most_in_flight"] for report in after), SLOTS)
        for answer in answers:
            self.assertIn(answer.status, (200, 503))
            self.assertEqual(answer.status == 503, answer.retry_after != "")

    def backend(self, **queue) -> dict:
        return {"server_limit": SLOTS, "queue": queue}

    def server(self, name: str = "one"):
        return self.moody(name, slots=SLOTS, service=SERVICE * SLOWDOWN)

    def test_twice_the_capacity(self):
        server = self.server()
        weir = self.weir(server, runtime={"workers": 2}, backend=self.backend(timeout=ms(1000)))
        answers = self.overload(weir, [server], 2, 1.0)
        self.assertTrue(any(answer.status == 503 for answer in answers))

    def test_twice_the_capacity_of_two_servers(self):
        servers = [self.server("one"), self.server("two")]
        weir = self.weir(*servers, runtime={"workers": 4}, backend=self.backend(timeout=ms(1000)))
        self.overload(weir, servers, 2, 1.0)

    def test_with_a_short_queue(self):
        """Who does not fit is told at once; the servers do not notice."""
        server = self.server()
        weir = self.weir(server, runtime={"workers": 2},
                         backend=self.backend(size=32, timeout="60s"))
        answers = self.overload(weir, [server], 2, 32 / CAPACITY)
        refused = [answer.seconds for answer in answers if "queue_full" in answer.error]
        self.assertLess(quantile(refused, 0.5), seconds(SERVICE))

    def test_below_the_capacity_nobody_is_refused(self):
        server = self.server()
        weir = self.weir(server, runtime={"workers": 2}, backend=self.backend(timeout=ms(2000)))
        load = self.load(weir, rate=0.7 * CAPACITY / SLOWDOWN)
        wait_until(lambda: load.asked >= 200, 60, "requests")
        load.stop()
        self.assertEqual(load.failures, [])

    def test_impatient_clients_are_not_served(self):
        """Who left the queue costs the servers nothing: they see no request of it."""
        server = self.server()
        weir = self.weir(server, backend=self.backend(timeout="60s", target="0s"))
        load = self.load(weir, clients=SLOTS)
        wait_until(lambda: len(load.answers) >= SLOTS, 10, "all slots in use")
        for number in range(100):
            client = self.client(weir)
            client.send(b"POST /gone/%d HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n" % number)
            client.reset()
        wait_until(lambda: weir.metric("weir_http_requests_total", code="none") +
                   server.posts().total() >= 100, 20, "all of them to be gone")
        seen = len(load.answers)
        wait_until(lambda: len(load.answers) >= seen + 5 * SLOTS, 20, "requests of the others")
        load.stop()
        self.say(f"{server.posts().total()} of 100 were sent to the server")
        self.assertEqual(load.failures, [])
        self.assertLess(server.posts().total(), 50)
