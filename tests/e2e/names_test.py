"""Servers by name: weir uses what the name servers say, and keeps what they fail to repeat."""

import collections

from fake_dns import NXDOMAIN, SERVFAIL, FakeDns
from harness import Case, answering, response, wait_until


class Names(Case):

    def setUp(self):
        super().setUp()
        self.dns = FakeDns()
        self.addCleanup(self.dns.stop)
        self.a = self.origin(answering(response(b"a")))

    def named(self, *servers, **options):
        """weir with these servers, asking the test's name server."""
        options.setdefault("backend", {"balance": "round_robin"})
        return self.weir(*servers, runtime={"resolvers": [self.dns.address]}, **options)

    def bodies(self, client, count=4):
        return collections.Counter(client.get().body for _ in range(count))

    def wait_said(self, weir, text):
        wait_until(lambda: text in weir.output, 10, f"weir to say {text!r}")

    def test_several_addresses_are_several_servers(self):
        other = self.origin(answering(response(b"b")), host="127.0.0.2", port=self.a.port)
        self.dns.set_addresses("app.test", "127.0.0.1", "127.0.0.2", ttl=60)
        weir = self.named(f"app.test:{self.a.port}")
        self.assertEqual(self.bodies(self.client(weir)), {b"a": 2, b"b": 2})
        self.assertEqual(len(other.requests), 2)
        self.wait_said(weir, f"server app/app.test:{self.a.port}: 2 addresses: 127.0.0.1, "
                             "127.0.0.2 (for 60 s)")

    def test_a_name_with_underscores(self):
        """As containers are called."""
        self.dns.set_addresses("my_app.my_net.test", "127.0.0.1")
        weir = self.named(f"My_App.my_net.test:{self.a.port}")
        self.assertEqual(self.client(weir).get().body, b"a")

    def test_an_alias_is_followed(self):
        self.dns.set_alias("www.test", "app.test")
        self.dns.set_addresses("app.test", "127.0.0.1")
        weir = self.named(f"www.test:{self.a.port}")
        self.assertEqual(self.client(weir).get().body, b"a")

    def test_a_name_that_does_not_resolve_degrades_its_server_alone(self):
        weir = self.named("nowhere.test:80", self.a)
        self.assertEqual(self.bodies(self.client(weir)), {b"a": 4})
        self.wait_said(weir, "server app/nowhere.test:80 does not resolve: no such name; "
                             "no server until it does")

    def test_silent_name_servers_do_not_stop_the_start(self):
        self.dns.silent.add("app.test")
        weir = self.named("app.test:80", self.a)
        self.assertEqual(self.client(weir).get().body, b"a")

    def test_a_name_that_resolves_later(self):
        weir = self.named(f"late.test:{self.a.port}")
        client = self.client(weir)
        self.assertEqual(client.get().status, 503)
        self.dns.set_addresses("late.test", "127.0.0.1")
        wait_until(lambda: client.get().status == 200, 20, "the name to be asked for again")
        self.wait_said(weir, "resolves now: 1 address: 127.0.0.1")

    def test_srv_records(self):
        b = self.origin(answering(response(b"b")))
        self.dns.set_services("_http._tcp.app.test", (0, 30, self.a.port, "node.test"),
                              (0, 10, b.port, "node.test"))
        self.dns.set_addresses("node.test", "127.0.0.1")
        weir = self.named("srv:_http._tcp.app.test")
        self.assertEqual(self.bodies(self.client(weir), 8), {b"a": 6, b"b": 2})

    def test_servers_follow_the_records_and_those_that_stay_keep_their_connections(self):
        b, c = (self.origin(answering(response(name))) for name in (b"b", b"c"))

        def services(*origins):
            self.dns.set_services("_http._tcp.app.test",
                                  *((0, 1, origin.port, "node.test") for origin in origins))

        services(self.a, b)
        self.dns.set_addresses("node.test", "127.0.0.1")
        weir = self.named("srv:_http._tcp.app.test", backend={"balance": "round_robin",
                                                              "slow_start": "0s",
                                                              "idle_timeout": "60s"})
        client = self.client(weir)
        self.assertEqual(self.bodies(client), {b"a": 2, b"b": 2})
        services(self.a, c)
        wait_until(lambda: b"c" in self.bodies(client), 20, "the new server to be used")
        self.assertEqual(self.bodies(client), {b"a": 2, b"c": 2})
        self.assertEqual(len(self.a.connections), 1)
        self.assertTrue(b.connections[0].done.wait(10), "an unused connection is left over")

    def test_the_last_good_addresses_are_kept(self):
        self.dns.set_addresses("app.test", "127.0.0.1")
        weir = self.named(f"app.test:{self.a.port}")
        client = self.client(weir)
        for code, said in ((SERVFAIL, "name server failure"), (NXDOMAIN, "no such name")):
            self.dns.fail("app.test", code)
            self.wait_said(weir, f"does not resolve: {said}; keeps 127.0.0.1")
            self.assertEqual(client.get().body, b"a")
            self.dns.fail("app.test", None)
            wait_until(lambda: weir.output.count("resolves now") == (1 if code == SERVFAIL else 2),
                       20, "the recovery to be told")
        self.assertEqual(len(self.a.connections), 1)

    def test_two_names_of_one_address(self):
        """It is one server, the first one's; that is said once, with what does not hold."""
        self.dns.set_addresses("one.test", "127.0.0.1")
        self.dns.set_addresses("two.test", "127.0.0.1")
        port = self.a.port
        weir = self.named(f"one.test:{port}", {"address": f"two.test:{port}", "limit": 1})
        line = (f"server app/two.test:{port} is left out at 127.0.0.1:{port}: "
                f"server app/one.test:{port} has that address; its weight and limits hold")
        self.wait_said(weir, line)
        self.assertEqual(self.bodies(self.client(weir)), {b"a": 4})
        asked = weir.metric("weir_name_lookups_total", result="ok")
        wait_until(lambda: weir.metric("weir_name_lookups_total", result="ok") > asked, 20,
                   "the next lookup")
        self.assertEqual(weir.output.count("is left out"), 1)

    def test_garbage_is_no_answer(self):
        self.dns.garbage["bad.test"] = b"\xff\xff\xff"
        weir = self.named("bad.test:80", self.a)
        self.assertEqual(self.bodies(self.client(weir)), {b"a": 4})
        self.wait_said(weir, "server app/bad.test:80 does not resolve: malformed answer")

    def test_a_large_answer_comes_over_tcp(self):
        addresses = [f"127.0.1.{i}" for i in range(1, 60)]
        self.dns.set_addresses("app.test", "127.0.0.1", *addresses)
        weir = self.named(f"app.test:{self.a.port}")
        self.wait_said(weir, "60 addresses: 127.0.0.1, ")

    def test_a_reload_keeps_what_is_known_and_asks_for_what_is_new(self):
        self.dns.set_addresses("app.test", "127.0.0.1", ttl=3600)
        weir = self.named(f"app.test:{self.a.port}")
        client = self.client(weir)
        self.assertEqual(client.get().body, b"a")
        asked = self.dns.count("app.test")
        with open(weir.config_path, encoding="utf-8") as file:
            text = file.read()
        weir.write_config(text.replace('servers = [', 'servers = ["new.test:80", '))
        weir.reload()
        self.wait_said(weir, "server app/new.test:80 does not resolve")
        self.assertEqual(self.bodies(client), {b"a": 4})
        self.assertEqual(self.dns.count("app.test"), asked)
        self.assertEqual(len(self.a.connections), 1)
