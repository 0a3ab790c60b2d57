"""SIGTERM and SIGINT: no new work, the running work is finished, exit 0."""

import signal
import threading
import time

from harness import Case, Client, OK, Truncated, response, seconds, wait_until


class Drain(Case):

    def setUp(self):
        super().setUp()
        self.gate = threading.Event()

        def script(connection):
            while request := connection.request():
                if request.target == "/slow":
                    self.gate.wait(seconds(20))
                    connection.send(response(b"finished"))
                elif request.target == "/big":
                    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                    connection.send(b"x" * 500_000)
                    self.gate.wait(seconds(20))
                    connection.send(b"x" * 500_000)
                else:
                    connection.send(OK)

        self.server = self.origin(script)

    def running(self, weir, path="/slow"):
        client = self.client(weir)
        count = len(self.server.requests)
        client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        self.server.wait_requests(count + 1)
        return client

    def refused(self, port):
        """True once a new connection is refused, or ended without an answer."""
        try:
            with Client(port) as client:
                client.get()
                return False
        except (ConnectionError, Truncated):
            return True

    def test_without_work_it_ends_at_once(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            weir = self.plain(self.server, workers=2)
            started = time.monotonic()
            weir.signal(number)
            self.assertEqual(weir.wait(), 0)
            self.assertLess(time.monotonic() - started, seconds(3))

    def test_running_requests_finish(self):
        """RFC 9112 9.6: the last answer says close, then the connection ends."""
        for workers in (1, 2):
            with self.subTest(workers=workers):
                self.gate.clear()
                weir = self.plain(self.server, workers=workers)
                clients = [self.running(weir) for _ in range(5)]
                weir.signal(signal.SIGTERM)
                wait_until(lambda weir=weir: self.refused(weir.port), 10, "a refusal")
                self.assertTrue(weir.running())
                self.gate.set()
                for client in clients:
                    answer = client.response()
                    self.assertEqual((answer.body, answer.get("connection").lower()),
                                     (b"finished", "close"))
                    self.assertTrue(client.closed())
                self.assertEqual(weir.wait(), 0)

    def test_answer_in_the_middle_is_completed(self):
        weir = self.plain(self.server)
        client = self.running(weir, "/big")
        client.head()
        weir.signal(signal.SIGTERM)
        wait_until(lambda: self.refused(weir.port), 10, "a refusal")
        self.gate.set()
        self.assertEqual(len(client.rest()), 1_000_000)
        self.assertEqual(weir.wait(), 0)

    def test_upload_in_the_middle_is_completed(self):
        weir = self.plain(self.server)
        client = self.client(weir)
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        self.server.wait_requests(1)
        weir.signal(signal.SIGTERM)
        wait_until(lambda: self.refused(weir.port), 10, "a refusal")
        client.send(b"world")
        self.assertEqual(client.response().body, b"ok")
        self.assertEqual(weir.wait(), 0)

    def test_idle_connections_are_closed(self):
        weir = self.plain(self.server)
        clients = [self.client(weir) for _ in range(20)]
        for client in clients:
            self.assertEqual(client.get().body, b"ok")
        weir.signal(signal.SIGTERM)
        for client in clients:
            self.assertTrue(client.closed())
        self.assertEqual(weir.wait(), 0)

    def test_second_signal_means_now(self):
        for second in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(second=second):
                self.gate.clear()
                weir = self.plain(self.server)
                self.running(weir)
                weir.signal(signal.SIGTERM)
                wait_until(lambda weir=weir: self.refused(weir.port), 10, "a refusal")
                self.assertTrue(weir.running())
                started = time.monotonic()
                weir.signal(second)
                self.assertEqual(weir.wait(), 0)
                self.assertLess(time.monotonic() - started, seconds(3))

    def test_grace_ends_it(self):
        weir = self.weir(self.server, runtime={"shutdown_grace": "300ms"})
        self.running(weir)
        started = time.monotonic()
        weir.signal(signal.SIGTERM)
        self.assertEqual(weir.wait(), 0)
        self.assertLess(time.monotonic() - started, seconds(4))

    def test_nobody_in_the_queue_is_reset(self):
        """Connections that were accepted by the kernel before the signal get an answer or an
        orderly close, never a reset: many clients connect while it stops."""
        weir = self.plain(self.server, workers=2)
        results, stop = [], threading.Event()

        def knock():
            while not stop.is_set():
                try:
                    client = Client(weir.port)
                except ConnectionRefusedError:
                    return
                except OSError as error:
                    results.append(f"connect: {error!r}")
                    return
                try:
                    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    answer = client.response()
                    results.append(answer.status)
                except AssertionError as error:
                    results.append(f"no answer: {error}")
                except OSError as error:
                    results.append(repr(error))
                finally:
                    client.close()

        threads = [threading.Thread(target=knock, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(results) > 200, 20, "traffic")
        weir.signal(signal.SIGTERM)
        self.assertEqual(weir.wait(), 0)
        stop.set()
        for thread in threads:
            thread.join(seconds(10))
        self.assertEqual([result for result in results if result != 200], [])

    def test_queue_behind_max_connections(self):
        """Who waits behind a full listener is let in for the last time: a request that came along
        is answered, a silent client gets an orderly close."""
        for workers in (1, 2):
            with self.subTest(workers=workers):
                self.gate.clear()
                weir = self.weir(self.server, listener={"max_connections": 2},
                                 runtime={"workers": workers})
                inside = [self.running(weir) for _ in range(2)]
                waiting = [self.client(weir) for _ in range(12)]
                for client in waiting[:8]:
                    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                for client in waiting:
                    self.assertTrue(client.quiet(0.01))
                weir.signal(signal.SIGTERM)
                for client in waiting[:8]:
                    answer = client.response()
                    self.assertEqual((answer.body, answer.get("connection")), (b"ok", "close"))
                for client in waiting:
                    self.assertTrue(client.closed())
                self.gate.set()
                for client in inside:
                    self.assertEqual(client.response().body, b"finished")
                self.assertEqual(weir.wait(), 0)

    def test_readiness_during_the_drain(self):
        """/readyz turns to 503 while running work finishes, /healthz stays 200."""
        weir = self.weir(self.server)
        self.assertEqual(weir.admin("/readyz").status, 200)
        client = self.running(weir)
        weir.signal(signal.SIGTERM)
        wait_until(lambda: weir.admin("/readyz").status == 503, 10, "503 from /readyz")
        self.assertEqual(weir.admin("/healthz").status, 200)
        self.gate.set()
        self.assertEqual(client.response().body, b"finished")
        self.assertEqual(weir.wait(), 0)

    def test_sigpipe_never_matters(self):
        """Writing to clients and servers that are gone does not end weir."""
        weir = self.plain(self.server)
        for _ in range(20):
            client = self.client(weir)
            client.send(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
            client.reset()
        weir.signal(signal.SIGPIPE)
        self.gate.set()
        self.assertEqual(self.client(weir).get().body, b"ok")
