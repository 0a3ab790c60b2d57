"""So many requests or connections in a time, and no more: 429 with Retry-After, or a close.

The rates are per hour or day where a test counts, so that none comes back while it runs.
"""

import threading

from harness import Truncated, config, wait_until
from harness.named import NamedCase


class RateCase(NamedCase):

    def setUp(self):
        super().setUp()
        self.server = self.named("A")[0]

    def text(self, weir_limits: dict, names=None, **options) -> str:
        """A file whose one route, or listener, has these limits."""
        options.setdefault("routes", [{"backend": "app", "limits": names or list(weir_limits)}])
        text = config(servers=[self.server], **options)
        for name, values in weir_limits.items():
            lines = [f"{key} = {value if isinstance(value, int) else repr(value)}"
                     for key, value in values.items()]
            text += "\n".join(["", f"[limit.{name}]", *lines, ""])
        return text

    def limited(self, weir_limits: dict, names=None, **options):
        port, admin = self.free_port(), self.free_port()
        options = {"listen": f"0.0.0.0:{port}", "admin": f"127.0.0.1:{admin}", **options}
        weir = self.run_config(self.text(weir_limits, names, **options), [port], admin_port=admin)
        weir.options = options
        return weir

    def statuses(self, weir, count, fields="", **options) -> list[int]:
        client = self.client(weir, **options)
        return [client.get("/", fields).status for _ in range(count)]

    def allowed(self, weir, count, fields="", **options) -> int:
        """How many of so many requests; all others must have been refused."""
        statuses = self.statuses(weir, count, fields, **options)
        self.assertLessEqual(set(statuses), {200, 429})
        self.assertEqual(statuses, sorted(statuses), "one was allowed after one was refused")
        return statuses.count(200)


class Answers(RateCase):

    def test_beyond_the_burst_429_with_retry_after(self):
        weir = self.limited({"few": {"rate": "5/h"}})
        client = self.client(weir)
        self.assertEqual([client.get().status for _ in range(5)], [200] * 5)
        answer = client.get()
        self.assertEqual(answer.status, 429)
        self.assertRegex(answer.get("retry-after"), r"^\d+$")
        self.assertTrue(700 <= int(answer.get("retry-after")) <= 720, answer.get("retry-after"))
        self.assertIn("rate_limited", answer.get("proxy-status"))
        self.assertIn(b"rate_limited", answer.body)
        self.assert_metric(weir, 1, "weir_errors_total", reason="rate_limited")
        self.assertEqual(len(self.server.asked), 5)

    def test_the_connection_goes_on(self):
        """Also after a refused request with content, none of which reaches a server."""
        weir = self.limited({"few": {"rate": "1/h"}})
        client = self.client(weir)
        self.assertEqual(client.request("POST", body=b"abc").status, 200)
        for body in (b"", b"x" * 10_000, b"x" * 200_000):
            self.assertEqual(client.request("POST", body=body).status, 429)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b"3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual([client.response().status for _ in range(2)], [429, 429])
        self.assertEqual(client.request("HEAD").status, 429)
        self.assertEqual(len(self.server.asked), 1)

    def test_no_continue_for_what_is_refused(self):
        weir = self.limited({"few": {"rate": "1/h"}})
        client = self.client(weir)
        client.get()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                    b"Content-Length: 3\r\n\r\n")
        answer = client.response()
        self.assertEqual((answer.status, answer.interim), (429, []))

    def test_requests_of_other_routes_are_free(self):
        weir = self.limited({"few": {"rate": "1/h"}}, routes=[
            {"path": "/paid", "backend": "app", "limits": "few"}, {"backend": "app"}])
        client = self.client(weir)
        self.assertEqual([client.get("/paid").status for _ in range(2)], [200, 429])
        self.assertEqual(self.statuses(weir, 20), [200] * 20)

    def test_in_the_access_log(self):
        log = self.path("access.log")
        weir = self.limited({"few": {"rate": "1/h"}}, access_log=log)
        self.assertEqual(self.statuses(weir, 2), [200, 429])

        def lines():
            with open(log, encoding="ascii") as file:
                return file.read().splitlines()

        wait_until(lambda: len(lines()) == 2, 10, "two lines")
        self.assertIn('"status":429,"error":"rate_limited"', lines()[1])


