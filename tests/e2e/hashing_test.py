"""Requests with one key go to one server, and few of them move when servers come and go."""

from harness import wait_until
from harness.named import NamedCase

KEYS = [f"user-{number}" for number in range(120)]
ADDRESSES = [f"127.0.{number}.1" for number in range(1, 41)]


class HashingCase(NamedCase):

    def setUp(self):
        super().setUp()
        self.servers = self.named("ABCDE")

    def hashing(self, balance="header_hash", servers=None, runtime=None, **backend):
        backend = {"balance": balance, "slow_start": "0s", **backend}
        if balance == "header_hash":
            backend["hash_key"] = "X-User"
        return self.weir(*(servers or self.servers), backend=backend, runtime=runtime or {})

    def by_header(self, weir, keys=KEYS) -> dict:
        client = self.client(weir)
        return {key: client.get("/", f"X-User: {key}\r\n").body.decode() for key in keys}

    def by_address(self, weir) -> dict:
        return {address: self.names(weir, 1, source=address) for address in ADDRESSES}


class SameKeySameServer(HashingCase):

    def twice(self, weir, ask) -> None:
        """ask(client, key) answers alike for each key, on every worker, and uses all servers."""
        first = None
        for _ in range(6):  # Connections of several workers.
            client = self.client(weir)
            answers = [ask(client, key).body for key in KEYS]
            first = first or answers
            self.assertEqual(answers, first)
        self.assertEqual(set(first), {b"A", b"B", b"C", b"D", b"E"})

    def test_header(self):
        weir = self.hashing(runtime={"workers": 3})
        self.twice(weir, lambda client, key: client.get("/", f"x-uSER: {key}\r\n"))

    def test_cookie(self):
        weir = self.hashing("cookie_hash", hash_key="user")
        self.twice(weir, lambda client, key: client.get(
            "/", f"Cookie: a=1; user={key}; b=2\r\n"))
        self.twice(weir, lambda client, key: client.get(
            "/", f"Cookie: xuser=1\r\nCookie: user={key}\r\n"))

    def test_query(self):
        weir = self.hashing("query_hash", hash_key="user")
        self.twice(weir, lambda client, key: client.get(f"/x?a=1&user={key}&b=2"))

    def test_an_empty_key_is_none(self):
        """Clients that send the field without a value are told apart by their address."""
        weir = self.hashing("header_hash")
        empty = {address: self.client(weir, source=address).get("/", "X-User:\r\n").body.decode()
                 for address in ADDRESSES}
        self.assertEqual(empty, self.by_address(weir))
        self.assertGreater(len(set(empty.values())), 1)

    def test_target(self):
        self.twice(self.hashing("uri_hash"), lambda client, key: client.get(f"/{key}"))

    def test_target_with_its_query(self):
        self.twice(self.hashing("uri_hash"), lambda client, key: client.get(f"/?{key}"))

    def test_other_parts_of_the_request_do_not_matter(self):
        weir = self.hashing()
        client = self.client(weir)
        answers = {client.request(method, f"/{number}", f"X-User: one\r\nX-Other: {number}\r\n",
                                  body=b"x" * number).body
                   for number, method in enumerate(("GET", "PUT", "POST", "DELETE"))}
        self.assertEqual(len(answers), 1)

    def test_address(self):
        weir = self.hashing("ip_hash", runtime={"workers": 2})
        first = self.by_address(weir)
        self.assertEqual(self.by_address(weir), first)
        self.assertGreaterEqual(len(set(first.values())), 4)
        self.assertEqual(len(set(self.names(weir, 10, source=ADDRESSES[0]))), 1)

    def test_without_the_key_the_address_decides(self):
        by_address = self.by_address(self.hashing("ip_hash"))
        for balance, key in (("header_hash", None), ("cookie_hash", "user"),
                             ("query_hash", "user")):
            with self.subTest(balance=balance):
                weir = self.hashing(balance, **({"hash_key": key} if key else {}))
                self.assertEqual(self.by_address(weir), by_address)
                self.assert_metric(weir, len(ADDRESSES), "weir_hash_keys_missing_total")

    def test_every_weir_has_the_same_mapping_whatever_the_order(self):
        """Names and weights decide; another weir, or the same one restarted, agrees."""
        first = self.by_header(self.hashing())
        self.assertEqual(self.by_header(self.hashing(servers=self.servers[::-1])), first)


class Movement(HashingCase):

    def test_a_server_that_dies_and_returns(self):
        """Only its own keys move, to several others, and they come back."""
        weir = self.hashing(ejection={"time": "100ms", "time_max": "100ms"})
        before = self.by_header(weir)
        victim = self.servers[2]
        victim.die()
        after = self.by_header(weir)
        moved = {key for key in KEYS if before[key] != after[key]}
        self.assertEqual(moved, {key for key in KEYS if before[key] == "C"})
        self.assertGreaterEqual(len({after[key] for key in moved}), 3)
        victim.revive()
        wait_until(lambda: self.by_header(weir) == before, 20, "the keys to come back")

    def test_a_server_taken_out_of_the_file(self):
        """Besides its own keys few move: together at most twice its share."""
        weir = self.hashing()
        before = self.by_header(weir)
        self.reload(weir, self.servers[:4])
        after = self.by_header(weir)
        moved = [key for key in KEYS if before[key] != after[key]]
        self.assertTrue(all(after[key] != "E" for key in KEYS))
        self.assertLessEqual(len(moved), len(KEYS) * 2 // 5)

    def test_a_server_that_is_added(self):
        weir = self.hashing(servers=self.servers[:4])
        before = self.by_header(weir)
        self.reload(weir, self.servers)
        after = self.by_header(weir)
        moved = [key for key in KEYS if before[key] != after[key]]
        self.assertIn("E", after.values())
        self.assertLessEqual(len(moved), len(KEYS) * 2 // 5)

    def test_weight_zero_has_no_keys(self):
        servers = [{"address": self.servers[0], "weight": 0}, *self.servers[1:]]
        self.assertEqual(set(self.by_header(self.hashing(servers=servers)).values()), set("BCDE"))


class PopularKey(HashingCase):

    def shares(self, **backend) -> list[int]:
        """How sixteen requests at one time with one key are spread."""
        weir = self.hashing(**backend)
        clients = self.hold(weir, 16, "X-User: star\r\n")
        self.held(self.servers, 16)
        shares = sorted((server.holding for server in self.servers), reverse=True)
        self.finish(self.servers, clients)
        return shares

    def test_a_server_is_bounded(self):
        """150 % of the mean of 16 / 5, and one."""
        shares = self.shares()
        self.assertLessEqual(shares[0], 6)
        self.assertGreaterEqual(shares[0], 4)

    def test_without_the_bound_it_gets_all(self):
        self.assertEqual(self.shares(hash_load_percent=0), [16, 0, 0, 0, 0])
