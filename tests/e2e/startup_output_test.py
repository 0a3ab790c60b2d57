"""What weir says when it starts: what listens, which servers, how many workers."""

from harness import Case


class StartupOutput(Case):

    def workers(self, weir, count):
        self.assertRegex(weir.output, rf"(?m)^\s*workers\s+{count}\b")

    def test_classic_form(self):
        first, second = self.origin(), self.origin()
        weir = self.classic(first, second, workers=2)
        for word in (f"0.0.0.0:{weir.port}", first.address, second.address):
            self.assertIn(word, weir.output)
        self.workers(weir, 2)

    def test_one_worker(self):
        self.workers(self.classic(self.origin()), 1)

    def test_four_workers_by_default(self):
        port = self.free_port()
        weir = self.start([port, self.origin().address], [port])
        self.workers(weir, 4)
        self.assertEqual(self.client(weir).get().body, b"ok")

    def test_proxy_form(self):
        port = self.free_port()
        server = self.origin()
        weir = self.start(["proxy", "--from", f"127.0.0.1:{port}", "--to", server.address,
                           "--workers", "3"], [port])
        for word in (f"127.0.0.1:{port}", server.address):
            self.assertIn(word, weir.output)
        self.workers(weir, 3)

    def test_file_form(self):
        server = self.origin()
        weir = self.weir(server, runtime={"workers": 2})
        for word in (f"127.0.0.1:{weir.port}", "web", "app", server.address,
                     f"127.0.0.1:{weir.admin_port}"):
            self.assertIn(word, weir.output)
        self.workers(weir, 2)

    def test_quiet_afterwards(self):
        """Traffic, refusals and clients that leave print nothing."""
        weir = self.classic(self.origin())
        before = weir.output
        self.client(weir).get()
        self.client(weir).send(b"BAD\r\n\r\n").response()
        self.client(weir).send(b"GET").reset()
        self.client(weir).get()
        self.assertEqual(weir.output, before)

    def test_unused_options_of_the_classic_form_are_accepted(self):
        port = self.free_port()
        weir = self.start(["-N", "1", "-R", "5", "--server-limit", "7", port,
                           self.origin().address], [port])
        self.assertEqual(self.client(weir).get().body, b"ok")
