"""Which server gets the next request."""

import collections
import threading

from harness import Case, OK, answering, response, seconds, wait_until


class Balancing(Case):

    def setUp(self):
        super().setUp()
        self.gate = threading.Event()
        self.servers = [self.origin(self.named(name)) for name in "ABC"]

    def named(self, name):
        def script(connection):
            while request := connection.request():
                if request.target == "/hold":
                    self.gate.wait(seconds(10))
                connection.send(response(name.encode()))

        return script

    def answers(self, weir, count):
        client = self.client(weir)
        return "".join(client.get().body.decode() for _ in range(count))

    def test_round_robin_is_exact(self):
        weir = self.plain(*self.servers)
        text = self.answers(weir, 30)
        self.assertEqual(text, text[:3] * 10)
        self.assertEqual(sorted(text[:3]), ["A", "B", "C"])

    def test_round_robin_over_client_connections(self):
        """It is requests that are balanced, not connections."""
        weir = self.plain(*self.servers)
        text = "".join(self.client(weir).get().body.decode() for _ in range(30))
        self.assertEqual(collections.Counter(text), {"A": 10, "B": 10, "C": 10})

    def test_a_retry_takes_nobodys_turn(self):
        """Requests that C resets are tried again elsewhere, and the first tries go round as if
        nothing had happened: C gets exactly its third of them."""
        seen = []

        def script(connection):
            request = connection.request()
            seen.append(request.target)
            connection.reset()

        weir = self.weir(*self.servers[:2], self.origin(script),
                         backend={"balance": "round_robin", "retry": {"budget_percent": 100},
                                  "ejection": {"enabled": False}})
        client = self.client(weir)
        answers = [client.get(f"/{number}").body for number in range(60)]
        self.assertEqual(set(answers), {b"A", b"B"})
        numbers = [int(target[1:]) for target in seen]
        self.assertEqual(numbers, list(range(numbers[0], 60, 3)))

    def weighted(self, weights, balance="round_robin"):
        servers = [{"address": server, "weight": weight}
                   for server, weight in zip(self.servers, weights)]
        return self.weir(*servers, backend={"balance": balance})

    def test_weights_are_exact_and_smooth(self):
        text = self.answers(self.weighted((5, 1, 1)), 70)
        self.assertEqual(collections.Counter(text), {"A": 50, "B": 10, "C": 10})
        for start in range(0, 70, 7):
            self.assertEqual(collections.Counter(text[start:start + 7]), {"A": 5, "B": 1, "C": 1})
        self.assertNotIn("AAAAAA", text)

    def test_weight_zero_takes_nothing(self):
        for balance in ("round_robin", "least_connections", "p2c"):
            text = self.answers(self.weighted((1, 0, 1), balance), 40)
            self.assertEqual(set(text), {"A", "C"}, balance)

    def held(self, weir, count):
        """That many requests held open at the servers."""
        clients = [self.client(weir) for _ in range(count)]
        for client in clients:
            client.send(b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: sum(len(server.requests) for server in self.servers) >= count, 10)
        return clients

    def finish(self, clients):
        self.gate.set()
        for client in clients:
            self.assertEqual(client.response().status, 200)

    def test_least_connections_spreads_evenly(self):
        weir = self.weir(*self.servers, backend={"balance": "least_connections"})
        clients = self.held(weir, 30)
        self.assertEqual([len(server.requests) for server in self.servers], [10, 10, 10])
        self.finish(clients)

    def test_least_connections_avoids_the_busy_one(self):
        weir = self.weir(*self.servers[:2], backend={"balance": "least_connections"})
        clients = self.held(weir, 1)
        busy = 0 if self.servers[0].requests else 1
        text = self.answers(weir, 20)
        self.assertEqual(set(text), {"AB"[1 - busy]})
        self.finish(clients)

    def test_least_connections_rotates_ties(self):
        weir = self.weir(*self.servers, backend={"balance": "least_connections"})
        counts = collections.Counter(self.answers(weir, 30))
        self.assertEqual(set(counts), {"A", "B", "C"})
        self.assertGreaterEqual(min(counts.values()), 8)

    def test_least_connections_weights(self):
        weir = self.weighted((4, 1, 1), "least_connections")
        clients = self.held(weir, 30)
        counts = [len(server.requests) for server in self.servers]
        self.assertTrue(18 <= counts[0] <= 22, counts)
        self.finish(clients)

    def test_p2c_uses_all_and_avoids_the_busy_one(self):
        weir = self.weir(*self.servers, backend={"balance": "p2c"})
        counts = collections.Counter(self.answers(weir, 150))
        self.assertEqual(set(counts), {"A", "B", "C"})
        self.assertGreater(min(counts.values()), 20)
        clients = self.held(weir, 30)
        held = [sum(request.target == "/hold" for request in server.requests)
                for server in self.servers]
        self.assertLessEqual(max(held) - min(held), 6, held)
        self.finish(clients)

    def test_balance_on_the_command_line(self):
        for balance in ("round_robin", "least_connections", "p2c"):
            weir = self.classic(*self.servers, options=["--balance", balance])
            self.assertEqual(set(self.answers(weir, 60)), {"A", "B", "C"})

    def test_a_refusing_server_is_avoided(self):
        """Its share goes to the others evenly, and not every request pays for the attempt."""
        dead = self.origin()
        dead.kill()
        client = self.client(self.plain(dead, *self.servers))
        counts = collections.Counter(client.get().body.decode() for _ in range(120))
        self.assertEqual(set(counts), {"A", "B", "C"})
        self.assertLessEqual(max(counts.values()) - min(counts.values()), 40)

    def test_two_workers_use_all(self):
        weir = self.plain(*self.servers, workers=2)
        counts = collections.Counter()
        for _ in range(12):
            counts.update(self.answers(weir, 6))
        self.assertEqual(set(counts), {"A", "B", "C"})
        self.assertLessEqual(max(counts.values()) - min(counts.values()), 30)

    def test_one_server(self):
        server = self.origin(answering(OK))
        self.assertEqual(self.answers(self.plain(server), 5), "okokokokok")
