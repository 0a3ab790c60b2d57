"""least_load: servers say at their health checks how loaded they are; the least loaded is asked.

Where a test counts requests, the servers are checked once, at the start, so that what they said
stands; where it waits for a change they are checked often.
"""

from harness import response, wait_until
from harness.named import NamedCase

NO_REPORT = response(b"<html>not here</html>", status="404 Not Found")


class LoadCase(NamedCase):

    def loaded(self, reports: tuple, every="1h", servers=None, **backend):
        """Servers A, B, ... with these reports, and a weir that has read all of them."""
        names = "ABCDEF"[:len(reports)]
        self.servers = self.named(names)
        for server, report in zip(self.servers, reports):
            server.health = report if isinstance(report, bytes) else response(report.encode())
        weir = self.weir(*(servers(self.servers) if servers else self.servers), backend={
            "balance": "least_load", "slow_start": "0s", **backend,
            "health": {"path": "/health", "expect_status": "any", "load_report": True,
                       "interval": every, **backend.get("health", {})}})
        wait_until(lambda: all(server.checks and server.origin.connections[0].saw_end
                               for server in self.servers), 10, "a check of each server")
        weir.wait_turns(2, "control")
        return weir

    def report(self, weir, server, text: str) -> None:
        """Another report, once weir has read it: the check after the one that may be under way."""
        server.report(text)
        before = server.checks
        wait_until(lambda: server.checks >= before + 2, 10, "the next checks")
        weir.wait_turns(2, "control")


class TwoLines(LoadCase):

    def test_the_least_loaded_is_asked(self):
        weir = self.loaded(("0\n500\n", "0\n100\n", "0\n300\n"))
        self.assertEqual(self.names(weir, 50), "B" * 50)

    def test_requests_sent_since_count(self):
        """Until there are as many as at the next one, and then they share."""
        weir = self.loaded(("0\n10\n", "0\n0\n", "0\n1000\n"))
        self.assertEqual(self.names(weir, 10), "B" * 10)
        self.assertEqual(self.counts(weir, 40), {"A": 20, "B": 20})

    def test_ties_rotate(self):
        weir = self.loaded(("0\n7\n",) * 3)
        text = self.names(weir, 30)
        self.assertEqual(text, text[:3] * 10)
        self.assertEqual(sorted(text[:3]), ["A", "B", "C"])

    def test_fewer_errors_break_ties(self):
        for reports, first in ((("5\n7\n", "4\n7\n"), "BA"), (("0\n7\n", "1\n7\n"), "AB")):
            with self.subTest(reports=reports):
                self.assertEqual(self.names(self.loaded(reports), 10), first * 5)

    def test_errors_only_break_ties(self):
        self.assertEqual(self.names(self.loaded(("0\n50\n", "9999\n1\n")), 20), "B" * 20)

    def test_weights_divide(self):
        """100 entries on three times the machine are fewer than 50."""
        weir = self.loaded(("0\n100\n", "0\n50\n"), servers=lambda servers: [
            {"address": servers[0], "weight": 3}, servers[1]])
        self.assertEqual(self.names(weir, 20), "A" * 20)

    def test_line_ends_and_large_numbers(self):
        for reports in (("0\n90", "0\n5"), ("0\r\n90\r\n", "0\r\n5\r\n"),
                        ("0\n99999999999999999999\n", "0\n4294967200\n")):
            with self.subTest(reports=reports):
                self.assertEqual(set(self.names(self.loaded(reports), 20)), {"B"})

    def test_reports_change_the_choice(self):
        weir = self.loaded(("0\n0\n", "0\n1000000\n"), every="50ms")
        self.assertEqual(self.names(weir, 30), "A" * 30)
        self.report(weir, self.servers[0], "0\n2000000\n")
        self.assertEqual(self.names(weir, 30), "B" * 30)

    def test_every_so_many_requests(self):
        """Besides the interval, so that what was sent is soon known."""
        weir = self.loaded(("0\n0\n", "0\n1000\n"),
                           health={"every_requests": 10, "fast_interval": "1h"})
        self.servers[0].report("0\n5000\n")
        wait_until(lambda: "B" in self.names(weir, 5), 10, "the new report")
        self.assertEqual(self.names(weir, 30), "B" * 30)


