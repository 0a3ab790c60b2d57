"""Protocols that weir does not know, through its TCP mode: PostgreSQL, Redis, and TLS that is not
terminated, sorted by the server name in the ClientHello; with the programs people use for them."""

import glob
import hashlib
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess

from harness import Case, NginxServer, config, curl, seconds, wait_until
from harness.servers import Process


def run(command: list[str], expect: int | None = 0, **options) -> subprocess.CompletedProcess:
    """A client program to its end; with `expect` None it may end as it likes."""
    result = subprocess.run(command, capture_output=True, timeout=seconds(60), check=False,
                            **options)
    if expect is not None and result.returncode != expect:
        raise AssertionError(f"{command} ended with {result.returncode}: {result.stdout[-2000:]!r}"
                             f" {result.stderr[-2000:]!r}")
    return result


# --- PostgreSQL ---------------------------------------------------------------------------------


class PostgresServer(Process):
    """A cluster of its own. It refuses to run as root and becomes another user then."""

    def __init__(self, directory: str):
        super().__init__(directory, "postgres")
        self.data = os.path.join(self.directory, "data")
        as_user = []
        if os.geteuid() == 0:
            os.chmod(directory, 0o711)
            shutil.chown(self.directory, "postgres", "postgres")
            as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        programs = max(glob.glob("/usr/lib/postgresql/*/bin"))
        run([*as_user, f"{programs}/initdb", "-D", self.data, "--username=weir", "--auth=trust",
             "--no-sync", "--locale=C", "--encoding=UTF8"], cwd="/")
        self.spawn([*as_user, f"{programs}/postgres", "-D", self.data, "-p", str(self.port),
                    "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
                    "-c", "fsync=off", "-c", "shared_buffers=32MB"], cwd="/")
        wait_until(lambda: psql(self.port, "SELECT 1", expect=None).returncode == 0, 20,
                   "PostgreSQL to serve")

    def stop(self) -> None:
        """As a fast shutdown: without waiting for its clients."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(seconds(20))


def psql_command(port: int, *more: str) -> list[str]:
    return ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p",
            str(port), "-U", "weir", *more, "postgres"]


def psql(port: int, text: str, expect: int | None = 0, **options):
    return run(psql_command(port, "-c", text), expect, **options)


class Postgres(Case):

    def setUp(self):
        super().setUp()
        self.server = self._process(PostgresServer, {})
        self.proxy = self.plain(self.server, options=["--mode", "tcp"])

    def ask(self, text: str) -> str:
        return psql(self.proxy.port, text).stdout.decode().strip()

    def pgbench(self, *options: str) -> str:
        return run(["pgbench", "-h", "127.0.0.1", "-p", str(self.proxy.port), "-U", "weir",
                    *options, "postgres"]).stdout.decode()

    def test_pgbench(self):
        """Its tables are loaded and used through weir, and the books balance."""
        self.pgbench("--initialize", "--scale=1", "--quiet")
        for options in ([], ["--select-only", "--protocol=prepared"], ["--connect"]):
            report = self.pgbench("--no-vacuum", "--client=8", "--transactions=50", *options)
            self.assertIn("transactions actually processed: 400/400", report)
            self.assertIn("number of failed transactions: 0 ", report)
        self.assertEqual(self.ask("SELECT count(*) FROM pgbench_history"), "800")
        sums = {self.ask(f"SELECT sum({column}) FROM pgbench_{table}")
                for table, column in (("accounts", "abalance"), ("branches", "bbalance"),
                                      ("tellers", "tbalance"), ("history", "delta"))}
        self.assertEqual(len(sums), 1, sums)

    def test_copy_in_and_out(self):
        """32 MiB of rows up and down again, byte for byte."""
        source = random.Random(7)
        rows = b"".join(b"%d\t%s\n" % (number, source.randbytes(2048).hex().encode())
                        for number in range(8192))
        self.ask("CREATE TABLE rows (number int, text text)")
        run(psql_command(self.proxy.port, "-c", "COPY rows FROM STDIN"), input=rows)
        back = psql(self.proxy.port, "COPY (SELECT * FROM rows ORDER BY number) TO STDOUT").stdout
        self.assertEqual(hashlib.sha256(back).digest(), hashlib.sha256(rows).digest())

    def test_cancel(self):
        """An interrupted psql cancels its query over a second connection that it just drops."""
        with subprocess.Popen(psql_command(self.proxy.port, "-c", "SELECT pg_sleep(600)"),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as sleeper:
            wait_until(lambda: psql(self.server.port, "SELECT 1 FROM pg_stat_activity WHERE "
                                    "query = 'SELECT pg_sleep(600)'").stdout.strip(), 20)
            sleeper.send_signal(signal.SIGINT)
            _, error = sleeper.communicate(timeout=seconds(20))
        self.assertIn(b"canceling statement due to user request", error)

    def test_client_that_dies(self):
        """The server notices, and no connection stays."""
        with subprocess.Popen(psql_command(self.proxy.port), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as client:
            client.stdin.write(b"SELECT 'here';\n")
            client.stdin.flush()
            self.assertEqual(client.stdout.readline(), b"here\n")
            client.kill()
        wait_until(lambda: psql(self.server.port, "SELECT count(*) FROM pg_stat_activity WHERE "
                                "backend_type = 'client backend'").stdout.strip() == b"1", 20)


# --- Redis --------------------------------------------------------------------------------------


class RedisServer(Process):

    def __init__(self, directory: str):
        super().__init__(directory, "redis")
        self.spawn(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                    "--appendonly", "no", "--dir", self.directory])


class Redis(Case):

    def setUp(self):
        super().setUp()
        self.server = self._process(RedisServer, {})
        self.proxy = self.plain(self.server, options=["--mode", "tcp"])

    def redis(self, *words: str, **options) -> bytes:
        return run(["redis-cli", "-p", str(self.proxy.port), *words], **options).stdout.strip()

    def benchmark(self, tests: str, *options: str) -> None:
        report = run(["redis-benchmark", "-p", str(self.proxy.port), "-c", "50", "--csv",
                      "-t", tests, *options])
        names = re.findall(rb'^"([A-Z]+)', report.stdout, re.MULTILINE)
        self.assertEqual(b",".join(names).decode().lower(), tests, report.stdout + report.stderr)
        self.assertNotIn(b"ERR", report.stdout + report.stderr)

    def test_redis_benchmark(self):
        self.benchmark("set,get,incr,lpush", "-n", "5000")
        self.benchmark("set,get,incr,lpush", "-n", "20000", "-P", "16")
        self.benchmark("set,get", "-n", "2000", "-d", "65536")
        self.benchmark("incr", "-n", "500", "-k", "0")  # A connection for every request.
        self.assertEqual(self.redis("GET", "counter:__rand_int__"), b"25500")
        self.assertEqual(self.redis("LLEN", "mylist"), b"25000")

    def test_large_value(self):
        value = random.Random(8).randbytes(8 << 20)
        self.redis("-x", "SET", "large", input=value)
        self.assertEqual(int(self.redis("STRLEN", "large")), len(value))
        client = self.client(self.proxy)
        client.send(b"GET large\r\n")
        self.assertEqual(client.reader.until(b"\r\n"), b"$%d\r\n" % len(value))
        self.assertEqual(client.reader.exact(len(value)), value)

    def test_messages_are_pushed(self):
        """A subscriber that says nothing hears what another one publishes."""
        listener = self.client(self.proxy)
        listener.send(b"SUBSCRIBE news\r\n")
        self.assertEqual(listener.reader.until(b":1\r\n"),
                         b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n")
        for text in ("one", "two"):
            self.assertEqual(self.redis("PUBLISH", "news", text), b"1")
            self.assertTrue(listener.reader.until(text.encode() + b"\r\n").startswith(
                b"*3\r\n$7\r\nmessage\r\n"))

    def test_waiting_client_that_leaves(self):
        """A client that closes while the server owes it an answer is not kept at the server."""
        waiting = self.client(self.proxy)
        waiting.send(b"BLPOP nothing 0\r\n")
        wait_until(lambda: b"cmd=blpop" in self.redis("CLIENT", "LIST"), 10)
        waiting.close()
        wait_until(lambda: b"cmd=blpop" not in self.redis("CLIENT", "LIST"), 10)

    def test_server_that_ends(self):
        client = self.client(self.proxy)
        client.send(b"PING\r\n")
        self.assertEqual(client.reader.exact(7), b"+PONG\r\n")
        self.server.stop()
        self.assertTrue(client.gone())


# --- TLS by server name -------------------------------------------------------------------------


class TlsByName(Case):

    def setUp(self):
        super().setUp()
        self.certificates = {name: self.certificate(name) for name in ("one.test", "*.two.test")}
        self.one, self.two = (self.tls_server(name) for name in self.certificates)
        port = self.free_port()
        self.proxy = self.run_config(config(
            listeners={"tls": {"bind": f"127.0.0.1:{port}", "mode": "tcp"}},
            routes=[{"sni": ["one.test"], "backend": "one"},
                    {"sni": ["*.two.test"], "backend": "two"}],
            backends={"one": {"servers": [self.one.tls_address]},
                      "two": {"servers": [self.two.tls_address]}}), [port])

    def certificate(self, name: str) -> str:
        """A self-signed one with its key; the path without its extension."""
        path = self.path(name.removeprefix("*."))
        run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-keyout", f"{path}.key", "-out", f"{path}.crt", "-days", "2",
             "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"])
        return path

    def tls_server(self, name: str) -> NginxServer:
        port, path = self.free_port(), self.certificates[name]
        os.chmod(self.directory, 0o711)
        server = self.nginx(name=name, extra=f"""
            listen 127.0.0.1:{port} ssl http2;
            ssl_protocols TLSv1.2 TLSv1.3;
            ssl_certificate {path}.crt;
            ssl_certificate_key {path}.key;""")
        server.tls_address = f"127.0.0.1:{port}"
        return server

    def s_client(self, name: str, authority: str, *options: str, expect: int | None = 0):
        """What comes back to a request in TLS for `name`, verified against one certificate."""
        request = f"GET /name HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"
        return run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.proxy.port}",
                    "-servername", name, "-CAfile", f"{self.certificates[authority]}.crt",
                    "-verify_hostname", name, "-verify_return_error", "-quiet", *options],
                   expect, input=request.encode())

    def curl(self, name: str, authority: str, path: str, *options: str) -> bytes:
        return curl("--connect-to", f"::127.0.0.1:{self.proxy.port}", "--cacert",
                    f"{self.certificates[authority]}.crt", *options, f"https://{name}{path}").stdout

    def test_each_name_reaches_its_server(self):
        for name, authority in (("one.test", "one.test"), ("a.two.test", "*.two.test"),
                                ("B.Two.Test", "*.two.test")):
            for version in ("-tls1_2", "-tls1_3"):
                answer = self.s_client(name, authority, version).stdout
                self.assertTrue(answer.endswith(authority.encode()), (name, version, answer))

    def test_certificate_is_the_servers(self):
        """One's name with two's certificate as the authority: nobody in between could sign."""
        result = self.s_client("one.test", "*.two.test", expect=None)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(b"certificate verify failed", result.stderr)

    def test_names_without_a_route(self):
        """Closed; no server has answered with a certificate."""
        for options in (["-servername", "three.test"], ["-servername", "two.test"],
                        ["-servername", "a.one.test"], ["-noservername"]):
            result = run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.proxy.port}",
                          *options], None, stdin=subprocess.DEVNULL)
            self.assertNotEqual(result.returncode, 0, options)
            self.assertIn(b"no peer certificate available", result.stdout, options)

    def test_http2_within(self):
        """What the client and the server agree upon is theirs."""
        result = self.curl("one.test", "one.test", "/name", "--http2", "-w", " %{http_version}")
        self.assertEqual(result, b"one.test 2")

    def test_files_within(self):
        data = random.Random(9).randbytes(20_000_000)
        self.two.write("file", data)
        for version in ("--http1.1", "--http2"):
            self.assertEqual(
                hashlib.sha256(self.curl("x.two.test", "*.two.test", "/file", version)).digest(),
                hashlib.sha256(data).digest())

    def test_hello_byte_by_byte(self):
        """The name is found in a ClientHello that comes in as many segments as it has bytes."""
        context = ssl.create_default_context(cafile=f"{self.certificates['one.test']}.crt")
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="one.test")
        client = self.client(self.proxy)
        self.until_done(tls.do_handshake, client.sock, incoming, outgoing, piece=1)
        tls.write(b"GET /name HTTP/1.0\r\nHost: one.test\r\n\r\n")
        answer = self.until_done(lambda: tls.read(65536), client.sock, incoming, outgoing)
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer)

    def until_done(self, step, sock: socket.socket, incoming: ssl.MemoryBIO,
                   outgoing: ssl.MemoryBIO, piece: int = 1 << 20):
        """Repeats `step`, with the transport carried by hand in pieces of that many bytes."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                data = outgoing.read()
                for at in range(0, len(data), piece):
                    sock.sendall(data[at:at + piece])
                incoming.write(sock.recv(65536))
