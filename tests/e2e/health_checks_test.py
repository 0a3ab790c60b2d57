"""Active health checks: who is found to be down, why, and what it means for requests."""

import time

from harness import Case, SLOWDOWN, config, response, wait_until

OK_TEXT = response(b"fine")


def ms(value: float) -> str:
    return f"{int(value * SLOWDOWN)}ms"


class Checked:
    """A script with two voices: `health` answers GET /health, every other request gets `name`."""

    def __init__(self, name: str = "one", health: bytes = OK_TEXT):
        self.name, self.health = name, health
        self.checks = 0

    def __call__(self, connection) -> None:
        while request := connection.request():
            if request.target.startswith("/health"):
                self.checks += 1
                connection.send(self.health)
            else:
                connection.send(response(self.name.encode()))


class HealthCase(Case):

    def checked(self, name: str = "one", health: bytes = OK_TEXT):
        script = Checked(name, health)
        return self.origin(script), script

    def backend(self, **keys) -> dict:
        health = {"path": "/health", "interval": ms(50), "fast_interval": ms(20),
                  "timeout": ms(500), "rise": 2, "fall": 3, **keys}
        health = {key: value for key, value in health.items() if value is not None}
        return {"balance": "round_robin", "health": health}

    def down(self, weir, server, why: str) -> None:
        line = f"server app/{server} is down: {why}"
        wait_until(lambda: line in weir.err, 15, f"`{line}` in {weir.err[-2000:]}")

    def up_again(self, weir, server) -> None:
        line = f"server app/{server} is up again after "
        wait_until(lambda: line in weir.err, 15, f"`{line}` in {weir.err[-2000:]}")

    def names(self, weir, count: int = 12) -> set:
        """Which servers answer so many requests."""
        client = self.client(weir)
        answers = [client.get() for _ in range(count)]
        self.assertEqual({answer.status for answer in answers}, {200})
        return {answer.body.decode() for answer in answers}


class Verdicts(HealthCase):

    def test_a_failing_server_is_left_alone_until_it_recovers(self):
        (sick, script), (well, _) = self.checked("sick"), self.checked("well")
        weir = self.weir(sick, well, backend={**self.backend(), "slow_start": "0s"})
        wait_until(lambda: script.checks > 0, 10, "a check")
        self.assertEqual(self.names(weir), {"sick", "well"})
        script.health = response(b"", status="503 Busy")
        self.down(weir, sick.address, "status 503")
        self.assertIn("(3 checks)", weir.err)
        self.assertEqual(self.names(weir), {"well"})
        script.health = OK_TEXT
        self.up_again(weir, sick.address)
        wait_until(lambda: "sick" in self.names(weir), 10, "requests at the server again")

    def test_with_every_server_down_there_is_no_answer(self):
        server, _ = self.checked("one", response(b"", status="500 Oops"))
        weir = self.weir(server, backend={**self.backend(), "panic_percent": 0})
        self.down(weir, server.address, "status 500")
        self.assertEqual(self.client(weir).get().status, 503)

    def test_below_the_panic_threshold_all_are_used(self):
        """Whatever their checks say: the checks are the more likely to be wrong."""
        server, _ = self.checked("one", response(b"", status="500 Oops"))
        weir = self.weir(server, backend={**self.backend(), "panic_percent": 50})
        self.down(weir, server.address, "status 500")
        self.assertEqual(self.names(weir), {"one"})

    def test_connection_refused(self):
        port = self.free_port()
        weir = self.weir(port, backend=self.backend())
        self.down(weir, f"127.0.0.1:{port}", "connection refused")
        self.assertIn("connection refused (1 check)", weir.err)

    def test_a_server_that_accepts_and_never_answers(self):
        server = self.origin(lambda connection: connection.wait_end())
        weir = self.weir(server, backend=self.backend(timeout=ms(200)))
        self.down(weir, server.address, "no answer within")

    def test_a_full_accept_queue(self):
        port = self.deaf_port()
        weir = self.weir(port, backend=self.backend(timeout=ms(200)))
        self.down(weir, f"127.0.0.1:{port}", "no connection within")

    def test_an_answer_that_never_ends(self):
        def trickle(connection):
            connection.request()
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                connection.send(b"1\r\nx\r\n")
                time.sleep(0.01)

        server = self.origin(trickle)
        weir = self.weir(server, backend=self.backend(timeout=ms(200)))
        self.down(weir, server.address, "no end of the answer within")

    def test_of_a_flood_the_first_bytes_decide(self):
        def flood(connection):
            connection.request()
            connection.send(b"HTTP/1.0 200 OK\r\n\r\n")
            while True:
                connection.send(b"x" * 65_536)

        server = self.origin(flood)
        weir = self.weir(server, backend=self.backend(expect_body="ready"))
        self.down(weir, server.address, "body too large, without `ready`")

    def test_a_text_that_is_missing(self):
        server, script = self.checked("one", response(b"starting"))
        weir = self.weir(server, backend=self.backend(expect_body="ready"))
        self.down(weir, server.address, "body lacks `ready`")
        script.health = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" \
                        b"3\r\nrea\r\n2\r\ndy\r\n0\r\n\r\n"
        self.up_again(weir, server.address)

    def test_an_answer_that_is_not_http(self):
        server, _ = self.checked("one", b"+OK\r\n")
        weir = self.weir(server, backend=self.backend())
        self.down(weir, server.address, "broken answer: bad_version")

    def test_bare_tcp(self):
        words = {"answer": b"-LOADING\r\n"}

        def script(connection):
            if connection.reader.fill():
                connection.send(words["answer"])

        server = self.origin(script)
        weir = self.weir(server, backend=self.backend(type="tcp", path=None, send="PING\r\n",
                                                      expect="+PONG"))
        self.down(weir, server.address, "answer lacks `+PONG`")
        words["answer"] = b"+PONG\r\n"
        self.up_again(weir, server.address)


