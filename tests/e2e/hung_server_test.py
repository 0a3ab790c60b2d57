"""A server that hangs: the kernel still accepts connections for it, and no request is answered.
Without any health check, and with nothing configured, weir sees that and leaves it alone."""

import threading

from harness import Client, response, seconds, wait_until
from harness.failure import FailureCase


class HungServer(FailureCase):

    def setUp(self) -> None:
        super().setUp()
        self.names = ("one", "two", "three")
        self.servers = [self.moody(name, service=0.01) for name in self.names]

    def is_out(self, weir, server) -> bool:
        return weir.metric("weir_server_state", server=f"127.0.0.1:{server.port}",
                           state="ejected") == 1

    def check(self, clients: int = 0, rate: float = 0, **proxy) -> None:
        """Frozen under load: it gets no more requests, the others answer theirs; thawed: it is
        back, and of the requests that waited for it none is lost."""
        weir = self.weir(*self.servers, **proxy)
        load = self.load(weir, clients=clients, rate=rate)
        wait_until(lambda: all(load.from_server(name) > 60 for name in self.names), 20, "traffic")
        hung = self.servers[1]
        hung.freeze()
        self.took("the hung server is left alone", lambda: self.is_out(weir, hung), 10)
        self.said(weir, "requests without an answer for ")
        requests = lambda: weir.metric("weir_server_requests_total",
                                       server=f"127.0.0.1:{hung.port}")
        before, answered = requests(), len(load.answers)
        wait_until(lambda: len(load.answers) > answered + 200, 20, "answers of the others")
        self.assertLessEqual(requests(), before + 1)  # The one trial.
        hung.thaw()
        self.took("it is back", lambda: not self.is_out(weir, hung), 15)
        seen = load.from_server("two")
        wait_until(lambda: load.from_server("two") > seen + 20, 20, "it to be used again")
        load.stop()
        self.assertEqual(load.failures, [])
        self.assert_metric(weir, 1, "weir_outlier_ejections_total", reason="silence",
                           server=f"127.0.0.1:{hung.port}")

    def test_defaults(self):
        self.check(clients=48)

    def test_several_workers(self):
        self.check(clients=48, runtime={"workers": 4})

    def test_round_robin(self):
        self.check(rate=200, backend={"balance": "round_robin"})

    def test_under_little_load_it_is_passed_over(self):
        """Too few requests wait for a verdict, and those are enough for `p2c` to go elsewhere."""
        weir = self.weir(*self.servers)
        load = self.load(weir, rate=100)
        wait_until(lambda: all(load.from_server(name) > 10 for name in self.names), 20, "traffic")
        hung = self.servers[1]
        hung.freeze()
        answered = len(load.answers)
        wait_until(lambda: len(load.answers) > answered + 300, 20, "answers of the others")
        waiting = weir.metric("weir_server_requests_in_flight", server=f"127.0.0.1:{hung.port}")
        self.say(f"{waiting:g} requests wait for the hung server")
        self.assertLess(waiting, 30)  # Its share would be 150 by now.
        hung.thaw()
        seen = load.from_server("two")
        wait_until(lambda: load.from_server("two") > seen + 10, 20, "it to be used again")
        load.stop()
        self.assertEqual(load.failures, [])


class SlowAnswers(FailureCase):

    def test_a_long_poll_is_no_silence(self):
        """Every request to one server waits until something happens; nothing was ever measured
        that would tell. The others' long polls wait as well."""
        def script(connection):
            while request := connection.request():
                if request.target.startswith("/poll"):
                    self.happened.wait(seconds(20))
                connection.send(response(b"fine"))

        self.happened = threading.Event()
        self.addCleanup(self.happened.set)
        weir = self.weir(*(self.origin(script) for _ in range(3)),
                         backend={"balance": "round_robin"})
        quick = Client(weir.port)
        for _ in range(90):
            quick.get("/quick")
        polls = [self.client(weir) for _ in range(30)]
        for client in polls:
            client.send(b"GET /poll HTTP/1.1\r\nHost: a\r\n\r\n")
        weir.wait_turns(12, "control")
        self.assertNotIn("ejected", weir.err)
        self.happened.set()
        self.assertEqual({client.response().status for client in polls}, {200})
