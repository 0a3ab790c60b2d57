"""`trigger = "edge" | "level" | "oneshot"`: one behaviour, whatever epoll is asked to do."""

import contextlib
import glob
import os
import random
import re
import select

from harness import Case, Truncated, response, wait_until


def modes_of_sockets(pid):
    """How the sockets of a process are watched by its epoll instances."""
    modes = set()
    for path in glob.glob(f"/proc/{pid}/fdinfo/*"):
        with contextlib.suppress(FileNotFoundError):  # Closed meanwhile.
            with open(path, encoding="ascii") as file:
                watched = re.findall(r"tfd:\s+(\d+) events:\s+([0-9a-f]+)", file.read())
            for descriptor, events in watched:
                if os.readlink(f"/proc/{pid}/fd/{descriptor}").startswith("socket:"):
                    bits = int(events, 16)
                    modes.add("edge" if bits & select.EPOLLET else
                              "oneshot" if bits & select.EPOLLONESHOT else "level")
    return modes


class Triggers(Case):

    def echo(self, connection):
        while request := connection.request():
            if request.target == "/cut":
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
                return
            connection.send(response(request.body or b"empty"))

    def everything(self, trigger):
        body = random.Random(1).randbytes(3_000_000)  # Takes a while, in which no client may wait.
        weir = self.weir(self.origin(self.echo), runtime={"trigger": trigger, "workers": 2},
                         listener={"client_idle": "300ms"})
        client = self.client(weir)
        for _ in range(50):
            self.assertEqual(client.get().body, b"empty")
        self.assertEqual(client.request("PUT", body=body).body, body)
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 20)
        for _ in range(20):
            self.assertEqual(client.response().body, b"empty")
        for byte in b"GET / HTTP/1.1\r\nHost: a\r\n\r\n":
            client.send(bytes([byte]))
        self.assertEqual(client.response().body, b"empty")
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").half_close()
        self.assertEqual(client.response().body, b"empty")
        self.assertTrue(client.closed())
        with self.assertRaises(Truncated):
            self.client(weir).get("/cut")
        idle = self.client(weir)
        self.assertEqual(idle.get().body, b"empty")
        self.assertTrue(idle.closed())
        quiet = self.client(weir)
        self.assertEqual(quiet.get().body, b"empty")
        self.assertLess(weir.cpu_share(0.2), 0.1, "an event is reported again and again")

    def test_the_option(self):
        """Without a file, `--trigger` chooses; the kernel tells how connections are watched."""
        for trigger in ("edge", "level", "oneshot"):
            with self.subTest(trigger=trigger):
                weir = self.plain(self.origin(self.echo), options=["--trigger", trigger])
                client = self.client(weir)
                self.assertEqual(client.get().body, b"empty")
                wait_until(lambda: modes_of_sockets(weir.pid) == {"level", trigger},
                           what=f"listener level, connections {trigger}")

    def test_edge(self):
        self.everything("edge")

    def test_level(self):
        self.everything("level")

    def test_oneshot(self):
        self.everything("oneshot")
