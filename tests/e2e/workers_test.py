"""Several workers share nothing but the port; what they count together is right."""

import os
import threading

from harness import Case, OK, SANITIZED, answering, response, seconds, wait_until


class Workers(Case):

    def test_all_workers_take_connections(self):
        weir = self.weir(self.origin(), runtime={"workers": 4})
        clients = [self.client(weir) for _ in range(64)]
        for client in clients:
            self.assertEqual(client.get().body, b"ok")
        self.assert_metric(weir, 64, "weir_listener_connections_active", listener="web")
        self.assert_metric(weir, 64, "weir_listener_connections_total", listener="web")
        wait_until(lambda: weir.metric("weir_http_requests_total", code="2xx") == 64, 5)

    def test_threads_follow_the_option(self):
        counts = []
        for workers in (1, 3):
            weir = self.plain(self.origin(), workers=workers)
            self.assertEqual(self.client(weir).get().body, b"ok")
            counts.append(len(os.listdir(f"/proc/{weir.pid}/task")))
        self.assertEqual(counts[1] - counts[0], 2)

    def test_inherited_affinity_is_respected(self):
        """Pinned inside the mask weir was started with, never outside it."""
        weir = self.plain(self.origin(), workers=3, prefix=["taskset", "-c", "0"])
        self.assertEqual(self.client(weir).get().body, b"ok")
        for thread in os.listdir(f"/proc/{weir.pid}/task"):
            self.assertEqual(os.sched_getaffinity(int(thread)), {0})

    def test_idle_costs_nothing(self):
        weir = self.weir(self.origin(), runtime={"workers": 4})
        clients = [self.client(weir) for _ in range(50)]
        for client in clients:
            client.get()
        self.assertLess(weir.cpu_share(1.0), 0.03)

    def test_idle_clients_are_cheap(self):
        """A thousand idle keep-alive connections cost a few hundred bytes each, and no more when
        each has been used."""
        weir = self.plain(self.origin())
        self.client(weir).get()
        clients = [self.client(weir) for _ in range(100)]
        for client in clients:
            self.assertEqual(client.get().body, b"ok")
        before = weir.memory()
        clients = [self.client(weir) for _ in range(2_000)]
        for client in clients:
            self.assertEqual(client.get().body, b"ok")
        if not SANITIZED:
            self.assertLess((weir.memory() - before) / 2_000, 2_048)

    def test_all_workers_at_once(self):
        """Many clients on four workers: each answer belongs to its request."""

        def echo(connection):
            while request := connection.request():
                connection.send(response(request.target.encode() + b"|" + request.body))

        weir = self.plain(self.origin(echo), self.origin(echo), workers=4)
        wrong = []

        def run(name):
            client = self.client(weir)
            for number in range(150):
                body = b"%d" % number * (number % 50)
                answer = client.request("POST", f"/{name}/{number}", body=body)
                if answer.body != f"/{name}/{number}|".encode() + body:
                    wrong.append(answer.body)

        threads = [threading.Thread(target=run, args=(name,), daemon=True) for name in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(seconds(60))
        self.assertEqual(wrong, [])

    def test_stop_with_many_connections(self):
        """Closing hundreds of connections on four workers ends in time, with exit 0."""
        weir = self.plain(self.origin(answering(OK)), workers=4)
        clients = [self.client(weir) for _ in range(400)]
        for client in clients[::2]:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for client in clients[::2]:
            client.response()
        weir.terminate()
        for client in clients:
            self.assertTrue(client.gone())
