"""Servers that die: clients of idempotent requests see nothing; with none left, a clear page."""

import threading
import time

from harness import Case, Client, response, seconds, wait_until


class Load:
    """Client threads that GET without pause; everything that is not a 200 is a failure."""

    def __init__(self, port, clients=8, path="/name"):
        self.port, self.path = port, path
        self.stop = threading.Event()
        self.failures, self.answers = [], 0
        self.bodies = {}
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self):
        client = Client(self.port)
        while not self.stop.is_set():
            try:
                answer = client.get(self.path)
                with self.lock:
                    self.answers += 1
                    self.bodies[answer.body] = self.bodies.get(answer.body, 0) + 1
                if answer.status != 200:
                    self.failures.append((answer.status, answer.body))
                if (answer.get("connection") or "") == "close":
                    client.close()
                    client = Client(self.port)
            except (OSError, AssertionError) as error:
                self.failures.append(repr(error))
                client.close()
                client = Client(self.port)
        client.close()

    def finish(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(seconds(15))
        return self.failures


class KilledUnderLoad(Case):

    def test_nginx_killed_and_restarted(self):
        """Two nginx, one is killed with SIGKILL in the middle and comes back: no client notices."""
        first, second = self.nginx(name="first"), self.nginx(name="second")
        weir = self.plain(first, second, workers=2)
        load = Load(weir.port)
        wait_until(lambda: load.bodies.get(b"first", 0) > 200, 20, "traffic")
        first.kill()
        before = load.answers
        wait_until(lambda: load.answers > before + 500, 20, "traffic after the kill")
        first.start()
        seen = load.bodies[b"first"]
        wait_until(lambda: load.bodies[b"first"] > seen + 50, 40, "the server to be used again")
        self.assertEqual(load.finish(), [])

    def test_scripted_server_dies_again_and_again(self):
        """Resets in the middle of everything but an answer."""

        def script(connection):
            while connection.request():
                connection.send(response(b"fine"))

        steady, shaky = self.origin(script), self.origin(script)
        weir = self.plain(steady, shaky, workers=2)
        load = Load(weir.port, clients=4)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            wait_until(lambda n=load.answers: load.answers > n + 20, 20, "traffic")
            shaky.kill()
            wait_until(lambda n=load.answers: load.answers > n + 20, 20, "traffic without it")
            shaky.listen()
        failures = load.finish()
        # A kill may hit between the bytes of an answer; the script sends each in one piece.
        self.assertEqual(failures, [])


class NoServerLeft(Case):

    def check_page(self, answer, status):
        self.assertEqual(answer.status, status)
        self.assertTrue(answer.body)
        self.assertLess(len(answer.raw_head) + len(answer.body), 1_500)
        proxy_status = answer.get("proxy-status")
        self.assertRegex(proxy_status, r"^weir\b.*error=")
        self.assertTrue(answer.has("content-type"))
        self.assertTrue(answer.has("content-length"))

    def test_classic_form_answers_500(self):
        client = self.client(self.classic(self.free_port(), self.free_port()))
        for _ in range(5):
            self.check_page(client.get(), 500)

    def test_file_form_answers_503(self):
        weir = self.weir(self.free_port(), self.free_port())
        client = self.client(weir)
        for _ in range(5):
            self.check_page(client.get(), 503)

    def test_unavailable_status(self):
        weir = self.weir(self.free_port(), backend={"unavailable_status": 502})
        self.check_page(self.client(weir).get(), 502)

    def test_post_with_content(self):
        """The page comes although nobody wants the content; the connection stays usable or says
        that it closes."""
        weir = self.weir(self.free_port())
        client = self.client(weir)
        for _ in range(3):
            answer = client.request("POST", body=b"x" * 100)
            self.check_page(answer, 503)
            if (answer.get("connection") or "").lower() == "close":
                self.assertTrue(client.gone())
                client = self.client(weir)

    def test_client_that_waits_for_100(self):
        """RFC 9110 10.1.1: whether its content still comes is open, so the page says close. With
        the content in hand there is no doubt, and the connection goes on."""
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        weir = self.weir(self.free_port())
        client = self.client(weir)
        for _ in range(2):
            answer = client.send(head + b"hello").response()
            self.check_page(answer, 503)
            self.assertFalse(answer.has("connection"))
        answer = client.send(head).response()
        self.check_page(answer, 503)
        self.assertEqual((answer.get("connection"), answer.interim), ("close", []))
        self.assertTrue(client.closed())

    def test_large_post(self):
        weir = self.weir(self.free_port())
        client = self.client(weir)
        try:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n",
                        *[b"x" * 100_000] * 30)
        except ConnectionError:
            pass
        self.check_page(client.response(), 503)

    def test_head_has_no_body(self):
        """RFC 9110 9.3.2: also of an error page."""
        client = self.client(self.weir(self.free_port()))
        self.assertEqual(client.request("HEAD").status, 503)
        self.assertEqual(client.request("HEAD").status, 503)  # In step: no body came.

    def test_http_1_0(self):
        client = self.client(self.weir(self.free_port()))
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        self.check_page(client.response(), 503)
        self.assertTrue(client.closed())

    def test_server_appears(self):
        """The first request after a server came up is not refused for long."""
        server = self.origin()
        server.stop_listening()
        weir = self.weir(server)
        client = self.client(weir)
        self.assertEqual(client.get().status, 503)
        server.listen()
        wait_until(lambda: client.get().status == 200, 30, "the server to be found")

    def test_page_names_the_error_word(self):
        """The same word stands in the page, in Proxy-Status and in the metrics."""
        weir = self.weir(self.free_port())
        answer = self.client(weir).get()
        words = [series.partition('"')[2].partition('"')[0] for series, value in
                 weir.metrics().items() if series.startswith("weir_errors_total{") and value]
        self.assertTrue(words, "no error was counted")
        self.assertTrue(any(word in answer.body.decode() and word in answer.get("proxy-status")
                            for word in words), (words, answer.body, answer.fields))
