"""What a server may cost weir at most: connections that are being opened, retries, requests."""

from harness import response, wait_until
from harness.named import NamedCase

BUSY = response(b"busy", status="503 Service Unavailable")


class Pending(NamedCase):

    def pending(self, *servers, limit=2, **backend):
        return self.weir(*servers, backend={"balance": "round_robin",
                                            "server_pending_limit": limit, "connect": "60s",
                                            "ejection": {"enabled": False}, **backend})

    def waiting(self, weir, count):
        """So many requests that wait for a connection."""
        clients = [self.client(weir) for _ in range(count)]
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\nHost: weir.test\r\n\r\n")
        wait_until(lambda: weir.metric("weir_server_connects_total") == count, 10,
                   "the connections to be tried")
        return clients

    def test_a_server_that_never_accepts(self):
        """Two connections are being opened; a third request is refused, and costs nothing."""
        weir = self.pending(self.deaf_port())
        clients = self.waiting(weir, 2)
        descriptors = weir.descriptors()
        for method in ("GET", "POST"):
            answer = self.client(weir).request(method, body=b"x")
            self.assertEqual(answer.status, 503)
            self.assertIn("circuit_open", answer.get("proxy-status"))
            self.assertTrue(answer.has("retry-after"))
        self.assert_metric(weir, 2, "weir_server_connects_total")
        self.assert_metric(weir, 2, "weir_errors_total", reason="circuit_open")
        self.assertLessEqual(weir.descriptors(), descriptors + 3)
        self.assertTrue(all(client.quiet() for client in clients))

    def test_others_take_its_share(self):
        good, deaf = self.named("A")[0], self.deaf_port()
        weir = self.pending(deaf, good)

        def begun():
            return len(good.asked) + weir.metric("weir_server_connects_total",
                                                 server=f"127.0.0.1:{deaf}")

        clients = [self.client(weir) for _ in range(6)]
        for number, client in enumerate(clients):
            client.send(b"GET / HTTP/1.1\r\nHost: weir.test\r\n\r\n")
            wait_until(lambda count=number + 1: begun() == count, 10, "a server for the request")
        self.assertEqual(self.names(weir, 20), "A" * 20)
        self.assertEqual(begun(), 26)
        self.assertEqual(sum(client.quiet() for client in clients), 2)

    def test_who_leaves_makes_room(self):
        weir = self.pending(self.deaf_port())
        clients = self.waiting(weir, 2)
        self.assertEqual(self.client(weir).get().status, 503)
        clients[0].reset()
        third = self.client(weir)

        def admitted():
            third.send(b"GET / HTTP/1.1\r\nHost: weir.test\r\n\r\n")
            return third.quiet(0.2) or third.response() is None

        wait_until(admitted, 10, "room for the third")

    def test_beside_a_limit_that_is_far_away(self):
        """Nobody is full, so there is nothing to line up for."""
        weir = self.pending(self.deaf_port(), server_limit=100)
        clients = self.waiting(weir, 2)
        for _ in range(4):
            answer = self.client(weir).get()
            self.assertEqual(answer.status, 503)
            self.assertIn("circuit_open", answer.get("proxy-status"))
        self.assert_metric(weir, 2, "weir_server_connects_total")
        self.assertTrue(all(client.quiet() for client in clients))

    def test_over_all_workers(self):
        weir = self.weir(self.deaf_port(), runtime={"workers": 4},
                         backend={"server_pending_limit": 3, "connect": "60s"})
        self.waiting(weir, 3)
        for _ in range(8):
            self.assertEqual(self.client(weir).get().status, 503)
        self.assert_metric(weir, 3, "weir_server_connects_total")


