"""The base of every test: what it starts is ended, whatever happened, in the right order."""

import os
import shutil
import socket
import tempfile
import unittest

from . import servers
from .client import Client
from .config import config
from .origin import Origin
from .ports import free_port
from .wait import wait_until
from .weir import Weir


class Case(unittest.TestCase):
    """Clients are reset first, then the scripted servers' connections, then weir is asked to stop:
    with nothing left to do it must exit at once, with 0, whatever the test did to it."""

    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="weir-e2e-")
        self.weirs: list[Weir] = []
        self.origins: list[Origin] = []
        self.clients: list[Client] = []
        self.processes: list[servers.Process] = []
        self.log = ""  # What the weirs printed, for the report of a failure.
        self.addCleanup(self._end_everything)

    def _end_everything(self) -> None:
        problems = []
        for client in self.clients:
            client.reset()
        for origin in self.origins:
            origin.reset_connections()
        for weir in self.weirs:
            try:
                if weir.process:
                    weir.terminate()
            except BaseException as error:  # noqa: BLE001, nothing may stop the cleaning
                problems.append(str(error))
            weir.kill()
            self.log += f"--- weir {' '.join(weir.args)}\n{weir.output[-6000:]}"
        for origin in self.origins:
            origin.kill()
            problems += [f"scripted server: {error!r}" for error in origin.errors]
        for process in self.processes:
            process.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
        if problems:
            raise AssertionError("\n".join(problems))

    def assert_metric(self, weir: Weir, expected: float, name: str, **labels: str) -> None:
        """weir counts what it did after the peer has seen it: the metric may take a moment."""
        seen = []
        def agrees():
            seen[:] = [weir.metric(name, **labels)]
            return seen == [expected]
        try:
            wait_until(agrees, 5)
        except AssertionError:
            self.assertEqual(seen[0], expected, f"{name} {labels or ''}")

    # What tests start.

    def path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def origin(self, script=None, **options) -> Origin:
        origin = Origin(script, **options)
        self.origins.append(origin)
        return origin

    def client(self, target, **options) -> Client:
        """To a weir, a port, a (host, port) pair or a unix path."""
        client = Client(target.port if isinstance(target, Weir) else target, **options)
        self.clients.append(client)
        return client

    def nginx(self, **options) -> servers.NginxServer:
        return self._process(servers.NginxServer, options)

    def python_server(self) -> servers.PythonServer:
        return self._process(servers.PythonServer, {})

    def node(self) -> servers.NodeServer:
        return self._process(servers.NodeServer, {})

    def _process(self, kind, options):
        process = kind(self.directory, **options)
        self.processes.append(process)
        return process

    def start(self, args: list, ports: list[int] = (), ready: bool = True, **options) -> Weir:
        """weir with these arguments."""
        weir = Weir(self.directory, args, ports, name=f"weir{len(self.weirs)}", **options)
        self.weirs.append(weir)
        return weir.start(ready)

    def classic(self, *server_list, workers: int = 1, options: list = (), **more) -> Weir:
        """`weir -N workers PORT SERVER...` on a fresh port."""
        port = free_port()
        addresses = [getattr(server, "address", server) for server in server_list]
        return self.start(["-N", workers, *options, port, *addresses], [port], **more)

    def plain(self, *server_list, workers: int = 1, options: list = (), **more) -> Weir:
        """`weir proxy`, the servers in turn: they get the requests of the test and nothing else."""
        port = free_port()
        servers = [item for server in server_list
                   for item in ("--to", getattr(server, "address", server))]
        return self.start(["proxy", "-N", workers, "--balance", "round_robin", *options,
                           "--from", f"*:{port}", *servers], [port], **more)

    def weir(self, *server_list, prefix: list = (), **options) -> Weir:
        """`weir run` with a generated file: listener `web`, backend `app`, admin on."""
        port, admin = free_port(), free_port()
        options.setdefault("listen", port)
        text = config(servers=list(server_list), admin=f"127.0.0.1:{admin}", **options)
        weir = self.run_config(text, [port], admin_port=admin, prefix=prefix)
        weir.options = {"admin": f"127.0.0.1:{admin}", **options}
        return weir

    def run_config(self, text: str, ports: list[int], **options) -> Weir:
        """`weir run -c FILE` with this text."""
        path = self.path(f"weir{len(self.weirs)}.toml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        ready = options.pop("ready", True)
        weir = Weir(self.directory, ["run", "-c", path], ports, name=f"weir{len(self.weirs)}",
                    **options)
        weir.config_path = path
        self.weirs.append(weir)
        return weir.start(ready)

    def free_port(self) -> int:
        return free_port()

    def deaf_port(self) -> int:
        """A port whose accept queue is full: a SYN gets no answer."""
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for sock in (listener, *(socket.socket() for _ in range(3))):
            self.addCleanup(sock.close)
            if sock is not listener:
                sock.setblocking(False)
                sock.connect_ex(listener.getsockname())
        return listener.getsockname()[1]
