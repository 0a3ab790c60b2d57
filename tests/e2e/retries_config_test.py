"""What [backend.NAME.retry] says is kept: which answers, how often, how much of it, how long."""

import threading
import time

from harness import response, seconds, wait_until
from harness.named import NamedCase, ms

BUSY = response(b"busy", status="503 Service Unavailable")


class RetryCase(NamedCase):

    def retrying(self, servers, **keys):
        """Servers in turn, none of which is left alone for its errors."""
        retry = {"backoff": "0s", "budget_percent": 100, **keys.pop("retry", {})}
        return self.weir(*servers, backend={
            "balance": "round_robin", "ejection": {"enabled": False}, "retry": retry, **keys})

    def asked(self, servers) -> int:
        return sum(len(server.asked) for server in servers)

    def bad_and_good(self, bad=3, answer=BUSY):
        """So many servers that answer like this, and a good one."""
        servers = self.named("BCDEFGHI"[:bad] + "A")
        for server in servers[:-1]:
            server.answer = answer
        return servers


def closing(connection):
    """Reads a request and closes."""
    connection.request()


class Statuses(RetryCase):

    def test_named_ones_are_tried_again(self):
        for status in (500, 502, 503, 504, 599):
            with self.subTest(status=status):
                bad, good = self.bad_and_good(1, response(b"x", status=f"{status} Bad"))
                weir = self.retrying([bad, good], retry={"statuses": ["500-504", 599]})
                for method in ("GET", "PUT", "DELETE", "OPTIONS"):
                    for _ in range(2):
                        answer = self.client(weir).request(method, body=b"abc")
                        self.assertEqual((answer.status, answer.body), (200, b"A"))
                self.assertEqual({request.body for request in good.asked}, {b"abc"})
                self.assertGreaterEqual(len(bad.asked), 4)

    def test_others_are_not(self):
        for statuses, status in (([], 503), ([503], 500), ([503], 404), ([500, 502, 503], 504)):
            with self.subTest(statuses=statuses, status=status):
                servers = self.bad_and_good(1, response(b"x", status=f"{status} Bad"))
                weir = self.retrying(servers, retry={"statuses": statuses} if statuses else {})
                client = self.client(weir)
                self.assertEqual({client.get().status for _ in range(4)}, {200, status})
                self.assertEqual(self.asked(servers), 4)

    def test_the_last_answer_reaches_the_client(self):
        """Weir has nothing better to say than the servers themselves."""
        servers = self.bad_and_good(2)[:2]
        weir = self.retrying(servers, retry={"statuses": 503})
        answer = self.client(weir).get()
        self.assertEqual((answer.status, answer.body), (503, b"busy"))
        self.assertEqual([len(server.asked) for server in servers], [1, 1])

    def test_an_answer_of_any_form(self):
        """On kept and new connections; what came of the refused answer is not in the next one."""
        for answer in (BUSY, b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
                             b"0\r\n\r\n", b"HTTP/1.1 503 Busy\r\n\r\nuntil the end",
                       response(b"x" * 300_000, status="503 Busy"),
                       response(b"", status="503 Busy", fields="Connection: close\r\n")):
            with self.subTest(answer=answer[:60]):
                bad, good = self.bad_and_good(1, answer)
                client = self.client(self.retrying([bad, good], retry={"statuses": 503}))
                for number in range(8):
                    if answer.endswith(b"end"):  # This form needs the close.
                        bad.origin.script = lambda connection: (
                            connection.request(), connection.send(answer))
                    result = client.get(f"/{number}")
                    self.assertEqual((result.status, result.body), (200, b"A"))

    def test_behind_an_interim_answer(self):
        """RFC 9110 15.2: whoever said 103 has still to give the final answer, which is this one."""
        bad, good = self.bad_and_good(
            1, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + BUSY)
        client = self.client(self.retrying([bad, good], retry={"statuses": 503}))
        for _ in range(4):
            answer = client.get()
            self.assertEqual((answer.status, answer.body), (200, b"A"))
            self.assertLessEqual({interim.status for interim in answer.interim}, {103})
        self.assertGreater(len(bad.asked), 0)

    def test_requests_of_any_form(self):
        """Content in chunks, an expectation, none at all: the second server gets all of it."""
        bad, good = self.bad_and_good(1)
        client = self.client(self.retrying([bad, good], retry={"statuses": 503}))
        head = b" / HTTP/1.1\r\nHost: a\r\n"
        for data, method, body in (
                (b"PUT" + head + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n"
                 b"0\r\n\r\n", "PUT", b"abcde"),
                (b"PUT" + head + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc", "PUT",
                 b"abc"),
                (b"DELETE" + head + b"Content-Length: 0\r\n\r\n", "DELETE", b"")):
            for _ in range(3):
                answer = client.send(data).response(method)
                self.assertEqual((answer.status, answer.body), (200, b"A"))
                self.assertLessEqual(len(answer.interim), 1)
                request = good.asked[-1]
                self.assertEqual((request.method, request.body), (method, body))
        self.assertGreater(len(bad.asked), 0)

    def test_head_is_tried_again(self):
        bad, good = self.bad_and_good(1)
        bad.answer = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\n"
        good.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"
        client = self.client(self.retrying([bad, good], retry={"statuses": 503}))
        self.assertEqual({client.request("HEAD").status for _ in range(6)}, {200})
        self.assertGreater(len(bad.asked), 0)

    def test_an_answer_to_half_a_request(self):
        """Who refuses before the content is there cannot be replaced: the rest is not held."""
        early = self.origin(lambda connection: (
            connection.head(), connection.send(BUSY), connection.wait_end()), cut_requests=True)
        weir = self.retrying([early], retry={"statuses": 503})
        client = self.client(weir)
        client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
        answer = client.response()
        self.assertEqual((answer.status, answer.body), (503, b"busy"))

    def test_post_is_sent_once(self):
        servers = self.bad_and_good(1)
        client = self.client(self.retrying(servers, retry={"statuses": [500, 503]}))
        for method in ("POST", "PATCH", "X-OWN"):
            statuses = [client.request(method, f"/{method}{number}", body=b"abc").status
                        for number in range(4)]
            self.assertEqual(sorted(statuses), [200, 200, 503, 503])
        self.assertEqual(self.asked(servers), 12)

    def test_what_was_too_large_to_keep_is_sent_once(self):
        servers = self.bad_and_good(1)
        weir = self.retrying(servers, retry={"statuses": 503})
        statuses = [self.client(weir).request("PUT", body=b"x" * 500_000).status
                    for _ in range(4)]
        self.assertEqual(sorted(statuses), [200, 200, 503, 503])
        self.assertEqual(self.asked(servers), 4)


