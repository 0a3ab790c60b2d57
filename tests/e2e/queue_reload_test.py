"""Who waits when the configuration changes, and what is free beside a queue."""

import threading

from harness import seconds, wait_until
from harness.failure import ms
from harness.named import NamedCase
from queue_test import Holding, QueueCase


class Reloads(QueueCase, NamedCase):
    """Who waits goes on by the new file, as long as it has waited."""

    def apply(self, weir, *servers, **changes) -> None:
        self.reload(weir, list(servers), backend={**weir.options["backend"], **changes})

    def relayed(self, weir, count: int) -> list:
        """Connections that the server answers as soon as it is given a permit."""
        return [self.client(weir, timeout=seconds(30)).send(b"x") for _ in range(count)]

    def test_more_at_one_time(self):
        """Raised, and removed: nobody waits beside a server with room."""
        for changes in ({"server_limit": 4}, {"server_limit": None}):
            with self.subTest(changes=changes):
                weir, first = self.one_slot(runtime={"workers": 2})
                waiting = self.line_up(weir, "a", "b", "c", by="weir_backend_queued_total")
                self.apply(weir, self.server, **changes)
                wait_until(lambda: self.hold.now == 4, 10, "all four at the server")
                self.hold.permits.release(4)
                for client in [first, *waiting]:
                    self.assertEqual(client.response().status, 200)
                wait_until(lambda: weir.metric("weir_server_requests_in_flight") == 0, 10)

    def test_less_at_one_time(self):
        """Those who are at the server count by both files; the queue keeps who is in it."""
        self.held()
        weir = self.weir(self.server, runtime={"workers": 2}, backend={
            "server_limit": 3, "queue": {"timeout": "60s", "target": "0s"}})
        first = [self.send(weir, name) for name in "abc"]
        wait_until(lambda: self.hold.now == 3, 10, "three at the server")
        waiting = self.line_up(weir, "d", "e", "f", by="weir_backend_queued_total")
        self.apply(weir, self.server, server_limit=1,
                   queue={"size": 1, "timeout": "60s", "target": "0s"})
        self.refused(self.client(weir).get(), "queue_full")
        self.hold.most = 0
        self.hold.permits.release(2)
        wait_until(lambda: self.hold.now == 1, 10, "two have ended, nobody has begun")
        self.assertEqual(len(self.hold.order), 3)
        self.hold.permits.release(4)
        for client in [*first, *waiting]:
            self.assertEqual(client.response().status, 200)
        self.assertEqual(self.hold.order[3:], ["d", "e", "f"])

    def test_a_server_more(self):
        weir, first = self.one_slot()
        (waiting,) = self.line_up(weir, "waiting")
        self.apply(weir, self.server, self.origin())
        self.assertEqual(waiting.response().status, 200)
        self.hold.permits.release(1)
        self.assertEqual(first.response().status, 200)

    def test_a_server_less(self):
        """Nobody is sent there any more, though a request ends there."""
        stays, leaves = Holding(), Holding()
        servers = [self.origin(stays), self.origin(leaves)]
        for hold in (stays, leaves):
            self.addCleanup(hold.permits.release, 100)
        weir = self.weir(*servers, backend={"server_limit": 1, "queue": {
            "timeout": "60s", "target": "0s"}})
        first = [self.send(weir, name) for name in "ab"]
        wait_until(lambda: stays.now + leaves.now == 2, 10, "both are full")
        waiting = self.line_up(weir, "c")
        self.apply(weir, servers[0])
        leaves.permits.release(1)
        wait_until(lambda: leaves.now == 0, 10, "it has answered")
        stays.permits.release(2)
        for client in [*first, *waiting]:
            self.assertEqual(client.response().status, 200)
        self.assertEqual((len(stays.order), len(leaves.order)), (2, 1))

    def test_the_wait_goes_on_where_it_was(self):
        """A shorter timeout counts from when the wait began."""
        weir, first = self.one_slot()
        (waiting,) = self.line_up(weir, "waiting")
        self.apply(weir, self.server, queue={"timeout": ms(300)})
        self.refused(waiting.response(), "queue_timeout")
        self.hold.permits.release(1)
        self.assertEqual(first.response().status, 200)

    def test_no_server_is_left(self):
        """Maintenance of them all, or the backend is gone: it is said at once."""
        for servers, changes in (([{"state": "maintenance"}], {}), ([{}], {"backends": {}})):
            with self.subTest(changes=changes):
                weir, first = self.one_slot()
                (waiting,) = self.line_up(weir, "waiting")
                options = dict(weir.options)
                if changes:
                    options["backends"] = {"other": {"servers": [self.server]}}
                weir.options = options
                self.reload(weir, [{"address": self.server, **servers[0]}])
                self.refused(waiting.response(), "no_healthy_server")
                self.hold.permits.release(1)
                self.assertEqual(first.response().status, 200)

    def test_of_relays(self):
        """The same for connections of a TCP listener."""
        seen = threading.Semaphore(0)
        server = self.origin(lambda connection: (seen.release(), connection.wait_end()))
        weir = self.weir(server, listener={"mode": "tcp", "backend": "app"}, routes=[],
                         runtime={"workers": 2}, backend={
                             "server_limit": 1, "queue": {"timeout": "60s", "target": "0s"}})
        clients = [self.client(weir, timeout=seconds(30)) for _ in range(4)]
        wait_until(lambda: weir.metric("weir_backend_queue_length") == 3, 10, "three wait")
        self.apply(weir, server, server_limit=3)
        wait_until(lambda: weir.metric("weir_backend_queue_length") == 1, 10, "one waits")
        self.assertTrue(all(seen.acquire(timeout=seconds(10)) for _ in range(3)))
        self.reload(weir, [{"address": server, "state": "maintenance"}])
        wait_until(lambda: weir.metric("weir_backend_queue_length") == 0, 10, "it is told")
        wait_until(lambda: weir.metric("weir_errors_total", reason="no_healthy_server") == 1, 10)
        for client in clients:
            client.close()
        self.assertFalse(seen.acquire(blocking=False))