class Keys(RateCase):

    def test_client(self):
        weir = self.limited({"each": {"rate": "3/h"}})
        for address in ("127.0.0.1", "127.0.0.2", "127.9.9.9"):
            self.assertEqual(self.allowed(weir, 5, source=address), 3, address)
        self.assertEqual(self.allowed(weir, 2), 0)

    def test_what_a_client_claims_does_not_matter(self):
        weir = self.limited({"each": {"rate": "3/h"}})
        client = self.client(weir)
        statuses = [client.get("/", f"X-Forwarded-For: 10.0.0.{number}\r\n").status
                    for number in range(6)]
        self.assertEqual(statuses, [200] * 3 + [429] * 3)

    def test_total(self):
        weir = self.limited({"all": {"rate": "7/h", "key": "total"}})
        counts = [self.allowed(weir, 4, source=f"127.0.0.{number}") for number in range(1, 6)]
        self.assertEqual(counts, [4, 3, 0, 0, 0])

    def test_header(self):
        weir = self.limited({"keyed": {"rate": "2/h", "key": "header:X-Api-Key"}})
        for key in ("one", "two", "One"):
            self.assertEqual(self.allowed(weir, 4, f"x-api-KEY: {key}\r\n"), 2, key)
        self.assertEqual(self.allowed(weir, 1, "X-Api-Key: one\r\n", source="127.0.0.2"), 0)
        # Those without it count together, whoever they are.
        self.assertEqual([self.allowed(weir, 2, source=f"127.0.0.{number}")
                          for number in (1, 2)], [2, 0])

    def test_every_limit_of_a_route_holds(self):
        weir = self.limited({"each": {"rate": "3/h"}, "all": {"rate": "5/h", "key": "total"}})
        self.assertEqual([self.allowed(weir, 4, source=f"127.0.0.{number}")
                          for number in (1, 2, 3)], [3, 2, 0])

    def test_what_one_limit_refuses_is_charged_to_none(self):
        """A client that knocks on and on does not use up what it shares with others."""
        for names in (["all", "each"], ["each", "all"]):
            with self.subTest(names=names):
                weir = self.limited({"each": {"rate": "3/h"},
                                     "all": {"rate": "9/h", "key": "total"}}, names)
                self.assertEqual([self.allowed(weir, count, source=f"127.0.0.{number}")
                                  for number, count in ((1, 30), (2, 4), (3, 4), (4, 4))],
                                 [3, 3, 3, 0])

    def test_one_limit_of_several_routes_is_one(self):
        weir = self.limited({"few": {"rate": "4/h"}}, routes=[
            {"path": "/a", "backend": "app", "limits": "few"},
            {"backend": "app", "limits": "few"}])
        client = self.client(weir)
        self.assertEqual([client.get(path).status for path in ("/a", "/", "/a", "/", "/a", "/")],
                         [200] * 4 + [429] * 2)