class HowOften(RetryCase):

    def attempts(self, bad, **retry):
        servers = self.bad_and_good(bad)[:-1]
        weir = self.retrying(servers, retry={"statuses": 503, **retry})
        return self.client(weir).get().status, self.asked(servers)

    def test_max(self):
        for most, attempts in ((0, 1), (1, 2), (3, 4), (7, 8)):
            with self.subTest(max=most):
                self.assertEqual(self.attempts(8, max=most), (503, attempts))

    def test_three_by_default(self):
        self.assertEqual(self.attempts(6), (503, 4))

    def test_servers_that_close_count_too(self):
        for most in (0, 1, 2):
            with self.subTest(max=most):
                servers = [self.origin(closing) for _ in range(5)]
                weir = self.retrying(servers, retry={"max": most})
                self.assertEqual(self.client(weir).get().status, 502)
                self.assertEqual(sum(len(server.requests) for server in servers), most + 1)

    def test_switched_off(self):
        servers = self.bad_and_good(1)
        weir = self.retrying(servers, retry={"statuses": 503, "enabled": False})
        client = self.client(weir)
        self.assertEqual(sorted(client.get().status for _ in range(4)), [200, 200, 503, 503])
        self.assert_metric(weir, 0, "weir_backend_retries_total", reason="budgeted")

    def test_refused_connections_are_not_counted(self):
        """No server has seen the request: to go on to the one that is there is no retry."""
        for retry in ({}, {"max": 0}, {"enabled": False}):
            with self.subTest(retry=retry):
                servers = self.named("A")
                dead = [self.free_port() for _ in range(7)]
                weir = self.weir(*dead, *servers, backend={"balance": "first", "retry": retry})
                answers = [self.client(weir).request(method, body=b"x").body
                           for method in ("POST", "GET")]
                self.assertEqual(answers, [b"A", b"A"])

    def test_what_was_sent_counts_beside_refused_connections(self):
        """Three dead servers leave the one retry that is allowed to the fourth, which errs."""
        bad, good = self.bad_and_good(1)
        dead = [self.free_port() for _ in range(3)]
        weir = self.weir(*dead, bad, good, backend={
            "balance": "first", "retry": {"statuses": 503, "max": 1}})
        self.assertEqual(self.client(weir).get().body, b"A")

    def test_no_server_is_asked_twice(self):
        servers = self.bad_and_good(3)[:3]
        weir = self.retrying(servers, retry={"statuses": 503, "max": 7})
        client = self.client(weir)
        for number in range(1, 6):
            self.assertEqual(client.get().status, 503)
            self.assertEqual([len(server.asked) for server in servers], [number] * 3)


