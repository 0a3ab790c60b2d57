"""Where weir listens and where its servers are: IPv4, IPv6, unix sockets, several at once."""

import os

from harness import Case, OK, answering, config, response, wait_until


class Listeners(Case):

    def test_unix_listener_and_server(self):
        listen, serve = self.path("weir.sock"), self.path("server.sock")
        server = self.origin(unix_path=serve)
        text = config(f"unix:{listen}", [f"unix:{serve}"])
        weir = self.run_config(text, [], ready=False)
        wait_until(lambda: os.path.exists(listen) and weir.output, 10)
        for _ in range(3):
            client = self.client(listen)
            for _ in range(10):
                self.assertEqual(client.get().body, b"ok")
        self.assertEqual(len(server.connections), 1)
        self.assertFalse(any("None" in (request.get("x-forwarded-for") or "")
                             for request in server.requests))

    def test_unix_listener_replaces_a_stale_file_only(self):
        """A socket file nobody listens on is replaced; one in use, or another file, is refused."""
        listen = self.path("weir.sock")
        other = self.origin(unix_path=listen)
        text = config(f"unix:{listen}", [self.origin()])
        weir = self.run_config(text, [], ready=False)
        self.assertEqual(weir.wait(), 1)
        self.assertIn(listen, weir.err)
        self.weirs.remove(weir)
        other.kill()
        self.assertTrue(os.path.exists(listen))
        weir = self.run_config(text, [], ready=False)
        wait_until(lambda: "weir" in weir.output and weir.running() and weir.output, 10)
        self.assertEqual(self.client(listen).get().body, b"ok")
        weir.terminate()
        self.assertFalse(os.path.exists(listen), "the socket file is left behind")
        with open(listen, "w", encoding="ascii") as file:
            file.write("precious")
        weir = self.run_config(text, [], ready=False)
        self.assertEqual(weir.wait(), 1)
        self.weirs.remove(weir)
        with open(listen, encoding="ascii") as file:
            self.assertEqual(file.read(), "precious")

    def test_unix_listener_leaves_the_file_of_its_successor(self):
        """Another program has put its socket in weir's place: the end of weir is not its end."""
        listen = self.path("weir.sock")
        weir = self.run_config(config(f"unix:{listen}", [self.origin()]), [], ready=False)
        wait_until(lambda: os.path.exists(listen) and weir.output, 10)
        os.unlink(listen)
        self.origin(unix_path=listen)
        weir.terminate()
        self.assertEqual(self.client(listen).get().body, b"ok")

    def test_deferred_accepts(self):
        """Who speaks is served, and who says nothing is taken in all the same, after a second."""
        weir = self.weir(self.origin(), listener={"defer_accept": True})
        silent = self.client(weir)
        self.assertEqual(self.client(weir).get().body, b"ok")
        wait_until(lambda: weir.metric("weir_listener_connections_active") == 2, 10)
        self.assertEqual(silent.get().body, b"ok")

    def test_unix_server_in_the_classic_form(self):
        path = self.path("server.sock")
        server = self.origin(unix_path=path)
        client = self.client(self.plain(server))
        for _ in range(3):
            self.assertEqual(client.get().body, b"ok")

    def test_ipv6_listener(self):
        server = self.origin()
        port = self.free_port()
        self.run_config(config(f"[::1]:{port}", [server]), [port])
        client = self.client(("::1", port))
        self.assertEqual(client.get(host=f"[::1]:{port}").body, b"ok")
        self.assertEqual(server.requests[-1].get("x-forwarded-for"), "::1")

    def test_ipv6_server(self):
        server = self.origin(host="::1")
        client = self.client(self.plain(server))
        for _ in range(3):
            self.assertEqual(client.get().body, b"ok")
        self.assertEqual(len(server.connections), 1)

    def test_several_addresses(self):
        ports = [self.free_port() for _ in range(3)]
        self.run_config(config([f"127.0.0.1:{ports[0]}", f"127.0.0.2:{ports[1]}",
                                f"[::1]:{ports[2]}"], [self.origin()],
                               runtime={"workers": 2}), ports)
        for target in (("127.0.0.1", ports[0]), ("127.0.0.2", ports[1]), ("::1", ports[2])):
            self.assertEqual(self.client(target).get().body, b"ok")

    def test_several_listeners(self):
        ports = {name: self.free_port() for name in ("one", "two")}
        backends = {name: {"servers": [self.origin(answering(response(name.encode())))]}
                    for name in ports}
        self.run_config(config(
            listeners={name: {"bind": f"127.0.0.1:{port}"} for name, port in ports.items()},
            routes=[{"listener": name, "backend": name} for name in ports], backends=backends),
            list(ports.values()))
        for name, port in ports.items():
            self.assertEqual(self.client(port).get().body, name.encode())

    def test_bind_option_of_the_classic_form(self):
        port = self.free_port()
        self.start(["-N", "1", "--bind", "127.0.0.3", port, self.origin().address], [port])
        self.assertEqual(self.client(("127.0.0.3", port)).get().body, b"ok")
        with self.assertRaises(ConnectionRefusedError):
            self.client(("127.0.0.1", port))

    def test_classic_form_listens_everywhere(self):
        weir = self.plain(self.origin())
        self.assertEqual(self.client(("127.0.0.9", weir.port)).get().body, b"ok")

    def test_forms_of_addresses(self):
        """`:8080`, `8080`, `127.0.0.1:8080`, `[::1]:8080` mean what one expects."""
        server = self.origin(answering(OK))
        for form, host in ((":{}", "127.0.0.1"), ("{}", "127.0.0.1"),
                           ("127.0.0.1:{}", "127.0.0.1"), ("[::1]:{}", "::1")):
            port = self.free_port()
            self.start(["proxy", "--from", form.format(port), "--to", str(server.port),
                        "--workers", "1"], [port])
            self.assertEqual(self.client((host, port)).get().body, b"ok", form)
        for form in ("127.0.0.1:{}", "{}", ":{}", "localhost:{}", "http://127.0.0.1:{}"):
            port = self.free_port()
            self.start(["proxy", "--from", port, "--to", form.format(server.port)], [port])
            self.assertEqual(self.client(port).get().body, b"ok", form)
