"""Pipelined requests are answered in their order, whatever the servers' order of finishing."""

import threading

from harness import Case, OK, answering, response, seconds, wait_until


def echo_target(connection):
    while request := connection.request():
        connection.send(response(request.target.encode() + b":" + request.body))


class Pipelining(Case):

    def test_answers_in_order(self):
        """RFC 9112 9.3.2: many requests in one segment, answers in the same order."""
        proxy = self.plain(self.origin(echo_target), self.origin(echo_target))
        client = self.client(proxy)
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number
                             for number in range(100)))
        for number in range(100):
            self.assertEqual(client.response().body, b"/%d:" % number)

    def test_a_slow_first_answer_holds_back_the_others(self):
        """RFC 9112 9.3.2: the second server may be ready first; its answer waits."""
        gate = threading.Event()

        def script(connection):
            while request := connection.request():
                if request.target == "/1":
                    gate.wait(seconds(10))
                connection.send(response(request.target.encode()))

        first, second = self.origin(script), self.origin(script)
        client = self.client(self.plain(first, second))
        client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: first.requests or second.requests, 10, "the first request")
        self.assertTrue(client.quiet())
        gate.set()
        self.assertEqual(client.response().body, b"/1")
        self.assertEqual(client.response().body, b"/2")

    def test_all_kinds_of_requests_together(self):
        """RFC 9112 6.3: after a body, or none, the next byte starts the next request."""
        client = self.client(self.plain(self.origin(echo_target)))
        client.send(b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                    b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
                    b"POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b"2\r\nde\r\n1\r\nf\r\n0\r\n\r\n"
                    b"HEAD /4 HTTP/1.1\r\nHost: a\r\n\r\n"
                    b"POST /5 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
                    b"DELETE /6 HTTP/1.1\r\nHost: a\r\n\r\n")
        methods = ("GET", "GET", "GET", "HEAD", "GET", "GET")
        bodies = [client.response(method).body for method in methods]
        self.assertEqual(bodies, [b"/1:abc", b"/2:", b"/3:def", b"", b"/5:", b"/6:"])

    def test_deep_pipeline_with_a_reader_that_starts_late(self):
        """Neither side may wait for the other for ever while answers fill the buffers."""
        big = response(b"x" * 20_000)
        proxy = self.plain(self.origin(answering(big)))
        client = self.client(proxy)
        count = 1_000
        sender = threading.Thread(target=lambda: client.send(
            *[b"GET /p HTTP/1.1\r\nHost: a\r\n\r\n"] * count), daemon=True)
        sender.start()
        for _ in range(count):
            self.assertEqual(len(client.response().body), 20_000)
        sender.join(seconds(10))
        self.assertFalse(sender.is_alive())

    def test_half_close_after_the_last_request(self):
        """RFC 9112 9.6: a half-close does not cancel what was asked before it."""
        client = self.client(self.plain(self.origin(echo_target)))
        client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number
                             for number in range(10)))
        client.half_close()
        for number in range(10):
            self.assertEqual(client.response().body, b"/%d:" % number)
        self.assertTrue(client.closed())

    def test_a_bad_request_behind_good_ones(self):
        """RFC 9112 2.2: the good ones are answered, the bad one is refused, then it closes."""
        server = self.origin(answering(OK))
        client = self.client(self.plain(server))
        client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
                    b"GET /3 HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n"
                    b"GET /4 HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual([client.response().status for _ in range(3)], [200, 200, 400])
        self.assertTrue(client.closed())
        self.assertEqual([request.target for request in server.requests], ["/1", "/2"])
