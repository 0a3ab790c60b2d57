"""A cookie keeps a client at its server."""

import re

from harness import OK, response, wait_until
from harness.named import NamedCase

SECRET = "sixteen bytes at least"


class StickyCase(NamedCase):

    def setUp(self):
        super().setUp()
        self.servers = self.named("ABC")

    def sticky(self, servers=None, runtime=None, **keys):
        sticky = {"cookie": "lb", **keys.pop("sticky", {})}
        backend = {"balance": "round_robin", "slow_start": "0s", "sticky": sticky, **keys}
        return self.weir(*(servers or self.servers), backend=backend, runtime=runtime or {})

    def bind(self, weir) -> tuple[str, str]:
        """A first request: the server's name and the value of the cookie."""
        answer = self.client(weir).get()
        return answer.body.decode(), self.value(answer)

    def value(self, answer) -> str:
        match = re.fullmatch(r"lb=([^;]+)(; [^\r]*)", answer.get("set-cookie"))
        return match[1]

    def ask(self, weir, value: str, count: int = 7) -> set:
        """Who answers a client with this cookie; no answer may replace it."""
        client = self.client(weir)
        answers = [client.get("/", f"Cookie: lb={value}\r\n") for _ in range(count)]
        self.assertEqual({answer.status for answer in answers}, {200})
        self.assertFalse(any(answer.has("set-cookie") for answer in answers))
        return {answer.body.decode() for answer in answers}

    def ignored(self, weir, value: str) -> None:
        """The cookie counts for nothing: the servers take turns, and each answer sets another."""
        client = self.client(weir)
        answers = [client.get("/", f"Cookie: lb={value}\r\n") for _ in range(6)]
        self.assertEqual({answer.body for answer in answers}, {b"A", b"B", b"C"})
        for answer in answers:
            self.assertNotEqual(self.value(answer), value)


class Cookies(StickyCase):

    def test_each_server_has_a_cookie_that_leads_to_it(self):
        weir = self.sticky()
        cookies = dict(self.bind(weir) for _ in range(3))
        self.assertEqual(set(cookies), set("ABC"))
        self.assertEqual(len(set(cookies.values())), 3)
        for name, value in cookies.items():
            self.assertEqual(self.ask(weir, value), {name})

    def test_attributes(self):
        for keys, attributes in (
                ({}, "Path=/; HttpOnly; SameSite=Lax"),
                ({"max_age": "24h"}, "Path=/; HttpOnly; SameSite=Lax; Max-Age=86400"),
                ({"secure": True}, "Path=/; HttpOnly; SameSite=Lax; Secure")):
            with self.subTest(**keys):
                answer = self.client(self.sticky(sticky=keys)).get()
                self.assertEqual(answer.get("set-cookie").partition("; ")[2], attributes)

    def test_found_among_others(self):
        weir = self.sticky()
        name, value = self.bind(weir)
        client = self.client(weir)
        for fields in (f"Cookie: a=b; lb={value}; c=d\r\n", f"Cookie: a=b;lb={value}\r\n",
                       f"Cookie: xlb=1; LB=2; lb={value}\r\n", f"Cookie: lb=\"{value}\"\r\n",
                       f"Cookie: a=b\r\nX: y\r\ncookie: lb={value}\r\n"):
            for _ in range(3):
                self.assertEqual(client.get("/", fields).body.decode(), name, fields)

    def test_unknown_values_are_ignored(self):
        weir = self.sticky()
        value = self.bind(weir)[1]
        for wrong in ("", "A", self.servers[0].address, value[:-1], value + "0", "x" * 5_000,
                      "\xff\xfe", "%00", value.upper() + "."):
            with self.subTest(wrong=wrong):
                self.ignored(weir, wrong)

    def test_cookies_of_the_server_stay(self):
        weir = self.sticky()
        for server in self.servers:
            server.answer = response(b"x", fields="Set-Cookie: own=1\r\nSet-Cookie: own2=2\r\n")
        cookies = self.client(weir).get().all("set-cookie")
        self.assertEqual(len(cookies), 3)
        self.assertEqual([cookie for cookie in cookies if cookie.startswith("own")],
                         ["own=1", "own2=2"])

    def test_every_kind_of_answer_sets_it(self):
        weir = self.sticky()
        answers = (b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\n\r\n",
                   b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
                   response(b"x", status="404 Not Found"),
                   b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)
        client = self.client(weir)
        for data in answers:
            for server in self.servers:
                server.answer = data
            answer = client.get()
            self.assertTrue(self.value(answer), data)
            self.assertFalse(any(interim.has("set-cookie") for interim in answer.interim))

    def test_weirs_own_errors_set_none(self):
        for server in self.servers:
            server.die()
        answer = self.client(self.sticky()).get()
        self.assertEqual((answer.status, answer.has("set-cookie")), (503, False))