class Retries(NamedCase):

    def test_server_retry_limit(self):
        """The second server may have one request at a time that another one failed."""
        servers = self.named("AB")
        servers[0].answer = BUSY
        weir = self.weir(*servers, backend={
            "balance": "first", "server_retry_limit": 1, "retry": {"statuses": 503},
            "ejection": {"enabled": False}})
        servers[0].gate.set()
        first = self.hold(weir, 1)
        self.held(servers[1:], 1)
        answer = self.client(weir).get()
        self.assertEqual(answer.status, 502)
        self.assertIn("upstream_status", answer.get("proxy-status"))
        self.assert_metric(weir, 0, "weir_errors_total", reason="circuit_open")
        self.finish(servers, first)
        wait_until(lambda: self.client(weir).get().body == b"B", 10, "room for the next one")

    def test_none_at_all(self):
        """First attempts are no retries, and what failed those is what the client is told."""
        servers = self.named("AB")
        servers[0].answer = BUSY
        weir = self.weir(*servers, backend={
            "balance": "round_robin", "server_retry_limit": 0, "retry": {"statuses": 503},
            "ejection": {"enabled": False}})
        client = self.client(weir)
        statuses = [client.get().status for _ in range(8)]
        self.assertEqual(sorted(statuses), [200] * 4 + [502] * 4)
        self.assert_metric(weir, 4, "weir_errors_total", reason="upstream_status")


    def test_beside_a_limit_that_is_far_away(self):
        servers = self.named("AB")
        servers[0].answer = BUSY
        weir = self.weir(*servers, backend={
            "balance": "round_robin", "server_retry_limit": 0, "server_limit": 100,
            "retry": {"statuses": 503}, "ejection": {"enabled": False}})
        client = self.client(weir)
        statuses = [client.get().status for _ in range(8)]
        self.assertEqual(sorted(statuses), [200] * 4 + [502] * 4)


class Limits(NamedCase):

    def exact(self, limits, count, backend, servers="AB"):
        """So many requests at one time, four of which find a place: what each server sees."""
        named = self.named(servers)
        tables = [{"address": server, **({"limit": limit} if limit else {})}
                  for server, limit in zip(named, limits)]
        weir = self.weir(*tables, runtime={"workers": 3}, backend=backend)
        clients = self.hold(weir, count)
        wait_until(lambda: weir.metric("weir_http_requests_in_flight") == count, 10, "all of them")
        self.held(named, 4)
        self.finish(named, clients)
        return [server.holding_most for server in named]

    def test_of_one_server(self):
        most = self.exact((3, 1), 12, {"balance": "least_connections"})
        self.assertEqual(most, [3, 1])

    def test_a_servers_own_limit_goes_before_the_common_one(self):
        most = self.exact((3, None), 12, {"balance": "least_connections", "server_limit": 1})
        self.assertEqual(most, [3, 1])

    def test_of_the_backend(self):
        servers = self.named("ABC")
        weir = self.weir(*servers, runtime={"workers": 3},
                         backend={"limit": 4, "balance": "least_connections"})
        clients = self.hold(weir, 15)
        self.held(servers, 4)
        wait_until(lambda: weir.metric("weir_http_requests_in_flight") == 15, 10, "all of them")
        self.assertEqual(sum(server.holding for server in servers), 4)
        self.finish(servers, clients)

    def test_a_client_that_leaves_gives_its_place_back(self):
        servers = self.named("A")
        weir = self.weir(*servers, backend={"server_limit": 1})
        (holder,) = self.hold(weir, 1)
        self.held(servers, 1)
        waiter = self.hold(weir, 1)
        wait_until(lambda: weir.metric("weir_http_requests_in_flight") == 2, 10, "the waiter")
        holder.reset()
        self.held(servers, 2)  # The server does not know yet that nobody waits for the first.
        self.finish(servers, waiter)

    def test_a_waiter_that_leaves_is_forgotten(self):
        servers = self.named("A")
        weir = self.weir(*servers, backend={"server_limit": 1})
        holders = self.hold(weir, 1)
        self.held(servers, 1)
        waiters = self.hold(weir, 5)
        wait_until(lambda: weir.metric("weir_http_requests_in_flight") == 6, 10, "the waiters")
        for waiter in waiters:
            waiter.reset()
        wait_until(lambda: weir.metric("weir_http_requests_in_flight") == 1, 10, "them to be gone")
        self.finish(servers, holders)
        self.assertEqual(self.names(weir, 3), "AAA")
        self.assertEqual(len(servers[0].asked), 4)
