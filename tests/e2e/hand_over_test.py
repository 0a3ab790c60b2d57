"""The kernel spreads connections over the workers, not work. Clients of a busy worker go to others
that have less to do, and notice nothing."""

import time

from harness import Case, seconds

WORKERS = 4
BUSY = 16
PIPELINED = 40
GET = b"GET /name HTTP/1.1\r\nHost: weir.test\r\n\r\n"


class HandOver(Case):

    def requests(self, weir) -> list[float]:
        """By worker."""
        metrics = weir.metrics()
        return [metrics[f'weir_worker_requests_total{{worker="{i}"}}'] for i in range(WORKERS)]

    def by_worker(self, weir, count: int) -> list[list]:
        """So many clients, and which worker has them."""
        clients = [[] for _ in range(WORKERS)]
        before = self.requests(weir)
        for _ in range(count):
            client = self.client(weir)
            self.assertEqual(client.get("/name").status, 200)
            after = self.requests(weir)
            clients[[after[i] - before[i] for i in range(WORKERS)].index(1)].append(client)
            before = after
        return clients

    def work(self, clients: list, answer_bytes: int) -> None:
        """Many requests of each client at a time, and their answers."""
        for client in clients:
            client.send(GET * PIPELINED)
        for client in clients:
            left = answer_bytes * PIPELINED
            while left > 0:
                piece = client.sock.recv(min(left, 1 << 20))
                self.assertTrue(piece, "weir closed")
                left -= len(piece)

    def answer_bytes(self, client) -> int:
        client.send(GET)
        return len(client.sock.recv(65536))

    def test_busy_clients_of_one_worker_spread_over_all(self):
        """Sixteen busy clients that all have the same worker, and idle ones of every worker: in the
        end no worker has a quarter more requests than the mean."""
        nginx = self.nginx()
        weir = self.weir(nginx, runtime={"workers": WORKERS})
        clients = self.by_worker(weir, WORKERS * (BUSY - 1) + 1)
        crowded = max(range(WORKERS), key=lambda i: len(clients[i]))
        busy = clients[crowded][:BUSY]
        self.assertEqual(len(busy), BUSY)
        answer_bytes = self.answer_bytes(busy[0])

        end = time.monotonic() + seconds(60)
        while True:
            before = self.requests(weir)
            for _ in range(10):
                self.work(busy, answer_bytes)
            done = [after - was for after, was in zip(self.requests(weir), before)]
            self.assertEqual(sum(done), 10 * BUSY * PIPELINED)
            if max(done) <= 1.25 * sum(done) / WORKERS:
                break
            self.assertLess(time.monotonic(), end, f"requests by worker: {done}")

        moved = weir.metric("weir_connections_handed_over_total", client="served")
        self.assertGreaterEqual(moved, BUSY * (WORKERS - 1) // WORKERS - 1)
        self.assert_metric(weir, sum(map(len, clients)), "weir_listener_connections_active",
                           listener="web")
        for client in sum(clients, []):  # The idle ones as well, wherever they are.
            self.assertEqual(client.get("/name").status, 200)
