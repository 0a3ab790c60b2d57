"""SIGHUP reads the file again and swaps what can be swapped, while traffic runs."""

import os
import threading

from harness import Case, OK, answering, config, response, wait_until
from server_failure_test import Load


class Reload(Case):

    def setUp(self):
        super().setUp()
        self.a = self.origin(answering(response(b"a")))
        self.b = self.origin(answering(response(b"b")))
        self.port, self.admin = self.free_port(), self.free_port()

    def text(self, *servers, **options):
        options.setdefault("listen", self.port)
        options["backend"] = {"balance": "round_robin", **options.get("backend", {})}
        return config(servers=list(servers), admin=f"127.0.0.1:{self.admin}", **options)

    def proxy(self, *servers, **options):
        return self.run_config(self.text(*servers, **options), [self.port],
                               admin_port=self.admin)

    def apply(self, weir, text, result="success"):
        """Writes the file, asks for a reload and waits until weir has counted it."""
        def count():
            return sum(value for name, value in weir.metrics().items()
                       if name.startswith("weir_config_reloads_total"))

        before, printed = count(), len(weir.output)
        weir.write_config(text)
        weir.reload()
        wait_until(lambda: count() > before, 10, "the reload to be counted")
        wait_until(lambda: len(weir.output) > printed, 10, "the reload to be told")
        return weir.output[printed:]

    def test_servers(self):
        weir = self.proxy(self.a)
        client = self.client(weir)
        self.assertEqual(client.get().body, b"a")
        self.apply(weir, self.text(self.b))
        self.assertEqual({client.get().body for _ in range(4)}, {b"b"})
        self.apply(weir, self.text(self.a, self.b))
        self.assertEqual({client.get().body for _ in range(6)}, {b"a", b"b"})

    def test_kept_servers_keep_their_connections(self):
        """Server state is kept by name: the idle connection survives the swap."""
        weir = self.proxy(self.a)
        client = self.client(weir)
        client.get()
        self.apply(weir, self.text(self.a, self.b))
        for _ in range(6):
            client.get()
        self.assertEqual(len(self.a.connections), 1)

    def test_removed_servers_lose_their_idle_connections(self):
        weir = self.proxy(self.a, self.b)
        client = self.client(weir)
        for _ in range(4):
            client.get()
        self.apply(weir, self.text(self.b))
        client.get()
        self.assertTrue(self.a.connections[0].done.wait(10), "an unused connection is left over")

    def test_routes_and_backends(self):
        backends = {"x": {"servers": [self.a]}, "y": {"servers": [self.b]}}
        weir = self.proxy(backends=backends, routes=[{"backend": "x"}])
        client = self.client(weir)
        self.assertEqual(client.get("/new").body, b"a")
        self.apply(weir, self.text(backends=backends, routes=[
            {"path": "/new", "backend": "y"}, {"backend": "x"}]))
        self.assertEqual((client.get("/new").body, client.get("/").body), (b"b", b"a"))
        self.apply(weir, self.text(backends={"z": {"servers": [self.b]}},
                                   routes=[{"path": "/new", "backend": "z"}]))
        self.assertEqual((client.get("/new").body, client.get("/").status), (b"b", 404))

    def test_timeouts(self):
        silent = self.origin(lambda connection: (connection.request(), connection.wait_end()))
        weir = self.proxy(silent)
        self.apply(weir, self.text(silent, backend={"response_head": "200ms"},
                                   listener={"client_head": "200ms"}))
        client = self.client(weir)
        self.assertEqual(client.request("POST").status, 504)
        client = self.client(weir)
        self.assertEqual(client.send(b"GET /").response().status, 408)

    def test_weights_and_balance(self):
        weir = self.proxy(self.a, self.b)
        client = self.client(weir)
        self.apply(weir, self.text({"address": self.a, "weight": 3}, self.b))
        bodies = [client.get().body for _ in range(40)]
        self.assertEqual(bodies.count(b"a"), 30)
        self.apply(weir, self.text(self.a, self.b, backend={"balance": "p2c"}))
        self.assertEqual({client.get().body for _ in range(60)}, {b"a", b"b"})

    def test_running_request_finishes_on_what_it_started_with(self):
        gate = threading.Event()
        slow = self.origin(lambda connection: (
            connection.request(), gate.wait(10), connection.send(response(b"slow"))))
        weir = self.proxy(slow)
        client = self.client(weir)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        slow.wait_requests(1)
        self.apply(weir, self.text(self.b))
        self.assertEqual(self.client(weir).get().body, b"b")
        gate.set()
        self.assertEqual(client.response().body, b"slow")
        self.assertEqual(client.get().body, b"b")

    def test_refused_file_changes_nothing(self):
        """Every error is told, the old configuration goes on, and the metric says so."""
        weir = self.proxy(self.a)
        client = self.client(weir)
        for bad in ("this is not toml", "", self.text(self.b).replace("servers", "serverz"),
                    self.text(self.b, routes=[{"backend": "missing"}]),
                    self.text(self.b, backend={"connect": "5"})):
            with self.subTest(bad=bad[:60]):
                said = self.apply(weir, bad)
                self.assertRegex(said.lower(), "error|not applied|refused")
                self.assertEqual(client.get().body, b"a")
                self.assert_metric(weir, 0, "weir_config_last_reload_successful")
        self.apply(weir, self.text(self.b))
        self.assertEqual(client.get().body, b"b")
        self.assert_metric(weir, 1, "weir_config_last_reload_successful")

    def test_missing_file(self):
        """Which file it is was said at the start: no advice to choose another one."""
        weir = self.proxy(self.a)
        os.unlink(weir.config_path)
        weir.reload()
        wait_until(lambda: "NOT applied" in weir.err, 10, "the reload to be told")
        self.assertIn("No such file", weir.err)
        self.assertNotIn("-c FILE", weir.err)
        self.assertEqual(self.client(weir).get().body, b"a")

    def test_refusal_is_told_once(self):
        weir = self.proxy(self.a)
        self.apply(weir, self.text(self.b, backend={"connect": "5"}))
        self.apply(weir, self.text(self.b))
        wait_until(lambda: "generation 2 is active" in weir.err, 10, "the end of what is said")
        self.assertEqual(weir.err.count("generation 1 stays active"), 1, weir.err)
        self.assertNotIn("refused", weir.err)

    def test_changes_are_told(self):
        weir = self.proxy(self.a)
        self.apply(weir, self.text({"address": self.a, "weight": 3}, self.b,
                                   backend={"balance": "p2c", "connect": "250ms"}))
        wait_until(lambda: f"[backend.app] added {self.b.address}, "
                           f"weight of {self.a.address} 1 -> 3, balance round_robin -> p2c, "
                           "connect_timeout 5s -> 250ms\n" in weir.err, 10, "what has changed")
        self.apply(weir, self.text({"address": self.a, "weight": 3}, self.b,
                                   backend={"balance": "p2c", "connect": "250ms"}))
        wait_until(lambda: "generation 3 is active: nothing changed\n" in weir.err, 10)

    def test_missing_file_changes_nothing(self):
        weir = self.proxy(self.a)
        os.unlink(weir.config_path)
        printed = len(weir.output)
        weir.reload()
        wait_until(lambda: len(weir.output) > printed, 10, "a word about the missing file")
        self.assertEqual(self.client(weir).get().body, b"a")

    def test_what_needs_a_restart_is_said(self):
        weir = self.proxy(self.a)
        said = self.apply(weir, self.text(self.b, runtime={"workers": 2}))
        self.assertRegex(said.lower(), "restart")
        self.assertRegex(said.lower(), "workers")
        said = self.apply(weir, self.text(self.b, listen=self.free_port()))
        self.assertRegex(said.lower(), "restart")
        client = self.client(weir)  # The old address is still served.
        self.assertEqual(client.get().status, 200)

    def test_another_mode_needs_a_restart(self):
        """The listener goes on as it is, with the routes and servers of the new file."""
        weir = self.proxy(self.a)
        text = self.text(self.b).replace("[listener.web]",
                                         '[listener.web]\nmode = "tcp"\nbackend = "app"')
        said = self.apply(weir, text)
        self.assertIn("needs a restart: [listener.web] mode changed; the old one stays", said)
        self.assertEqual(self.client(weir).get().body, b"b")

    def test_under_load(self):
        """Many reloads with requests in the air: not one of them fails."""
        script = answering(OK)
        servers = [self.origin(script) for _ in range(3)]
        weir = self.proxy(*servers, runtime={"workers": 2})
        load = Load(weir.port, clients=6)
        for number in range(30):
            kept = [server for index, server in enumerate(servers) if index != number % 3]
            self.apply(weir, self.text(*kept, runtime={"workers": 2}, routes=[
                {"path": f"/{number}", "backend": "app"}, {"backend": "app"}]))
        self.assertEqual(load.finish(), [])
        self.assertGreater(load.answers, 100)

    def test_many_signals_at_once(self):
        weir = self.proxy(self.a)
        for _ in range(50):
            weir.reload()
        weir.write_config(self.text(self.b))
        weir.reload()
        client = self.client(weir)
        wait_until(lambda: client.get().body == b"b", 10, "the last file to be applied")

    def test_nothing_is_left_of_old_configurations(self):
        """After many reloads as many descriptors are open as before."""
        weir = self.proxy(self.a, self.b)
        client = self.client(weir)
        texts = [self.text(self.a, self.b), self.text(self.b, routes=[
            {"path": f"/{number}", "backend": "app"} for number in range(100)])]
        for number in range(4):
            self.apply(weir, texts[number % 2])
        client.get("/1")
        before = weir.descriptors()
        for number in range(20):
            self.apply(weir, texts[number % 2])
            self.assertEqual(client.get("/1").status, 200)
        wait_until(lambda: weir.descriptors() <= before + 1, 10, "old connections to be closed")

    def test_classic_form_has_no_file(self):
        """SIGHUP without a file does not end weir."""
        weir = self.plain(self.a)
        weir.reload()
        client = self.client(weir)
        for _ in range(10):
            self.assertEqual(client.get().body, b"a")