class NoReport(LoadCase):

    def test_without_any_the_servers_take_turns(self):
        weir = self.loaded((NO_REPORT,) * 3)
        text = self.names(weir, 30)
        self.assertEqual(text, text[:3] * 10)

    def test_without_one_a_server_is_the_median(self):
        """Of 0, 50 and 900 that is 50: behind the first, level with the second."""
        weir = self.loaded(("0\n0\n", "0\n50\n", "0\n900\n", NO_REPORT))
        self.assertEqual(self.names(weir, 50), "A" * 50)
        counts = self.counts(weir, 60)
        self.assertEqual(set(counts), {"A", "B", "D"}, counts)
        self.assertGreaterEqual(min(counts.values()), 10)

    def test_what_is_no_number_is_no_report(self):
        """The server is up all the same."""
        for body in ("", "abc", "-1\n-2\n", "1\n", "1.5\n2.5\n", "\n\n", "0x1\n0x2\n", "1\n2\n3\n",
                     "1 2", "1\n 2\n", "nan\ninf\n", "\0\n\0\n", "1\n2" + " " * 2_000,
                     '{"entries": "no"}', '{"entries": 1', "[1, 2]", "<html>"):
            with self.subTest(body=body[:20]):
                weir = self.loaded(("0\n20\n", body, "0\n0\n"))
                # As the median of the others, the lower one of two: level with C.
                counts = self.counts(weir, 30)
                self.assertGreaterEqual(counts["B"], 8)
                self.assertNotIn("is down", weir.err)

    def test_it_is_counted_and_the_last_report_ages_out(self):
        weir = self.loaded(("0\n0\n", "0\n1000000\n"), every="100ms")
        self.assertEqual(self.names(weir, 10), "A" * 10)
        self.servers[0].report("what load?\n")
        wait_until(lambda: "B" in self.names(weir, 6), 20, "the report to be too old")
        text = self.names(weir, 30)
        self.assertEqual({text.count("A"), text.count("B")}, {15})
        self.assertGreater(weir.metric("weir_server_load_reports_total", result="ignored",
                                       server=self.servers[0].address), 2)

    def test_a_load_that_is_said_no_more_ages_out(self):
        """Whatever else is still reported: nobody is the idlest for ever by saying so once."""
        weir = self.loaded(("0\n0\n", "0\n50\n"), every="50ms")
        self.assertEqual(self.names(weir, 20), "A" * 20)
        server = self.servers[0]
        server.report("up\n")
        wait_until(lambda: not any(name.startswith("weir_server_load_entries")
                                   and server.address in name for name in weir.metrics()),
                   10, "the end of the old load")
        self.assertGreaterEqual(min(self.counts(weir, 40).values()), 10)

    def test_a_limit_that_is_said_no_more_ages_out(self):
        weir = self.loaded(("maxconn:5\n", "0\n50\n"), every="50ms")
        limit = lambda: weir.metric("weir_server_requests_max", server=self.servers[0].address)
        wait_until(lambda: limit() == 5, 10, "the limit")
        self.servers[0].report("up\n")
        wait_until(lambda: limit() == 0, 10, "the end of the limit")

    def test_a_word_stands_until_another_comes(self):
        weir = self.loaded(("drain\n", "0\n50\n"), every="50ms")
        self.report(weir, self.servers[0], "0\n0\n")
        before = self.servers[0].checks
        wait_until(lambda: self.servers[0].checks > before + 10, 10, "ten checks")
        self.assertEqual(self.names(weir, 10), "B" * 10)
        self.report(weir, self.servers[0], "0\n0\nready\n")  # No report: three lines.
        self.report(weir, self.servers[0], "ready\n")
        self.assertIn("A", self.names(weir, 20))

    def test_a_report_in_a_bad_answer_does_not_count(self):
        """Nor does it make the first failed check more than that: B is level with A."""
        weir = self.loaded(("0\n100\n", response(b"0\n0\n", status="500 Oops")),
                           health={"expect_status": 200, "fall": 100}, panic_percent=0)
        self.assertGreaterEqual(self.counts(weir, 30)["A"], 10)


