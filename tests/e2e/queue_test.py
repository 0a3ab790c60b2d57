"""Limits of servers and the queue before them: never one request too many, over all workers; who
waits is served in order, by class, or told in time that it is in vain."""

import threading

from harness import response, seconds, wait_until
from harness.failure import FailureCase, ms

GET = b"GET /%s HTTP/1.1\r\nHost: a\r\n%s\r\n"


class Holding:
    """Answers one request for each permit, and knows how many it had at one time."""

    def __init__(self):
        self.permits = threading.Semaphore(0)
        self.lock = threading.Lock()
        self.now = self.most = 0
        self.order: list[str] = []

    def __call__(self, connection) -> None:
        while request := connection.request():
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
                self.order.append(request.target.lstrip("/"))
            self.permits.acquire(timeout=seconds(60))
            with self.lock:
                self.now -= 1
            connection.send(response(request.target.encode()))


class QueueCase(FailureCase):

    def held(self) -> Holding:
        self.hold = Holding()
        self.server = self.origin(self.hold)
        # Scripts that still wait at the end of the test.
        self.addCleanup(lambda: self.hold.permits.release(10_000))
        return self.hold

    def send(self, weir, name: str, fields: str = ""):
        client = self.client(weir, timeout=seconds(30))
        return client.send(GET % (name.encode(), fields.encode()))

    def line_up(self, weir, *names: str, fields: str = "",
                by: str = "weir_http_requests_received_total") -> list:
        """They wait in this order: weir knows each, by this metric, before the next is sent."""
        clients = []
        for name in names:
            before = weir.metric(by)
            clients.append(self.send(weir, name, fields))
            wait_until(lambda n=before: weir.metric(by) > n, 10, "the request at weir")
        return clients

    def refused(self, answer, word: str) -> None:
        """503, with the reason and when to come back (RFC 9110 10.2.3)."""
        self.assertEqual(answer.status, 503)
        self.assertIn(word, answer.get("proxy-status"))
        self.assertIn(word, answer.body.decode())
        self.assertGreaterEqual(int(answer.get("retry-after")), 1)

    def one_slot(self, queue: dict | None = None, **options):
        """A server with a limit of 1, and a request that has the slot."""
        self.held()
        options.setdefault("runtime", {"workers": 1})
        weir = self.weir(self.server, backend={"server_limit": 1, "queue": {
            "timeout": "60s", "target": "0s", **(queue or {})}}, **options)
        first = self.send(weir, "first")
        wait_until(lambda: self.hold.now == 1, 10, "the first request at the server")
        return weir, first


