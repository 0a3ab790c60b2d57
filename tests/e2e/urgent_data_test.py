"""TCP urgent data is no part of the stream; it must not stop what is around it.

recv stops at the urgent mark and splice refuses to cross it, so a proxy that ignores it can wait
for ever for bytes that are already there. One urgent byte for each connection: the kernel puts an
older one into the stream when a newer one comes.
"""

import socket
import threading

from harness import Case, answering, response

BODY = bytes(range(256)) * 8_000


def send_with_urgent(sock, data, at):
    """All of `data`, with an urgent byte in front of data[at]."""
    sock.sendall(data[:at])
    sock.send(b"!", socket.MSG_OOB)
    sock.sendall(data[at:])


class UrgentData(Case):

    def test_in_a_request_head(self):
        """Wherever it falls, the request is what it is without it."""
        server = self.origin()
        weir = self.plain(server)
        head = b"GET /u HTTP/1.1\r\nHost: a\r\n\r\n"
        for at in range(1, len(head)):
            client = self.client(weir)
            send_with_urgent(client.sock, head, at)
            self.assertEqual(client.response().body, b"ok")
            client.close()
        self.assertEqual({(request.target, request.get("host")) for request in server.requests},
                         {("/u", "a")})

    def test_in_small_and_large_uploads(self):
        server = self.origin(lambda connection: [
            connection.send(response(request.body)) for request in iter(connection.request, None)])
        weir = self.plain(server)
        for size in (100, 50_000, len(BODY)):
            body = BODY[:size]
            for at in (1, size // 2, size - 1):
                client = self.client(weir)
                client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
                sender = threading.Thread(target=send_with_urgent, daemon=True,
                                          args=(client.sock, body, at))
                sender.start()
                self.assertEqual(client.response().body, body)
                sender.join(10)
                client.close()

    def test_in_answers(self):
        def script(connection):
            request = connection.request()
            data = response(BODY, fields="Connection: close\r\n")
            send_with_urgent(connection.sock, data, int(request.target[1:]))

        client = self.client(self.plain(self.origin(script)))
        for at in (1, 30, 100, 5_000, 100_000, 1_000_000, len(BODY)):
            self.assertEqual(client.get(f"/{at}").body, BODY)

    def test_behind_everything(self):
        """An urgent byte behind the last one leaves the connection as it was."""
        weir = self.plain(self.origin(answering()))
        client = self.client(weir)
        self.assertEqual(client.get().body, b"ok")
        client.sock.send(b"!", socket.MSG_OOB)
        self.assertLess(weir.cpu_share(0.3), 0.1, "it spins")
        self.assertEqual(client.get().body, b"ok")
