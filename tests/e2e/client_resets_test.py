"""Clients that ask and reset at once, in numbers: each is counted, and nothing is left of them."""

from harness import OK, seconds, wait_until
from harness.relaying import RelayCase

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CROWD = 200


class ClientResets(RelayCase):

    def slow_server(self):
        """Only /healthy is answered; all others wait until they are given up."""
        def script(connection):
            while request := connection.request():
                if request.target != "/healthy":
                    connection.wait_end()
                    return
                connection.send(OK)

        return self.origin(script, backlog=CROWD)

    def over(self, weir, server):
        """No request and no connection is left, and every request was counted as given up."""
        wait_until(lambda: not self.held(weir), 10, "everything to be given back")
        for connection in server.connections:
            self.assertTrue(connection.done.wait(seconds(10)), "a server still works for nobody")
        self.assert_metric(weir, CROWD, "weir_http_requests_received_total")
        self.assert_metric(weir, CROWD, "weir_errors_total", reason="client_closed")
        self.assert_metric(weir, CROWD, "weir_errors_total")
        self.assert_metric(weir, CROWD, "weir_http_requests_total", code="none")
        self.assert_metric(weir, CROWD, "weir_http_requests_total")
        self.assert_metric(weir, CROWD, "weir_connection_closes_total", reason="client_gone")
        self.assert_metric(weir, 0, "weir_server_connections")
        self.assertEqual(self.client(weir).get("/healthy").body, b"ok")
        self.assert_metric(weir, 1, "weir_http_requests_total", code="2xx")

    def test_all_while_their_requests_are_at_the_server(self):
        for workers in (1, 2):
            with self.subTest(workers=workers):
                server = self.slow_server()
                weir = self.weir(server, runtime={"workers": workers})
                clients = [self.client(weir).send(GET) for _ in range(CROWD)]
                server.wait_requests(CROWD)
                self.assert_metric(weir, CROWD, "weir_http_requests_in_flight")
                for client in clients:
                    client.reset()
                self.over(weir, server)
                self.assertEqual(len(server.requests), CROWD + 1)

    def test_each_as_soon_as_it_has_asked(self):
        """Linux delivers what came before the reset: every request is read, though nobody waits."""
        server = self.slow_server()
        weir = self.weir(server)
        for _ in range(CROWD):
            self.client(weir).send(GET).reset()
        wait_until(lambda: weir.metric("weir_listener_connections_total") == CROWD, 10,
                   "all of them to be accepted")
        self.over(weir, server)
