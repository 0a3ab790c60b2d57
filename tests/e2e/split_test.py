"""A route that shares its requests among backends by weight."""

from collections import Counter

from harness.named import NamedCase


class Split(NamedCase):

    def split(self, backends, names="ABC", **options):
        servers = self.named(names)
        return self.weir(backends={name.lower(): {"servers": [server]}
                                   for name, server in zip(names, servers)},
                         routes=[{"backends": backends}], **options)

    def test_by_weight(self):
        """Of 2000 requests one in ten; 60 are more than four standard deviations."""
        weir = self.split([{"backend": "a", "weight": 90}, {"backend": "b", "weight": 10}], "AB")
        self.assertAlmostEqual(self.counts(weir, 2_000)["B"], 200, delta=60)

    def test_weights_count_among_themselves(self):
        weir = self.split([{"backend": "a", "weight": 1}, {"backend": "b", "weight": 2},
                           {"backend": "c", "weight": 1}])
        counts = self.counts(weir, 1_200)
        for name, share in (("A", 300), ("B", 600), ("C", 300)):
            self.assertAlmostEqual(counts[name], share, delta=90)

    def test_names_alone_are_equal(self):
        counts = self.counts(self.split(["a", "b", "c"]), 900)
        for name in "ABC":
            self.assertAlmostEqual(counts[name], 300, delta=80)

    def test_weight_zero_gets_nothing(self):
        weir = self.split([{"backend": "a", "weight": 0}, "b", {"backend": "c", "weight": 0}])
        self.assertEqual(set(self.names(weir, 100)), {"B"})

    def test_on_every_connection_and_worker(self):
        """It is requests that are split: no client and no worker sticks to one backend."""
        weir = self.split(["a", "b"], "AB", runtime={"workers": 2})
        counts = Counter()
        for _ in range(40):
            counts += self.counts(weir, 20)
        self.assertAlmostEqual(counts["A"], 400, delta=100)

    def test_a_dead_backend_keeps_its_share(self):
        """Which backend it is stands before anybody looks at servers: an error is an error."""
        servers = self.named("AB")
        weir = self.weir(backends={"a": {"servers": [servers[0]]}, "b": {"servers": [servers[1]]}},
                         routes=[{"backends": ["a", "b"]}])
        servers[1].die()
        client = self.client(weir)
        counts = Counter(client.get().status for _ in range(300))
        self.assertEqual(set(counts), {200, 503})
        self.assertAlmostEqual(counts[503], 150, delta=60)

    def test_a_reload_shifts_it(self):
        servers = self.named("AB")
        backends = {"a": {"servers": [servers[0]]}, "b": {"servers": [servers[1]]}}
        weir = self.weir(backends=backends, routes=[{"backends": [
            "a", {"backend": "b", "weight": 0}]}])
        self.assertEqual(set(self.names(weir, 50)), {"A"})
        self.reload(weir, None, backends=backends,
                    routes=[{"backends": [{"backend": "a", "weight": 0}, "b"]}])
        self.assertEqual(set(self.names(weir, 50)), {"B"})