class ExactLimits(QueueCase):

    def drain(self, clients: list) -> None:
        self.hold.permits.release(len(clients))
        for client in clients:
            self.assertEqual(client.response().status, 200)

    def test_over_four_workers(self):
        """Three at one time, whoever asks; and all three slots are used."""
        self.held()
        weir = self.weir(self.server, runtime={"workers": 4}, backend={
            "server_limit": 3, "queue": {"timeout": "60s", "target": "0s"}})
        clients = [self.send(weir, str(number)) for number in range(60)]
        wait_until(lambda: weir.metric("weir_http_requests_received_total") == 60, 10)
        wait_until(lambda: self.hold.now == 3, 10, "three requests at the server")
        self.drain(clients)
        self.assertEqual(self.hold.most, 3)

    def test_all_load_on_one_of_four_workers(self):
        """The slots belong to whoever needs them, not a share to each worker."""
        self.held()
        weir = self.weir(self.server, runtime={"workers": 4}, backend={
            "server_limit": 3, "queue": {"timeout": "60s", "target": "0s"}})
        clients = self.on_worker_zero(weir, 12)
        for number, client in enumerate(clients):
            client.send(GET % (str(number).encode(), b""))
        wait_until(lambda: self.hold.now == 3, 10, "three requests at the server")
        self.drain(clients)
        self.assertEqual(self.hold.most, 3)

    def on_worker_zero(self, weir, count: int) -> list:
        """Connections that this worker accepted: its loop is the one that a request on them keeps
        busy."""
        found = []
        while len(found) < count:
            client = self.client(weir, timeout=seconds(30))
            before = self.steps(weir)
            self.hold.permits.release()
            client.get("/probe")
            after = self.steps(weir)
            if max(range(4), key=lambda n: after[n] - before[n]) == 0:
                found.append(client)
            else:
                client.close()
        self.hold.most = 0
        return found

    def steps(self, weir) -> list[float]:
        metrics = weir.metrics()
        return [metrics[f'weir_worker_steps_total{{worker="{number}"}}'] for number in range(4)]

    def test_of_the_backend_as_a_whole(self):
        hold = self.held()
        other = self.origin(hold)
        weir = self.weir(self.server, other, runtime={"workers": 4}, backend={
            "limit": 3, "queue": {"timeout": "60s", "target": "0s"}})
        clients = [self.send(weir, str(number)) for number in range(30)]
        wait_until(lambda: hold.now == 3, 10, "three requests at the servers")
        self.drain(clients)
        self.assertEqual(hold.most, 3)
        self.assertTrue(self.server.requests and other.requests)

    def test_of_one_server_beside_another(self):
        """Its limit is its own; who finds it full goes to the other."""
        small, large = Holding(), Holding()
        weir = self.weir({"address": self.origin(small), "limit": 2},
                         {"address": self.origin(large), "limit": 20}, runtime={"workers": 2},
                         backend={"balance": "round_robin", "queue": {"target": "0s"}})
        clients = [self.send(weir, str(number)) for number in range(22)]
        wait_until(lambda: small.now + large.now == 22, 10, "all requests at the servers")
        self.assertEqual((small.now, large.now), (2, 20))
        for hold in (small, large):
            hold.permits.release(100)
        for client in clients:
            self.assertEqual(client.response().status, 200)

    def test_under_load_from_all_workers(self):
        """Thousands of requests that come and go in no order: never four, and in the end none."""
        server = self.moody("one", service=0.001)
        weir = self.weir(server, runtime={"workers": 4}, backend={
            "server_limit": 3, "queue": {"timeout": "60s", "target": "0s"}})
        load = self.load(weir, clients=24)
        wait_until(lambda: len(load.answers) > 3_000, 60, "answers")
        load.stop()
        self.assertEqual(load.failures, [])
        report = server.report()
        self.assertEqual((report["most_in_flight"], report["in_flight"]), (3, 0))
        name = "weir_server_requests_in_flight"
        wait_until(lambda: weir.metric(name) == 0, 10, "every slot given back")


