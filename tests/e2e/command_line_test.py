"""Every bad command line: one clear line that says what to do, the exit code, no stack trace."""

import json
import pathlib
import re
import socket
import subprocess

from harness import BINARY, Case, config, seconds

REFUSED, USAGE, BAD_FILE = 1, 2, 78
HERE = pathlib.Path(__file__).resolve().parent


class CommandLine(Case):

    def run_weir(self, *args, prefix=()):
        """Exit code, standard output, standard error of a weir that ends by itself."""
        result = subprocess.run([*prefix, BINARY, *(str(arg) for arg in args)],
                                stdin=subprocess.DEVNULL, capture_output=True, check=False,
                                text=True, timeout=seconds(20), cwd=self.directory)
        self.assertNotRegex(result.stderr + result.stdout,
                            r"terminate called|what\(\)|std::|#0|Sanitizer|Aborted|\.cpp:\d+")
        return result.returncode, result.stdout, result.stderr

    def check(self, args, code, words=".", lines=1):
        with self.subTest(args=args):
            status, out, err = self.run_weir(*args)
            self.assertEqual(status, code, out + err)
            self.assertEqual(out, "")
            self.assertEqual(len(err.strip().splitlines()), lines, err)
            self.assertTrue(err.endswith("\n"))
            self.assertRegex(err.lower(), words)

    def file(self, text):
        path = self.path("bad.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path


class BadInput(CommandLine):

    def test_ports(self):
        for port in ("0", "99999", "65536", "-1", "80x", "x", "", " 8080", "8080 ", "+8080",
                     "08080x", "1e3", "99999999999999999999", "8080.0"):
            self.check([port, "9001"], USAGE)
        self.check(["99999", "9001"], USAGE, "port 99999|99999.*65535")
        self.check(["0", "9001"], USAGE, "port 0|1 to 65535")

    def test_servers(self):
        port = self.free_port()
        for server in ("0", "99999", "127.0.0.1:0", "127.0.0.1:99999", "127.0.0.1:", "1.2.3:80",
                       "256.1.1.1:80", "1.2.3.4.5:80", ":", "[::1]", "[::1]:", "[::1:80", "::1:80",
                       "[zz]:80", "127.0.0.1:80:90", "http://", "unix:", "unix:relative",
                       "unix:/" + "x" * 200, "127.0.0.1:80 weight=2", "", "127.0.0.1:8o"):
            self.check([port, server], USAGE)

    def test_no_server(self):
        self.check([self.free_port()], USAGE, "server")

    def test_duplicate_server(self):
        for servers in (["9001", "9001"], ["9001", "127.0.0.1:9001"], ["9001", "9002", "9001"],
                        ["[::1]:9001", "[0:0::1]:9001"], ["unix:/tmp/a", "unix:/tmp/a"],
                        ["9001", "localhost:9001"]):
            self.check([self.free_port(), *servers], USAGE, "twice|duplicate")

    def test_workers(self):
        for workers in ("0", "-1", "x", "", "257", "1000000", "99999999999999", "1.5", "2x"):
            self.check(["-N", workers, self.free_port(), "9001"], USAGE)
        self.check(["-N", "0", self.free_port(), "9001"], USAGE, "-n|worker")

    def test_other_numbers(self):
        for option in ("-R", "--server-limit"):
            for value in ("x", "-1", "", "1.5", "99999999999999999999"):
                self.check([option, value, self.free_port(), "9001"], USAGE)

    def test_options(self):
        port = self.free_port()
        self.check(["--unknown", port, "9001"], USAGE, "--unknown")
        self.check(["-Z", port, "9001"], USAGE, "-z")
        self.check(["--balance", "fastest", port, "9001"], USAGE, "fastest")
        self.check(["--balance", port], USAGE)
        self.check(["-N"], USAGE)
        self.check(["--bind", "nonsense", port, "9001"], USAGE, "nonsense")
        self.check(["--bind", "300.1.1.1", port, "9001"], USAGE)
        self.check(["proxy", "--from", port], USAGE, "--to")
        self.check(["proxy", "--to", "9001"], USAGE, "--from")
        self.check(["proxy", "--from", "99999", "--to", "9001"], USAGE, "99999")
        self.check(["proxy", "--from", port, "--to", "9001", "--to", "9001"], USAGE, "twice|dupl")
        self.check(["proxy", "--from", port, "--to", "9001", "extra"], USAGE)
        proxy = ["proxy", "--from", port, "--to", "9001"]
        self.check([*proxy, "--mode", "udp"], USAGE, "unknown --mode `udp`; choose .*http, tcp")
        self.check([*proxy, "--mode", "tcp", "--mode", "http"], USAGE, "twice")
        self.check([*proxy, "--mode", "tcp", "--balance", "uri_hash"], USAGE, "ip_hash")
        self.check(["--mode", "tcp", port, "9001"], USAGE, "weir proxy --mode tcp")
        self.check([*proxy, "--server-limit", "3"], USAGE, "weir port server.*server_limit in")
        self.check([port, "9001", "--mode", "tcp"], USAGE, "weir proxy --mode tcp")
        self.check([port, "9001", "--send-proxy"], USAGE, "configuration file.*send_proxy = 1")
        self.check([*proxy, "--trigger", "poll"], USAGE, "choose one of edge, level, oneshot")
        self.check(["--trigger", "", port, "9001"], USAGE, "--trigger is empty")
        self.check(["version", "extra"], USAGE)
        self.check(["nonsense"], USAGE)
        self.check(["rum", "-c", "x.toml"], USAGE, "`rum` is neither.* did you mean `run`")
        self.check(["demo", "--workers", "0"], USAGE, "--workers 0")

    def test_nothing_at_all(self):
        status, out, err = self.run_weir()
        self.assertEqual(status, USAGE)
        self.assertIn("weir", err + out)

    def test_hostile_arguments(self):
        """Control bytes of an argument do not reach the terminal."""
        for text in ("\x1b[31mred", "a\nb", "\x07", "\u202e"):
            status, _, err = self.run_weir(text, "9001")
            self.assertEqual(status, USAGE)
            self.assertNotIn("\x1b", err)
            self.assertNotIn("\x07", err)
            self.assertEqual(len(err.strip().splitlines()), 1)


class TakenPorts(CommandLine):

    def test_by_another_program(self):
        for reuse in (False, True):
            with socket.socket() as other:
                if reuse:
                    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                other.bind(("127.0.0.1", 0))
                other.listen()
                port = other.getsockname()[1]
                self.check([port, "9001"], REFUSED, f"{port}.*in use|{port}.*taken")
                self.check(["--bind", "127.0.0.1", port, "9001"], REFUSED, str(port))

    def test_by_another_weir(self):
        """SO_REUSEPORT must not let a second one in: it would steal half of the connections."""
        first = self.classic(self.origin(), workers=2)
        for workers in (1, 2, 4):
            self.check(["-N", workers, first.port, "9001"], REFUSED, str(first.port))
        self.check(["--bind", "127.0.0.1", first.port, "9001"], REFUSED, str(first.port))
        client = self.client(first)
        for _ in range(20):
            self.assertEqual(self.client(first).get().body, b"ok")
        self.assertEqual(client.get().body, b"ok")

    def test_free_again_after_the_end(self):
        """A port whose weir has just ended, with connections behind it, can be used at once."""
        server = self.origin()
        weir = self.classic(server, workers=2)
        for _ in range(20):
            self.client(weir).get(fields="Connection: close\r\n")
        weir.terminate()
        again = self.start(["-N", "2", weir.port, server.address], [weir.port])
        self.assertEqual(self.client(again).get().body, b"ok")

    def test_foreign_address(self):
        self.check(["--bind", "192.0.2.7", self.free_port(), "9001"], REFUSED, "192.0.2.7")

    def test_a_directory(self):
        self.check(["proxy", "--from", f"unix:{self.directory}", "--to", "9001"], REFUSED,
                   "it is a directory")

    def test_admin_port(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            admin = other.getsockname()[1]
            path = self.file(config(self.free_port(), [9001], admin=f"127.0.0.1:{admin}"))
            status, _, err = self.run_weir("run", "-c", path)
            self.assertEqual(status, REFUSED)
            self.assertIn(str(admin), err)


class Help(CommandLine):

    def test_help(self):
        for args in (["--help"], ["-h"]):
            status, out, err = self.run_weir(*args)
            self.assertEqual((status, err), (0, ""))
            for word in ("weir 8080", "proxy", "run", "validate", "demo", "version"):
                self.assertIn(word, out)
        for verb in ("proxy", "run", "validate", "demo"):
            status, out, err = self.run_weir(verb, "--help")
            self.assertEqual((status, err), (0, ""), verb)
            self.assertIn(f"weir {verb}", out)

    def test_output_that_cannot_be_written(self):
        for args in (["--help"], ["--version"], ["version"], ["help", "run"]):
            with open("/dev/full", "w", encoding="ascii") as full:
                done = subprocess.run([BINARY, *args], stdout=full, stderr=subprocess.PIPE,
                                      check=False)
            self.assertEqual(done.returncode, REFUSED, args)
            self.assertIn(b"cannot write to standard output", done.stderr)

    def test_version(self):
        for args in (["version"], ["--version"]):
            status, out, _ = self.run_weir(*args)
            self.assertEqual(status, 0)
            self.assertTrue(re.search(r"weir \d+\.\d+", out), out)


GOOD = """[listener.web]
bind = "127.0.0.1:{port}"
[[route]]
backend = "app"
[backend.app]
servers = ["127.0.0.1:9001"]
"""


class Files(CommandLine):

    def test_validate_good(self):
        path = self.file(GOOD.format(port=8080))
        for args in (["validate", "-c", path], ["-t", "-c", path]):
            status, out, err = self.run_weir(*args)
            self.assertEqual(status, 0, out + err)

    def test_examples(self):
        examples = list((HERE / "../../examples").glob("*.toml"))
        self.assertGreaterEqual(len(examples), 3)
        for path in examples:
            with self.subTest(path=path.name):
                status, out, err = self.run_weir("validate", "--json", "-c", path)
                self.assertEqual(status, 0, out + err)
                # How many files may be open here is not the example's.
                said = [finding["message"] for finding in json.loads(out)]
                self.assertEqual([one for one in said if "open files" not in one], [])

    def test_tcp_listeners(self):
        """What is for HTTP is told with its place, and what would help."""
        path = self.file("""[listener.db]
bind = "127.0.0.1:5432"
mode = "tcp"
via = true
[listener.web]
bind = "127.0.0.1:8080"
backend = "app"
[[route]]
listener = "db"
backend = "app"
[[route]]
listener = "web"
upgrade = "h2c"
backend = "app"
[backend.app]
servers = ["my_app:9001"]
send_proxy = 3
tcp_keepalive = "500ms"
""")
        status, out, _ = self.run_weir("validate", "--json", "-c", path)
        self.assertEqual(status, REFUSED)
        said = {finding["line"]: finding["message"] + "; " + finding["label"]
                for finding in json.loads(out)}
        for line, words in ((1, "add `backend"), (4, "remove it"), (7, "write it in a [[route]]"),
                            (9, "add `sni`"), (13, "smuggle"), (17, "use 1 to 2"),
                            (18, "whole seconds")):
            self.assertIn(words, said.pop(line))
        self.assertEqual(said, {})

    def test_validate_needs_no_port(self):
        """Checking the file of a running weir does not disturb it."""
        weir = self.weir(self.origin())
        self.assertEqual(self.run_weir("validate", "-c", weir.config_path)[0], 0)

    def test_every_error_in_one_run(self):
        path = self.file("""[listener.web]
bind = 127.0.0.1:8080
maxcon = 10
[listener.two]
bind = "127.0.0.1:99999"
client_head_timeout = 5
[[route]]
backend = "missing"
[backend.app]
serverz = ["127.0.0.1:9001"]
""")
        for args, code in ((["validate", "-c", path], REFUSED), (["-t", "-c", path], REFUSED),
                           (["run", "-c", path], BAD_FILE)):
            status, out, err = self.run_weir(*args)
            text = out + err
            self.assertEqual(status, code, text)
            self.assertIn(f"{path}:2:", text)
            self.assertIn("^", text)
            self.assertIn("bind = 127.0.0.1:8080", text)

    def test_all_errors_of_a_readable_file(self):
        path = self.file("""[listener.web]
bind = "127.0.0.1:8080"
maxcon = 10
client_head_timeout = 5
[listener.two]
bind = "127.0.0.1:99999"
[[route]]
backend = "missing"
[backend.app]
servers = ["127.0.0.1:9001", "127.0.0.1:9001"]
balance = "leastconn"
""")
        status, out, err = self.run_weir("validate", "-c", path)
        self.assertEqual(status, REFUSED)
        for line in (3, 4, 6, 8, 10, 11):
            self.assertIn(f"{path}:{line}:", out + err)
        self.assertIn("max_connections", out + err)
        self.assertIn("least_connections", out + err)

    def test_json(self):
        path = self.file("[listener.web]\nbind = \"x\"\nmaxcon = 1\n")
        status, out, _ = self.run_weir("validate", "--json", "-c", path)
        self.assertEqual(status, REFUSED)
        findings = json.loads(out)
        self.assertGreaterEqual(len(findings), 2)
        for finding in findings:
            self.assertLessEqual({"severity", "code", "message", "file", "line", "column"},
                                 set(finding))
        status, out, _ = self.run_weir("validate", "--json", "-c",
                                       self.file(GOOD.format(port=8080)))
        self.assertEqual((status, json.loads(out)), (0, []))

    def test_unreadable_files(self):
        for path in ("/nonexistent/weir.toml", self.directory):
            status, _, err = self.run_weir("run", "-c", path)
            self.assertEqual(status, BAD_FILE)
            self.assertIn(path, err)
            status, out, err = self.run_weir("validate", "-c", path)
            self.assertEqual(status, REFUSED)
            self.assertIn(path, out + err)

    def test_no_file_anywhere(self):
        """Without -c: ./weir.toml, then /etc/weir/weir.toml; neither is there."""
        status, _, err = self.run_weir("run")
        self.assertIn(status, (REFUSED, BAD_FILE))
        self.assertIn("looked for weir.toml and /etc/weir/weir.toml", err)
        self.assertIn("-c FILE", err)
        self.assertNotIn("-c FILE", self.run_weir("run", "-c", "/nonexistent/weir.toml")[2])

    def test_validate_looks_for_the_user(self):
        """What `run` would refuse is not valid, in the same words."""
        for keys, word in (('user = "no-such-user"', "no user `no-such-user`"),
                           ('user = "root"\ngroup = "no-such"', "no group `no-such`")):
            path = self.file(f"[runtime]\n{keys}\n" + GOOD.format(port=8080))
            status, _, err = self.run_weir("validate", "-c", path)
            self.assertEqual(status, REFUSED)
            self.assertIn(word, err)
            self.assertIn("configuration is NOT valid", err)

    def test_validate_looks_for_room(self):
        """What the start would refuse for the limit of open files, in the same words."""
        path = self.file(GOOD.format(port=self.free_port())
                         .replace("[[route]]", "max_connections = 9000\n[[route]]"))
        prefix = ("prlimit", "--nofile=1000:1000")
        status, _, err = self.run_weir("run", "-c", path, prefix=prefix)
        self.assertEqual(status, REFUSED)
        refusal = err.strip().splitlines()[-1].removeprefix("weir: ")
        self.assertRegex(refusal, "max_connections = 9000 does not fit: the limit of 1000 open")
        for args, code in (((), 0), (("--strict",), REFUSED)):
            status, out, _ = self.run_weir("validate", "--json", *args, "-c", path, prefix=prefix)
            self.assertEqual(status, code)
            found, = json.loads(out)
            self.assertEqual((found["severity"], found["code"], found["message"]),
                             ("warning", "W008", refusal))

    def test_local_file_is_found(self):
        with open(self.path("weir.toml"), "w", encoding="ascii") as file:
            file.write(GOOD.format(port=8080))
        self.assertEqual(self.run_weir("validate")[0], 0)

    def test_files_that_are_no_text(self):
        for data in (b"\x00\x01\x02", b"\xff\xfe", b"", b"\x1b[31m = 1", b"[listener.web]\n" * 2,
                     b"[" * 100_000, b"a = [" * 50_000, b"a.b.c." * 20_000 + b" = 1", b"[*.x]\n",
                     b"[,", b"[\n", b"[[[", b"[.a]", b"[\xe2\x80\xa8", b"a = 1979-", b"a = \"",
                     b"a = {", b"[[a", b"a = 0x", b"= 1", b"a.=1"):
            path = self.path("odd.toml")
            with open(path, "wb") as file:
                file.write(data)
            status, out, err = self.run_weir("validate", "-c", path)
            self.assertEqual(status, REFUSED, data[:20])
            self.assertNotIn("\x1b[31m =", out + err)
