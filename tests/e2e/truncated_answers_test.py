"""An answer that ends early at the server looks cut off at the client, in every framing."""

import threading

from harness import Case, Truncated, response


class TruncatedAnswers(Case):

    ENDS = ("close", "reset", "half_close")

    def cut(self, data, end, request=b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"):
        """What the client saw of an answer of which the server sent only `data`."""

        def script(connection):
            connection.request()
            connection.send(data)
            if end == "reset":
                # The bytes must be with weir before the reset throws the queues away.
                self.client_got.wait(10)
            getattr(connection, end)()
            if end == "half_close":
                connection.wait_end()

        self.client_got = threading.Event()
        client = self.client(self.plain(self.origin(script)))
        client.send(request)
        head = client.head()
        self.assertEqual(head.status, 200)
        self.client_got.set()
        return client, head

    def truncated(self, data, end):
        client, head = self.cut(data, end)
        try:
            client.body(head)
        except Truncated as error:
            return error.partial
        except ConnectionResetError:
            return b""
        raise AssertionError(f"a complete answer came of {data!r}")

    def test_content_length(self):
        """RFC 9112 8: less than Content-Length is incomplete."""
        for end in self.ENDS:
            with self.subTest(end=end):
                partial = self.truncated(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello", end)
                self.assertIn(partial, (b"hello", b""))

    def test_chunked(self):
        """RFC 9112 8: without the last chunk it is incomplete, and stays so."""
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        for rest in (b"5\r\nhello\r\n", b"5\r\nhel", b"5\r\nhello", b"5\r\nhello\r\n3",
                     b"5\r\nhello\r\n0\r\n", b"5\r\nhello\r\n0\r\nX: y\r\n"):
            for end in self.ENDS:
                with self.subTest(rest=rest, end=end):
                    self.truncated(head + rest, end)

    def test_reset_while_the_request_is_still_sent(self):
        """Only the end of the connection ends the answer, and it is a reset, which a send may meet
        before a receive does. It must not pass for an end."""

        def script(connection):
            connection.head()
            connection.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
            self.client_got.wait(10)
            connection.reset()

        for _ in range(20):
            self.client_got = threading.Event()
            client = self.client(self.plain(self.origin(script)))
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n")
            head = client.head()
            sender = threading.Thread(target=self.send_until_it_breaks, args=(client,))
            sender.start()
            self.client_got.set()
            try:
                client.body(head)
            except (Truncated, ConnectionResetError):
                pass
            else:
                self.fail("an answer that was cut passed for a complete one")
            finally:
                client.close()
                sender.join()

    @staticmethod
    def send_until_it_breaks(client):
        try:
            for _ in range(500):
                client.send(bytes(100_000))
        except OSError:
            pass

    def test_broken_chunks(self):
        """RFC 9112 7.1: broken framing inside the body cuts the answer off."""
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
        for rest in (b"xyz\r\n", b"-1\r\n", b"0x3\r\nabc\r\n0\r\n\r\n", b"5\r\nhelloX\r\n",
                     b"5\nhello\n0\n\n", b"ffffffffffffffffff\r\n", b" 5\r\nhello\r\n0\r\n\r\n",
                     b"0\r\nbad trailer\r\n\r\n"):
            with self.subTest(rest=rest):
                self.truncated(head + rest, "close")

    def test_reset_of_a_close_delimited_answer(self):
        """RFC 9112 8: a reset is not the end of the content."""
        self.truncated(b"HTTP/1.1 200 OK\r\n\r\nhello", "reset")

    def test_head_complete_content_missing(self):
        """The failure comes after the status was sent: nothing else can be said but a close."""
        for end in self.ENDS:
            with self.subTest(end=end):
                self.assertEqual(self.truncated(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", end), b"")

    def test_weir_goes_on(self):
        """A truncated answer costs its own connection, nobody else's."""

        def script(connection):
            while request := connection.request():
                if request.target == "/cut":
                    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
                    return
                connection.send(response(b"whole"))

        proxy = self.plain(self.origin(script))
        other = self.client(proxy)
        for _ in range(5):
            self.assertEqual(other.get().body, b"whole")
            with self.assertRaises(Truncated):
                self.client(proxy).get("/cut")