class InLine(QueueCase):

    def test_first_come_first_served(self):
        weir, first = self.one_slot()
        names = [f"r{number}" for number in range(8)]
        clients = self.line_up(weir, *names)
        self.hold.permits.release(9)
        for client in [first, *clients]:
            self.assertEqual(client.response().status, 200)
        self.assertEqual(self.hold.order, ["first", *names])

    def test_first_come_first_served_over_workers(self):
        weir, first = self.one_slot(runtime={"workers": 4})
        names = [f"r{number}" for number in range(12)]
        # One worker may count a request as received, and lose its processor before it lines up.
        clients = self.line_up(weir, *names, by="weir_backend_queued_total")
        self.hold.permits.release(13)
        for client in [first, *clients]:
            self.assertEqual(client.response().status, 200)
        self.assertEqual(self.hold.order, ["first", *names])

    def test_a_client_that_leaves_gives_up_its_place(self):
        weir, first = self.one_slot()
        gone, stays = self.line_up(weir, "gone", "stays")
        gone.reset()
        wait_until(lambda: weir.metric("weir_listener_connections_active") == 2, 10, "it left")
        self.hold.permits.release(2)
        self.assertEqual(first.response().status, 200)
        self.assertEqual(stays.response().status, 200)
        self.assertEqual(self.hold.order, ["first", "stays"])

    def test_a_client_that_leaves_gives_up_its_slot(self):
        """What it asked for may go on at the server; the connection to it is closed."""
        weir, first = self.one_slot()
        (second,) = self.line_up(weir, "second")
        first.reset()
        wait_until(lambda: self.hold.order == ["first", "second"], 10, "the second one's turn")
        self.hold.permits.release(2)
        self.assertEqual(second.response().status, 200)

    def test_a_request_with_content_waits_whole(self):
        weir, first = self.one_slot()
        client = self.client(weir, timeout=seconds(30))
        client.send(b"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
        self.hold.permits.release(2)
        self.assertEqual(first.response().status, 200)
        self.assertEqual(client.response("POST").status, 200)
        self.assertEqual(self.server.requests[-1].body, b"hello")

    def test_the_first_server_that_is_free(self):
        """Whose turn it is at which server is decided when one is free, not on arrival."""
        holds = [Holding(), Holding()]
        weir = self.weir(*(self.origin(hold) for hold in holds), backend={
            "balance": "round_robin", "server_limit": 1, "queue": {"target": "0s"}})
        stays, ends = self.line_up(weir, "stays", "ends")
        waiting = self.line_up(weir, "c", "d")
        wait_until(lambda: all(hold.order for hold in holds), 10, "one request at each")
        holds.sort(key=lambda hold: hold.order)
        holds[0].permits.release(3)
        for client in [ends, *waiting]:
            self.assertEqual(client.response().status, 200)
        self.assertEqual([hold.order for hold in holds], [["ends", "c", "d"], ["stays"]])
        holds[1].permits.release()
        self.assertEqual(stays.response().status, 200)

    def test_a_retry_waits_for_another_server(self):
        """The server that failed it is free, and yet not asked again; who comes later is not held
        up by that."""
        hold = self.held()
        failing = self.origin(lambda connection: (connection.request(), connection.reset()))
        weir = self.weir(self.server, failing, backend={
            "balance": "round_robin", "server_limit": 1, "queue": {"target": "0s"},
            "ejection": {"enabled": False}})
        busy = self.send(weir, "busy")
        wait_until(lambda: hold.now == 1, 10, "the request at the one that holds")
        first, second = (self.send(weir, name) for name in ("first", "second"))
        wait_until(lambda: len(failing.requests) >= 2, 10, "both at the failing one")
        hold.permits.release(3)
        for client in (busy, first, second):
            self.assertEqual(client.response().status, 200)
        self.assertEqual(sorted(hold.order), ["busy", "first", "second"])
        targets = [request.target for request in failing.requests]
        self.assertEqual(len(targets), len(set(targets)))


class InVain(QueueCase):

    def test_timeout(self):
        weir, first = self.one_slot({"timeout": ms(300)})
        self.refused(self.client(weir).get(), "queue_timeout")
        self.hold.permits.release()
        self.assertEqual(first.response().status, 200)

    def test_full(self):
        weir, first = self.one_slot({"size": 3})
        waiting = self.line_up(weir, "a", "b", "c")
        for _ in range(3):
            self.refused(self.client(weir).get(), "queue_full")
        self.hold.permits.release(4)
        for client in [first, *waiting]:
            self.assertEqual(client.response().status, 200)

    def test_no_queue(self):
        weir, first = self.one_slot({"size": 0})
        client = self.client(weir)
        self.refused(client.get(), "queue_full")
        self.hold.permits.release(2)
        self.assertEqual(first.response().status, 200)
        self.assertEqual(client.get().status, 200)  # On the connection that was refused.

    def test_request_timeout_includes_the_wait(self):
        self.held()
        weir = self.weir(self.server, backend={"server_limit": 1, "request_timeout": ms(400)})
        clients = [self.send(weir, "first"), self.send(weir, "second")]
        for client in clients:
            answer = client.response()
            self.assertEqual(answer.status, 504)
            self.assertIn("request_timeout", answer.get("proxy-status"))
        self.hold.permits.release(2)

    def test_a_queue_that_stays_long_is_shortened(self):
        """Controlled delay: when nobody was served in time for a while, some are told at once, so
        that the others are. Without a target nobody is."""
        for target, dropped in ((ms(50), True), ("0s", False)):
            with self.subTest(target=target):
                server = self.moody("one", service=0.02)
                weir = self.weir(server, backend={"server_limit": 1, "queue": {
                    "timeout": "60s", "target": target, "target_interval": ms(100)}})
                load = self.load(weir, clients=30)
                wait_until(lambda n=load: len(n.answers) >= 150, 30, "answers")
                load.stop()
                self.assertEqual(bool(load.failures), dropped)
                for answer in load.failures:
                    self.assertEqual(answer.status, 503)
                    self.assertIn("queue_dropped", answer.error)
                    self.assertGreaterEqual(int(answer.retry_after), 1)

    def test_a_short_burst_is_not_a_queue_that_stays(self):
        server = self.moody("one", service=0.002)
        weir = self.weir(server, backend={"server_limit": 1, "queue": {
            "timeout": "60s", "target": ms(10), "target_interval": "30s"}})
        clients = [self.send(weir, str(number)) for number in range(40)]
        self.assertEqual({client.response().status for client in clients}, {200})


class Classes(QueueCase):
    """0 goes first, 3 last; every eighth time the oldest goes, so that nobody waits for ever."""

    ROUTES = [{"path": f"/p{number}", "priority": number, "backend": "app"}
              for number in (0, 1, 2, 3)] + [{"backend": "app"}]

    def served(self, first, clients: list) -> list[str]:
        self.hold.permits.release(len(clients) + 1)
        for client in [first, *clients]:
            self.assertEqual(client.response().status, 200)
        return self.hold.order[1:]

    def test_by_route(self):
        weir, first = self.one_slot(routes=self.ROUTES)
        clients = self.line_up(weir, "p3", "p2", "none", "p0", "p1")
        self.assertEqual(self.served(first, clients), ["p0", "none", "p1", "p2", "p3"])

    def test_by_header(self):
        """Instead of the route's; what is no number from 0 to 3 is not there."""
        weir, first = self.one_slot({"priority_header": "X-Priority"}, routes=self.ROUTES)
        clients = []
        for name, value in (("p0/three", "3"), ("p3/two", "2"), ("p1/route", "9"), ("p1/b", "")):
            clients += self.line_up(weir, name, fields=f"X-Priority: {value}\r\n")
        clients += self.line_up(weir, "p3/none")
        clients += self.line_up(weir, "p3/zero", fields="X-Priority: 0\r\n")
        self.assertEqual(self.served(first, clients), [
            "p3/zero", "p1/route", "p1/b", "p3/two", "p0/three", "p3/none"])

    def test_a_header_that_was_not_asked_for(self):
        weir, first = self.one_slot(routes=self.ROUTES)
        clients = self.line_up(weir, "p1/a")
        clients += self.line_up(weir, "p1/b", fields="X-Priority: 0\r\n")
        self.assertEqual(self.served(first, clients), ["p1/a", "p1/b"])

    def test_a_full_queue_makes_room_for_a_better_class(self):
        """The newest of the worst has to go; of equal class, who comes last."""
        weir, first = self.one_slot({"size": 3}, routes=self.ROUTES)
        old, older, newest = self.line_up(weir, "p2/a", "p3/b", "p3/c")
        (better,) = self.line_up(weir, "p0")
        self.refused(newest.response(), "queue_full")
        self.refused(self.client(weir).get("/p3/d"), "queue_full")
        self.assertEqual(self.served(first, [better, old, older]), ["p0", "p2/a", "p3/b"])

    def test_nobody_starves(self):
        """Of a class that is never empty; the worst is served all the same."""
        server = self.moody("one", service=0.002)
        weir = self.weir(server, routes=self.ROUTES, backend={
            "server_limit": 1, "queue": {"timeout": "60s", "target": "0s"}})
        best = self.load(weir, clients=8, path="/p0/{}")
        worst = self.load(weir, clients=2, path="/p3/{}")
        wait_until(lambda: len(worst.answers) > 50, 30, "answers to the worst class")
        best.stop(), worst.stop()
        self.assertGreater(len(best.answers), 2 * len(worst.answers))
        self.assertEqual(best.failures + worst.failures, [])