class Budget(RetryCase):

    REQUESTS = 1_000

    def spent(self, **retry) -> tuple[int, float]:
        """Two servers that only fail: retries of so many requests, and how long it took."""
        servers = self.bad_and_good(2)[:2]
        weir = self.retrying(servers, retry={"statuses": 503, **retry})
        client, started = self.client(weir), time.monotonic()
        for _ in range(self.REQUESTS):
            self.assertEqual(client.get().status, 503)
        retries = self.asked(servers) - self.REQUESTS
        self.assert_metric(weir, retries, "weir_backend_retries_total", reason="budgeted")
        self.assert_metric(weir, self.REQUESTS - retries, "weir_retry_budget_exhausted_total")
        return retries, time.monotonic() - started

    def test_share_of_the_requests(self):
        """No more than the share, and ten a second for those who ask seldom, three seconds of it
        saved; and not much less than the share."""
        for percent in (5, 20):
            with self.subTest(percent=percent):
                retries, took = self.spent(budget_percent=percent)
                share = self.REQUESTS * percent // 100
                self.assertGreaterEqual(retries, share * 9 // 10)
                self.assertLessEqual(retries, share + 30 + 10 * took + 1)

    def test_zero_is_none(self):
        self.assertEqual(self.spent(budget_percent=0)[0], 0)

    def test_what_it_does_not_pay_for_is_the_first_answer(self):
        """Not an error of weir's own."""
        servers = self.bad_and_good(2)[:2]
        weir = self.retrying(servers, retry={"statuses": 503, "budget_percent": 0})
        answer = self.client(weir).get()
        self.assertEqual((answer.status, answer.body), (503, b"busy"))

    def test_requests_that_no_server_saw_need_none(self):
        """A refused connection costs nobody anything."""
        servers = self.named("AB")
        servers[0].die()
        client = self.client(self.retrying(servers, retry={"budget_percent": 0}))
        self.assertEqual({client.request("POST", body=b"x").body for _ in range(20)}, {b"B"})


class HowLong(RetryCase):

    def test_before_the_second_retry_it_waits(self):
        """The first goes elsewhere at once. The second is not before an hour: by then the request
        is over."""
        servers = self.bad_and_good(3)[:3]
        weir = self.retrying(servers, request_timeout=ms(500), retry={
            "statuses": 503, "backoff": "1h", "backoff_max": "1h"})
        answer = self.client(weir).get()
        self.assertEqual(answer.status, 504)
        self.assertIn("request_timeout", answer.get("proxy-status"))
        self.assertEqual(self.asked(servers), 2)

    def test_one_attempt(self):
        """A server that says nothing for try_timeout: another one."""
        silent, good = self.bad_and_good(1, None)
        weir = self.retrying([silent, good], retry={"try_timeout": ms(200)})
        for _ in range(3):
            self.assertEqual(self.client(weir).get().body, b"A")
        self.assertGreater(len(silent.asked), 0)

    def test_one_attempt_of_a_post(self):
        """It may have been done: no second server, and the client is told."""
        servers = self.bad_and_good(1, None)
        weir = self.retrying(servers, retry={"try_timeout": ms(200)})
        statuses = [self.client(weir).request("POST", f"/{number}", body=b"x").status
                    for number in range(4)]
        self.assertEqual(sorted(statuses), [200, 200, 504, 504])
        self.assertEqual(self.asked(servers), 4)

    def test_the_last_attempt_has_the_same_time(self):
        servers = self.bad_and_good(2, None)[:2]
        weir = self.retrying(servers, retry={"try_timeout": ms(200)})
        answer = self.client(weir).get()
        self.assertEqual(answer.status, 504)
        self.assertIn("response_timeout", answer.get("proxy-status"))

    def test_all_attempts_together(self):
        servers = self.bad_and_good(3, None)[:3]
        weir = self.retrying(servers, request_timeout=ms(400))
        for method in ("GET", "POST"):
            answer = self.client(weir).request(method, body=b"x")
            self.assertEqual(answer.status, 504)
            self.assertIn("request_timeout", answer.get("proxy-status"))
        self.assertEqual(self.asked(servers), 2)
        self.assert_metric(weir, 2, "weir_errors_total", reason="request_timeout")

    def test_the_wait_in_the_queue_counts(self):
        """The one place is taken by an answer that has begun and does not end."""
        gate = threading.Event()
        self.addCleanup(gate.set)

        def script(connection):
            connection.request()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
            gate.wait(seconds(20))
            connection.send(b"def")

        server = self.origin(script)
        weir = self.retrying([server], server_limit=1, request_timeout=ms(400))
        holder = self.client(weir).send(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
        server.wait_requests(1)
        for method in ("GET", "POST"):
            answer = self.client(weir).request(method, body=b"x")
            self.assertEqual(answer.status, 504)
            self.assertIn("request_timeout", answer.get("proxy-status"))
        self.assertEqual(len(server.requests), 1)
        gate.set()
        self.assertEqual(holder.response().body, b"abcdef")

    def test_an_answer_that_has_begun_is_not_cut(self):
        """The time is for the head; content may take longer."""
        def slow(connection):
            connection.request()
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc")
            connection.sock.settimeout(seconds(0.6))
            try:
                connection.sock.recv(1)  # Nothing comes: this is the time that passes.
            except TimeoutError:
                pass
            connection.send(b"def")

        weir = self.retrying([self.origin(slow)], request_timeout=ms(300),
                             retry={"try_timeout": ms(300)})
        self.assertEqual(self.client(weir).get().body, b"abcdef")


class PostsAreNeverDoubled(RetryCase):

    def test_whatever_the_servers_do(self):
        """Servers that close, reset, stall, answer garbage and errors, on new and kept
        connections: each POST is at one server, once."""
        scripts = []
        for index in range(6):
            def script(connection, mood=index):
                for turn in range(4):
                    if not connection.request():
                        return
                    step = (connection.index + turn + mood) % 6
                    if step == 0:
                        return
                    if step == 1:
                        connection.reset()
                        return
                    if step == 2:
                        connection.send(b"garbage\r\n\r\n")
                        return
                    connection.send(BUSY if step == 3 else response(b"done"))

            scripts.append(self.origin(script))
        weir = self.retrying(scripts, retry={"statuses": [500, 503], "max": 7,
                                             "budget_percent": 100})
        client = self.client(weir)
        for number in range(300):
            try:
                answer = client.request("POST", f"/{number}", body=b"x" * (number % 50))
            except ConnectionError:
                client = self.client(weir)
                continue
            self.assertIn(answer.status, (200, 502, 503))
            if (answer.get("connection") or "") == "close":
                client = self.client(weir)
        targets = [request.target for server in scripts for request in server.requests]
        self.assertEqual(len(targets), len(set(targets)), "a POST was sent twice")
        wait_until(lambda: len(targets) >= 300, 1, "every POST at a server")
