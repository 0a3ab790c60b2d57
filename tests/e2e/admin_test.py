"""The admin listener: /healthz, /readyz and /metrics, read-only."""

import os
import re
import shlex
import subprocess

from harness import Case, Client, config, curl, wait_until


class Admin(Case):

    def test_health_and_readiness(self):
        weir = self.weir(self.origin())
        for path in ("/healthz", "/readyz"):
            self.assertEqual(weir.admin(path).status, 200)
        url = f"http://127.0.0.1:{weir.admin_port}/healthz"
        self.assertEqual(curl("-w", "%{http_code}", "-o", "/dev/null", url).stdout, b"200")

    def test_metrics_pass_promtool(self):
        """Before and after traffic, with errors and several servers in it."""
        weir = self.weir(self.origin(), self.free_port(), runtime={"workers": 2})
        for _ in range(2):
            answer = weir.admin("/metrics")
            self.assertTrue(answer.get("content-type").startswith("text/plain"))
            check = subprocess.run(["promtool", "check", "metrics"], input=answer.body,
                                   capture_output=True, check=False)
            self.assertEqual((check.returncode, check.stdout + check.stderr), (0, b""))
            client = self.client(weir)
            for _ in range(10):
                client.get()
            self.client(weir).send(b"BAD\r\n\r\n").response()

    def test_requests_are_counted(self):
        weir = self.weir(self.origin(), runtime={"workers": 2})
        for _ in range(5):
            client = self.client(weir)
            for _ in range(7):
                client.get()
        self.client(weir).send(b"BAD\r\n\r\n").response()
        wait_until(lambda: weir.metric("weir_http_requests_total", code="2xx") == 35, 5,
                   "35 requests of class 2xx")
        wait_until(lambda: weir.metric("weir_http_requests_total", code="4xx") == 1, 5, "one 4xx")

    def test_errors_are_counted_by_word(self):
        weir = self.weir(self.free_port())
        client = self.client(weir)
        for _ in range(3):
            client.get()
        wait_until(lambda: weir.metric("weir_errors_total") == 3, 5, "three errors")

    def test_bytes_and_connections(self):
        weir = self.weir(self.origin())
        client = self.client(weir)
        client.request("POST", body=b"x" * 10_000)
        names = weir.metrics()
        self.assertTrue(any("bytes" in name and value >= 10_000 for name, value in names.items()))
        self.assert_metric(weir, 1, "weir_listener_connections_active")
        client.close()
        wait_until(lambda: weir.metric("weir_listener_connections_active") == 0, 5)
        self.assert_metric(weir, 1, "weir_listener_connections_total")

    def test_servers_up_and_down(self):
        good = self.origin()
        dead = self.free_port()
        weir = self.weir(good, dead)
        client = self.client(weir)
        for _ in range(20):
            client.get()
        self.assert_metric(weir, 1, "weir_server_up", backend="app", server=good.address)
        wait_until(lambda: weir.metric("weir_server_up", backend="app",
                                       server=f"127.0.0.1:{dead}") == 0, 5, "the dead one down")

    def test_reuse_is_counted(self):
        server = self.origin()
        weir = self.weir(server)
        client = self.client(weir)
        for _ in range(10):
            client.get()
        labels = {"backend": "app", "server": server.address}
        wait_until(lambda: weir.metric("weir_server_connects_total", **labels) == 1, 5)
        self.assert_metric(weir, 9, "weir_server_connection_reuses_total", **labels)

    def test_nothing_can_be_changed(self):
        """Only GET and HEAD of known paths."""
        weir = self.weir(self.origin())
        with Client(weir.admin_port) as client:
            self.assertEqual(client.get("/nothing", host="127.0.0.1").status, 404)
        for method in ("POST", "PUT", "DELETE"):
            with Client(weir.admin_port) as client:
                answer = client.request(method, "/metrics", host="127.0.0.1", body=b"x")
                self.assertEqual(answer.status, 405)
        with Client(weir.admin_port) as client:
            self.assertEqual(client.request("HEAD", "/metrics", host="127.0.0.1").status, 200)

    def test_hostile_clients(self):
        """Broken requests, silence and half-read answers leave it answering."""
        weir = self.weir(self.origin())
        for data in (b"BAD\r\n\r\n", b"GET /metrics", b"\x00" * 100, b"GET / HTTP/9.9\r\n\r\n",
                     b"GET /" + b"a" * 100_000, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 50,
                     b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\nx"):
            client = self.client(weir.admin_port)
            try:
                client.send(data)
            except ConnectionError:
                pass
        for _ in range(50):
            self.client(weir.admin_port)
        self.assertEqual(weir.admin("/healthz").status, 200)
        self.assertEqual(self.client(weir).get().status, 200)

    def test_a_flood_of_half_heads(self):
        """At the limit whoever has sent no whole request for longest makes room: the health check
        does not wait for their time to be over."""
        weir = self.weir(self.origin())
        flood = [self.client(weir.admin_port).send(b"GET /metrics HTTP/1.1\r\nX: ")
                 for _ in range(193)]
        self.assertEqual(weir.admin("/healthz").status, 200)
        self.assertEqual(flood[0].rest(), b"")  # No 408: its time was not over.

    def test_http_1_0_and_keep_alive(self):
        weir = self.weir(self.origin())
        client = self.client(weir.admin_port)
        client.send(b"GET /healthz HTTP/1.0\r\n\r\n")
        self.assertEqual(client.response().status, 200)
        self.assertTrue(client.closed())

    def test_on_a_unix_socket(self):
        """weir says how to ask there, and takes its file away at the end."""
        path, port = self.path("admin.sock"), self.free_port()
        text = config(port, [self.origin()], admin=f"unix:{path}")
        weir = self.run_config(text, [port])
        wait_until(lambda: "workers" in weir.err, 10, "the start to be told")
        command = re.search(rf"curl (--unix-socket {path} http://localhost/metrics), ", weir.err)
        self.assertIn(b"weir_config_generation 1", curl(*shlex.split(command[1])).stdout)
        second = self.run_config(config(self.free_port(), [self.origin()], admin=f"unix:{path}"),
                                 [], ready=False)
        self.assertEqual(second.wait(), 1)
        self.assertRegex(second.err, f"admin pages: cannot listen on unix:{path}: another program")
        self.weirs.remove(second)
        weir.terminate()
        self.assertFalse(os.path.exists(path), "the socket file is left behind")