class Signed(StickyCase):

    def signed(self, secret=SECRET, **keys):
        return self.sticky(sticky={"secret": secret}, **keys)

    def test_it_binds_and_does_not_tell_the_server(self):
        weir = self.signed()
        for name, value in [self.bind(weir) for _ in range(3)]:
            self.assertEqual(self.ask(weir, value), {name})
            for server in self.servers:
                self.assertNotIn(server.address, value)
                self.assertNotIn(str(server.origin.port), value)

    def test_nothing_of_the_plain_value_is_in_it(self):
        """That one can be computed by whoever guesses a server's address."""
        plain, signed = self.sticky(), self.signed()
        values = {weir: [self.bind(weir)[1] for _ in range(3)] for weir in (plain, signed)}
        for known in values[plain]:
            self.assertFalse([value for value in values[signed] if known in value])

    def test_forged_values_are_ignored(self):
        weir = self.signed()
        one, other = (self.bind(weir)[1] for _ in range(2))
        half = len(one) // 2
        last = "0" if one[-1] != "0" else "1"
        for wrong in (one[:-1], f"{one[:-1]}{last}", one[:half] + other[half:], "0" * len(one),
                      f"{one}0", f"{one}.", one.upper() if one != one.upper() else ""):
            with self.subTest(wrong=wrong):
                self.ignored(weir, wrong)

    def test_other_secrets_and_plain_cookies_are_ignored(self):
        signed, plain = self.signed(), self.sticky()
        for foreign in (self.signed(secret="another sixteen bytes"), plain):
            self.ignored(signed, self.bind(foreign)[1])
        self.ignored(plain, self.bind(signed)[1])


class Lasting(StickyCase):

    def test_on_every_worker(self):
        weir = self.sticky(runtime={"workers": 4})
        name, value = self.bind(weir)
        for _ in range(12):
            self.assertEqual(self.ask(weir, value, 2), {name})

    def test_over_reloads_and_restarts(self):
        """Also when servers come and go around it, and in whatever order they stand."""
        for secret in ({}, {"secret": SECRET}):
            with self.subTest(**secret):
                weir = self.sticky(self.servers[:2], sticky=secret)
                (name, value), (other, _) = self.bind(weir), self.bind(weir)
                self.assertNotEqual(name, other)
                self.reload(weir, self.servers[::-1])
                self.assertEqual(self.ask(weir, value), {name})
                again = self.sticky(sticky=secret)
                self.assertEqual(self.ask(again, value), {name})
                self.reload(weir, [server for server in self.servers if server.name != name])
                answer = self.client(weir).get("/", f"Cookie: lb={value}\r\n")
                self.assertNotEqual(answer.body.decode(), name)
                self.assertNotEqual(self.value(answer), value)


class Unusable(StickyCase):

    def bound(self, weir):
        """Somebody bound to A."""
        return next(value for name, value in [self.bind(weir) for _ in range(3)] if name == "A")

    def test_when_its_server_is_down_a_client_moves_and_stays(self):
        weir = self.sticky()
        value = self.bound(weir)
        self.servers[0].die()
        client = self.client(weir)
        answer = client.get("/", f"Cookie: lb={value}\r\n")
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.ask(weir, self.value(answer)), {answer.body.decode()})

    def test_weight_zero_keeps_its_clients(self):
        weir = self.sticky()
        value = self.bound(weir)
        self.reload(weir, [{"address": self.servers[0], "weight": 0}, *self.servers[1:]])
        self.assertEqual(self.ask(weir, value), {"A"})
        self.assertEqual(set(self.names(weir, 10)), {"B", "C"})

    def test_a_draining_server_keeps_its_clients(self):
        for server in self.servers:
            server.report("up\n")
        weir = self.sticky(health={"path": "/health", "interval": "50ms", "load_report": True})
        value = self.bound(weir)
        self.servers[0].report("drain\n")
        wait_until(lambda: "asks for drain" in weir.err, 10, "the drain")
        self.assertEqual(self.ask(weir, value), {"A"})
        self.assertEqual(set(self.names(weir, 10)), {"B", "C"})
        self.servers[0].report("maint\n")
        wait_until(lambda: self.client(weir).get("/", f"Cookie: lb={value}\r\n").body != b"A", 10,
                   "a server in maintenance to lose them")

    def test_states_in_the_file(self):
        weir = self.sticky()
        value = self.bound(weir)
        self.reload(weir, [{"address": self.servers[0], "state": "drain"}, *self.servers[1:]])
        self.assertEqual(self.ask(weir, value), {"A"})
        self.assertEqual(set(self.names(weir, 10)), {"B", "C"})
        self.reload(weir, [{"address": self.servers[0], "state": "maintenance"},
                           *self.servers[1:]])
        answer = self.client(weir).get("/", f"Cookie: lb={value}\r\n")
        self.assertIn(answer.body, (b"B", b"C"))
        self.assertEqual(self.ask(weir, self.value(answer)), {answer.body.decode()})

    def test_a_full_server_does_not_lose_its_clients(self):
        """Somebody else answers meanwhile, and the cookie stays what it is."""
        weir = self.sticky(server_limit=1)
        value = self.bound(weir)
        fields = f"Cookie: lb={value}\r\n"
        clients = self.hold(weir, 1, fields)
        self.held(self.servers, 1)
        self.assertNotIn("A", self.ask(weir, value, 3))
        self.finish(self.servers, clients)
        self.assertEqual(self.ask(weir, value), {"A"})