class Amounts(RateCase):

    def test_burst(self):
        for rate, burst, expected in (("2/h", 10, 10), ("100/h", 1, 1), ("6/h", None, 6),
                                      ("100/24h", 3, 3)):
            with self.subTest(rate=rate, burst=burst):
                values = {"rate": rate, **({"burst": burst} if burst else {})}
                self.assertEqual(self.allowed(self.limited({"few": values}), 12), expected)

    def test_it_comes_back(self):
        weir = self.limited({"few": {"rate": "10/s", "burst": 1}})
        client = self.client(weir)
        self.assertEqual(client.get().status, 200)
        wait_until(lambda: client.get().status == 429, 10, "the limit")
        answer = client.get()
        while answer.status == 200:
            answer = client.get()
        self.assertEqual(answer.get("retry-after"), "1")
        wait_until(lambda: client.get().status == 200, 10, "the next one")

    def test_exact_over_several_workers(self):
        """Sixteen clients on four workers at one time: one more than the limit is one too many."""
        weir = self.limited({"all": {"rate": "100/24h", "key": "total"}}, runtime={"workers": 4})
        results: list[list[int]] = []
        clients = [self.client(weir) for _ in range(16)]
        start = threading.Barrier(len(clients))

        def ask(client):
            start.wait()
            results.append([client.get().status for _ in range(20)])

        threads = [threading.Thread(target=ask, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        statuses = [status for result in results for status in result]
        self.assertEqual((len(statuses), statuses.count(200), statuses.count(429)),
                         (320, 100, 220))
        self.assertEqual(len(self.server.asked), 100)

    def test_a_reload_forgets_nothing(self):
        """What a limit remembers stays as long as the limit is the same."""
        limits = {"few": {"rate": "3/h"}}
        weir = self.limited(limits)
        self.assertEqual(self.allowed(weir, 2), 2)
        for limits, expected in ((limits, 1), ({"few": {"rate": "4/h"}}, 4)):
            generation = weir.metric("weir_config_generation")
            weir.write_config(self.text(limits, **weir.options, listener={"via": True}))
            weir.reload()
            wait_until(lambda before=generation:
                       weir.metric("weir_config_generation") > before, 10, "the reload")
            self.assertEqual(self.allowed(weir, 5), expected)

    def test_with_more_keys_than_are_remembered(self):
        """A limit's memory is bounded; who asks all the time is not the one forgotten."""
        weir = self.limited({"keyed": {"rate": "1/h", "key": "header:X-Key", "keys_max": 64}})
        client = self.client(weir)
        statuses = [client.get("/", f"X-Key: {number}\r\n").status for number in range(500)]
        # Two keys share a limit when their hashes, salted anew in every process, meet: each of
        # the 500 has one chance in 16,384. Three of them would be one run in 200,000.
        self.assertEqual(set(statuses) - {429}, {200})
        self.assertLessEqual(statuses.count(429), 2)
        self.assertEqual(client.get("/", "X-Key: 499\r\n").status, 429)


class Connections(RateCase):

    def connections(self, limit, **options):
        return self.limited({"few": limit}, routes=[{"backend": "app"}],
                            listener={"limits": "few"}, **options)

    def refused(self, weir, **options) -> bool:
        """Whether a new connection is closed without a word, when it is made or a little later."""
        try:
            return self.client(weir, **options).get().status != 200
        except (ConnectionError, Truncated):
            return True

    def test_beyond_the_limit_they_are_closed(self):
        weir = self.connections({"rate": "3/h"})
        clients = [self.client(weir) for _ in range(3)]
        for client in clients:
            self.assertEqual([client.get().status for _ in range(5)], [200] * 5)
        self.assertTrue(self.refused(weir))
        self.assertEqual(clients[0].get().status, 200)
        self.assertEqual(self.statuses(weir, 2, source="127.0.0.2"), [200, 200])

    def test_total(self):
        weir = self.connections({"rate": "4/h", "key": "total"}, runtime={"workers": 2})
        refused = [self.refused(weir, source=f"127.0.0.{number}") for number in range(1, 9)]
        self.assertEqual(refused, [False] * 4 + [True] * 4)

    def test_what_one_limit_refuses_is_charged_to_none(self):
        weir = self.limited({"all": {"rate": "4/h", "key": "total"}, "each": {"rate": "2/h"}},
                            routes=[{"backend": "app"}], listener={"limits": ["all", "each"]})
        refused = [self.refused(weir, source="127.0.0.1") for _ in range(8)]
        self.assertEqual(refused, [False] * 2 + [True] * 6)
        self.assertEqual([self.refused(weir, source="127.0.0.2") for _ in range(3)],
                         [False, False, True])

    def test_it_comes_back(self):
        weir = self.connections({"rate": "10/s", "burst": 1})
        self.assertEqual(self.statuses(weir, 1), [200])

        wait_until(lambda: not self.refused(weir), 10, "the next connection")