class WhatNobodyWaitsFor(NamedCase):

    def test_a_draining_server_keeps_its_clients(self):
        """Others wait for the one that is full; they cannot go there, so nobody is overtaken."""
        a, b = self.named("AB")
        weir = self.weir(a, b, backend={"server_limit": 1, "balance": "round_robin",
                                        "sticky": {"cookie": "s"}, "queue": {"timeout": "60s"}})
        client, cookies = self.client(weir), {}
        for _ in range(2):
            answer = client.get()
            cookies[answer.body] = answer.get("set-cookie").split(";")[0]
        self.reload(weir, [{"address": a, "state": "drain"}, b])
        held = self.hold(weir, 2)
        wait_until(lambda: weir.metric("weir_backend_queue_length") == 1, 10, "one waits for B")
        answer = client.get("/", f"Cookie: {cookies[b'A']}\r\n")
        self.assertEqual((answer.status, answer.body), (200, b"A"))
        self.finish([a, b], held)

    def test_a_server_that_asks_for_nothing(self):
        """0 % is no new request, also when the others are full."""
        a, b = self.named("AB")
        a.report("0%\n")
        b.report("up\n")
        weir = self.weir(a, b, backend={"server_limit": 1, "queue": {"timeout": "60s"}, "health": {
            "path": "/health", "interval": "100ms", "load_report": True}})
        wait_until(lambda: min(a.checks, b.checks) >= 2, 10, "both reports")
        held = self.hold(weir, 2)
        wait_until(lambda: weir.metric("weir_backend_queue_length") == 1, 10, "one waits for B")
        self.finish([a, b], held)
        self.assertEqual((len(a.asked), len(b.asked)), (0, 2))
