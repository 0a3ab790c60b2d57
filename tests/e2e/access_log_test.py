"""The access log: one JSON object per line and request, complete and truthful."""

import datetime
import json
import os

from harness import Case, OK, response, wait_until

# `error` is there when there is one.
KEYS = {"ts", "method", "path", "host", "status", "client", "listener", "route", "backend",
        "server", "dur", "rx", "tx", "attempts"}


class AccessLog(Case):

    def lines(self, path, count):
        """At least `count` parsed lines of the file."""
        def read():
            if not os.path.exists(path):
                return None
            with open(path, encoding="utf-8") as file:
                whole = file.read()
            complete = whole[:whole.rfind("\n") + 1].splitlines()
            return [json.loads(line) for line in complete] if len(complete) >= count else None

        return wait_until(read, 10, f"{count} lines in {path}")

    def logged(self, *servers, backend=None, **options):
        self.file = self.path("access.log")
        return self.weir(*servers, access_log=self.file,
                         backend={"balance": "round_robin", **(backend or {})}, **options)

    def test_fields(self):
        server = self.origin()
        weir = self.logged(server)
        client = self.client(weir)
        client.request("POST", "/path?query=1", body=b"x" * 1_000, host="site.test:81")
        (line,) = self.lines(self.file, 1)
        self.assertLessEqual(KEYS, set(line))
        self.assertEqual((line["method"], line["host"].partition(":")[0], line["status"]),
                         ("POST", "site.test", 200))
        self.assertTrue(line["path"].startswith("/path"))
        self.assertEqual(line["client"].rpartition(":")[0] or line["client"], "127.0.0.1")
        self.assertEqual((line["listener"], line["backend"], line["server"]),
                         ("web", "app", server.address))
        self.assertEqual(line["attempts"], 1)
        self.assertGreaterEqual(line["rx"], 1_000)
        self.assertGreaterEqual(line["tx"], 2)
        self.assertTrue(0 <= line["dur"] < 10)
        moment = datetime.datetime.fromisoformat(line["ts"].replace("Z", "+00:00"))
        age = datetime.datetime.now(datetime.timezone.utc) - moment
        self.assertLess(abs(age.total_seconds()), 60)
        self.assertFalse(line.get("error"))

    def test_one_line_for_each_request(self):
        weir = self.logged(self.origin(), runtime={"workers": 2})
        for number in range(20):
            client = self.client(weir)
            for step in range(50):
                client.get(f"/{number}/{step}")
        paths = [line["path"] for line in self.lines(self.file, 1_000)]
        self.assertEqual(len(paths), 1_000)
        self.assertEqual(len(set(paths)), 1_000)

    def test_standard_output(self):
        weir = self.weir(self.origin(), access_log="-")
        self.client(weir).get("/to-stdout")
        wait_until(lambda: '"/to-stdout"' in weir.out, 5, "the line on standard output")
        line = next(line for line in weir.out.splitlines() if "to-stdout" in line)
        self.assertEqual(json.loads(line)["status"], 200)

    def test_option_of_the_command_line(self):
        path = self.path("cli.log")
        weir = self.plain(self.origin(), options=["--access-log", path])
        self.client(weir).get("/cli")
        self.assertEqual(self.lines(path, 1)[0]["path"], "/cli")
        port = self.free_port()
        server = self.origin()
        weir = self.start(["proxy", "--from", f"127.0.0.1:{port}", "--to", server.address,
                           "--access-log", path], [port])
        self.client(port).get("/proxy")
        self.assertEqual(self.lines(path, 2)[1]["path"], "/proxy")

    def test_off_by_default(self):
        weir = self.plain(self.origin())
        before = weir.output
        self.client(weir).get("/silent")
        self.assertEqual(weir.output, before)

    def test_refusals_have_their_word(self):
        def script(connection):
            if request := connection.request():
                if request.target == "/broken":
                    connection.send(b"nonsense\r\n\r\n")

        weir = self.logged(self.origin(script))
        self.client(weir).send(b"GET /x HTTP/1.1\r\nBad Name: x\r\n\r\n").response()
        self.client(weir).request("POST", "/broken")
        self.client(weir).request("POST", "/closed")
        lines = self.lines(self.file, 3)
        self.assertEqual([line["status"] for line in lines], [400, 502, 502])
        for line in lines:
            self.assertRegex(line["error"], r"^[a-z0-9_]+$")
        self.assertEqual(len({line["error"] for line in lines}), 3)

    def test_client_that_leaves(self):
        """499 and a word of its own, as soon as weir knows."""
        server = self.origin(lambda connection: (connection.request(), connection.wait_end()))
        weir = self.logged(server, backend={"response_head": "500ms"})
        client = self.client(weir)
        client.send(b"GET /left HTTP/1.1\r\nHost: a\r\n\r\n")
        server.wait_requests(1)
        client.reset()
        (line,) = self.lines(self.file, 1)
        self.assertEqual((line["status"], line["error"]), (499, "client_closed"))

    def test_attempts_are_counted(self):
        weir = self.logged(self.free_port(), self.origin())
        client = self.client(weir)
        for _ in range(2):
            client.get()
        lines = self.lines(self.file, 2)
        self.assertEqual({line["status"] for line in lines}, {200})
        self.assertIn(2, {line["attempts"] for line in lines})

    def test_hostile_bytes_stay_inside_their_string(self):
        """Whatever a client writes, a line is one JSON object, in valid UTF-8."""
        weir = self.logged(self.origin())
        client = self.client(weir)
        for target in (b'/"quote', b"/back\\slash", b"/\xff\xfe", b"/</script>", b"/\xe4\xf6",
                       b"/%0a%0d", b"/\xed\xa0\x80", b"/" + b"l" * 5_000):
            client.send(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nUser-Agent: \"\\\x80\t\r\n"
                        b"Referer: \xc3\r\n\r\n")
            if client.response().status != 200:  # Bytes above 0x7F may be refused in a target.
                client = self.client(weir)
        client.send(b"G\"T /x HTTP/1.1\r\nHost: a\r\n\r\n").response()
        lines = self.lines(self.file, 9)
        self.assertTrue(lines[0]["path"].startswith('/"quote'))
        self.assertTrue(lines[1]["path"].startswith("/back\\slash"))

    def test_unwritable_file(self):
        """A log that cannot be opened is said at the start, not found out later."""
        port = self.free_port()
        weir = self.start(["-N", "1", "--access-log", "/nonexistent/dir/log", port,
                           self.origin().address], [port], ready=False)
        self.assertEqual(weir.wait(), 1)
        self.assertRegex(weir.err, "/nonexistent/dir/log")
        self.weirs.remove(weir)

    def test_reader_that_stands_still(self):
        """Lines are dropped and counted rather than holding traffic back."""
        fifo = self.path("fifo")
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        try:
            weir = self.weir(self.origin(), access_log=fifo)
            client = self.client(weir)

            def dropping():
                for _ in range(500):
                    self.assertEqual(client.get(f"/{'p' * 5_000}").status, 200)
                return weir.metric("weir_access_log_lines_dropped_total") > 0

            wait_until(dropping, 30, "lines to be dropped: the buffer has no bound?")
        finally:
            os.close(reader)

    def test_log_is_complete_after_the_end(self):
        """What was answered before SIGTERM is in the file when weir has exited."""
        weir = self.logged(self.origin(lambda connection: [
            connection.send(OK) for _ in iter(connection.request, None)]))
        client = self.client(weir)
        for number in range(500):
            client.get(f"/{number}")
        weir.terminate()
        self.assertEqual(len(self.lines(self.file, 500)), 500)

    def test_bytes_of_large_bodies(self):
        body = b"x" * 700_000
        weir = self.logged(self.origin(lambda connection: [
            connection.send(response(body)) for _ in iter(connection.request, None)]))
        self.client(weir).request("POST", body=body)
        (line,) = self.lines(self.file, 1)
        self.assertTrue(700_000 <= line["rx"] < 701_000, line)
        self.assertTrue(700_000 <= line["tx"] < 701_000, line)