class Requests(HealthCase):

    def test_the_check_is_a_plain_request(self):
        server, script = self.checked()
        weir = self.weir(server, backend=self.backend(host="app.test", headers={"X-Check": "1"}))
        wait_until(lambda: script.checks > 0, 10, "a check")
        request = server.requests[0]
        self.assertEqual((request.method, request.target), ("GET", "/health"))
        self.assertEqual(request.get("host"), "app.test")
        self.assertEqual(request.get("x-check"), "1")
        self.assertEqual(request.get("connection"), "close")
        self.assertRegex(request.get("user-agent"), r"^weir/\S+ \(health check\)$")
        self.assertEqual(self.client(weir).get().body, b"one")

    def test_every_so_many_requests(self):
        server, script = self.checked()
        weir = self.weir(server, backend=self.backend(interval="1h", fast_interval="1h",
                                                      every_requests=5))
        wait_until(lambda: script.checks == 1, 10, "the first check")
        client = self.client(weir)
        for expected in (2, 3):
            for _ in range(5):
                client.get()
            wait_until(lambda n=expected: script.checks == n, 10, f"check {expected}")

    def test_the_classic_form_asks_for_healthcheck_and_takes_any_answer(self):
        server, script = self.checked("one", response(b"no such file", status="404 Not Found"))
        weir = self.classic(server)
        wait_until(lambda: script.checks > 0, 10, "a check")
        self.assertEqual(server.requests[0].target, "/healthcheck")
        self.assertEqual(self.names(weir), {"one"})
        self.assertNotIn("is down", weir.err)


class Wishes(HealthCase):

    def test_a_server_asks_for_its_drain(self):
        (leaving, script), (staying, _) = self.checked("leaving"), self.checked("staying")
        weir = self.weir(leaving, staying, backend={**self.backend(load_report=True),
                                                    "slow_start": "0s"})
        script.health = response(b"drain\n")
        line = f"server app/{leaving.address} asks for drain"
        wait_until(lambda: line in weir.err, 10, line)
        self.assertEqual(self.names(weir), {"staying"})
        script.health = response(b"up\n")
        wait_until(lambda: "leaving" in self.names(weir), 10, "requests at the server again")


    def test_when_all_ask_for_nothing_it_is_said(self):
        """No panic and no check that fails: 503, and a line that says why."""
        (one, first), (two, second) = self.checked("one"), self.checked("two")
        weir = self.weir(one, two, backend={**self.backend(load_report=True), "slow_start": "0s"})
        first.health, second.health = response(b"maint\n"), response(b"down\n")
        line = "backend app: no server is left that takes requests: 1 down, 1 maintenance"
        wait_until(lambda: line in weir.err, 10, line)
        answer = self.client(weir).get()
        self.assertEqual(answer.status, 503)
        self.assertIn(b"no_healthy_server", answer.body)
        self.assert_metric(weir, 0, "weir_backend_panic", backend="app")
        self.assert_metric(weir, 1, "weir_server_wishes_total", server=one.address,
                           wish="maintenance")
        second.health = response(b"up\n")
        line = "backend app: servers take requests again"
        wait_until(lambda: line in weir.err, 10, line)
        self.assertEqual(self.names(weir), {"two"})
        self.assertEqual(weir.err.count("no server is left"), 1)


class Reloads(HealthCase):

    def test_a_reload_is_no_verdict(self):
        """A good server fails once with every reload: far from `fall`."""
        (sick, script), (well, _) = self.checked("sick"), self.checked("well")
        weir = self.weir(sick, well, backend=self.backend(fall=100, interval="1h",
                                                          fast_interval="1h"))
        failed = lambda: weir.metric("weir_health_check_failures_total", server=sick.address) or 0
        wait_until(lambda: weir.metric("weir_health_checks_total", server=sick.address,
                                       result="passed"), 10, "the first check")
        script.health = response(b"", status="500 Oops")
        for times in range(3):
            options = {**weir.options, "backend": self.backend(
                fall=99 - times, interval="1h", fast_interval="1h")}
            weir.write_config(config(servers=[sick, well], **options))
            weir.reload()
            wait_until(lambda n=times: failed() == n + 1, 10, "a check after the reload")
        self.assertEqual(self.names(weir), {"sick", "well"})
        self.assertNotIn("is down", weir.err)

    def test_a_verdict_outlives_a_reload(self):
        (sick, script), (well, _) = self.checked("sick"), self.checked("well")
        script.health = response(b"", status="500 Oops")
        weir = self.weir(sick, well, backend=self.backend())
        self.down(weir, sick.address, "status 500")
        for path in ("/health", "/health/other"):  # The same check, and another one.
            options = {**weir.options, "backend": self.backend(path=path)}
            weir.write_config(config(servers=[sick, well], **options))
            reloads = weir.err.count("is active:")
            weir.reload()
            wait_until(lambda n=reloads: weir.err.count("is active:") > n, 10, "the reload")
            self.assertEqual(self.names(weir), {"well"})
        self.assertEqual(weir.err.count("is down"), 1, weir.err)

    def test_without_its_check_a_server_is_used_again(self):
        server, _ = self.checked("one", response(b"", status="500 Oops"))
        other, _ = self.checked("two")
        weir = self.weir(server, other, backend={**self.backend(), "slow_start": "0s"})
        self.down(weir, server.address, "status 500")
        options = {**weir.options, "backend": {"balance": "round_robin"}}
        weir.write_config(config(servers=[server, other], **options))
        weir.reload()
        wait_until(lambda: self.names(weir) == {"one", "two"}, 10, "both servers")