class Restart(LoadCase):

    def test_counters_that_begin_at_zero_draw_no_flood(self):
        """The others say a million. Of 30 requests at one time the new one gets no more than
        twice its third, and one."""
        weir = self.loaded(("0\n1000000\n", "0\n1000000\n", "0\n0\n"))
        clients = self.hold(weir, 30)
        self.held(self.servers, 30)
        shares = [server.holding for server in self.servers]
        self.assertLessEqual(shares[2], 21, shares)
        self.assertGreaterEqual(min(shares), 3, shares)
        self.finish(self.servers, clients)

    def test_a_server_that_is_back_at_zero(self):
        weir = self.loaded(("0\n1000\n",) * 3, every="50ms")
        restarted = self.servers[1]
        restarted.die()
        self.assertEqual(set(self.names(weir, 10)), {"A", "C"})
        wait_until(lambda: "is down" in weir.err, 10, "the check's verdict")
        restarted.report("0\n0\n")
        restarted.revive()
        wait_until(lambda: "B" in self.names(weir, 3), 20, "the return")
        clients = self.hold(weir, 30)
        self.held(self.servers, 30)
        shares = [server.holding for server in self.servers]
        self.assertTrue(5 <= shares[1] <= 21, shares)
        self.finish(self.servers, clients)


class OtherForms(LoadCase):

    def test_json(self):
        for reports in (('{"errors": 0, "entries": 90}', '{"errors": 0, "entries": 5}'),
                        ('{"entries":90,"errors":0,"version":"1.2"}\n', "0\n5\n")):
            with self.subTest(reports=reports):
                self.assertEqual(self.names(self.loaded(reports), 30), "B" * 30)

    def test_states(self):
        """In words and in JSON: out, and in again."""
        for out, back in (("drain\n", "ready\n"), ("maint\n", "up\n"), ("down\n", "up\n"),
                          ("stopped # for today\n", "up\n"), ("FAIL\n", "UP\n"),
                          ('{"state": "drain"}', '{"state": "up"}')):
            with self.subTest(out=out):
                weir = self.loaded(("up\n", "up\n"), every="50ms")
                self.report(weir, self.servers[0], out)
                self.assertEqual(self.names(weir, 10), "B" * 10)
                self.report(weir, self.servers[0], back)
                wait_until(lambda weir=weir: "A" in self.names(weir, 6), 10, "its return")

    def test_share(self):
        """A quarter of the weight is a fifth of the requests, of 500 give or take."""
        weir = self.loaded(("25%\n", "100%\n"))
        self.assertAlmostEqual(self.counts(weir, 500)["A"], 100, delta=45)

    def test_a_share_of_nothing(self):
        self.assertEqual(self.names(self.loaded(("0%\n", "up 100%\n")), 30), "B" * 30)

    def test_maxconn(self):
        """The server's own limit holds like a configured one."""
        for report in ("maxconn:2\n", '{"maxconn": 2}', "up maxconn:2 100%\n"):
            with self.subTest(report=report):
                weir = self.loaded((report,))
                clients = self.hold(weir, 5)
                self.held(self.servers, 2)
                wait_until(lambda weir=weir: weir.metric("weir_http_requests_in_flight") == 5, 10,
                           "all five")
                self.finish(self.servers, clients)
                self.assertEqual(self.servers[0].holding_most, 2)

    def test_words_and_numbers_of_one_server_change(self):
        weir = self.loaded(("0\n10000\n", "0\n0\n"), every="50ms")
        self.report(weir, self.servers[1], "drain\n")
        self.assertEqual(self.names(weir, 10), "A" * 10)
        self.report(weir, self.servers[1], '{"errors": 0, "entries": 0, "state": "ready"}')
        wait_until(lambda: "B" in self.names(weir, 6), 10, "its return")
        self.assertEqual(self.names(weir, 20), "B" * 20)
