"""Real servers as processes of their own: nginx, Python's http.server and Node's http."""

import os
import re
import signal
import subprocess

from .ports import free_port, is_listening
from .wait import seconds, wait_until

_NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/nginx.error.log;
events {{ worker_connections 4096; }}
http {{
  log_format reuse '$connection $connection_requests $request';
  access_log {directory}/nginx.access.log reuse;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  keepalive_requests 10000000;
  client_max_body_size 0;
  sendfile on;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{ root {directory}/www; }}
    location = /name {{ return 200 "{name}"; }}
{extra}
  }}
}}
"""

_NODE = r"""
const http = require('http');
const server = http.createServer((req, res) => {
  const url = new URL(req.url, 'http://x');
  if (url.pathname === '/echo') {
    res.writeHead(200, {'Content-Type': 'application/octet-stream'});
    req.pipe(res);
  } else if (url.pathname === '/trailers') {
    res.writeHead(200, {'Trailer': 'X-Sum', 'Transfer-Encoding': 'chunked'});
    let size = 0;
    req.on('data', (d) => { size += d.length; });
    req.on('end', () => {
      res.write('body');
      res.addTrailers({'X-Sum': String(size) + ':' + (req.trailers['x-in'] || '')});
      res.end();
    });
  } else if (url.pathname === '/hints') {
    res.writeEarlyHints({link: '</a.css>; rel=preload; as=style'});
    res.end('hinted');
  } else if (url.pathname === '/fields') {
    req.resume();
    req.on('end', () => res.end(JSON.stringify({
      method: req.method, url: req.url, version: req.httpVersion, raw: req.rawHeaders})));
  } else {
    req.resume();
    req.on('end', () => res.end('node ' + req.socket.remotePort));
  }
});
server.keepAliveTimeout = 60000;
server.listen(Number(process.argv[2]), '127.0.0.1');
"""


class Process:
    """A server process; stopped by its pid when the test ends."""

    def __init__(self, directory: str, name: str):
        self.port = free_port()
        self.directory = os.path.join(directory, f"{name}-{self.port}")
        os.makedirs(self.directory)
        self.process: subprocess.Popen | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def spawn(self, command: list[str], **options) -> None:
        with open(os.path.join(self.directory, "output"), "ab") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=output, **options)
        wait_until(lambda: self._check() and is_listening(self.port), 20,
                   f"{command[0]} to listen")

    def _check(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"ended with {self.process.returncode}: {self.output()}")
        return True

    def output(self) -> str:
        with open(os.path.join(self.directory, "output"), encoding="utf-8",
                  errors="replace") as file:
            return file.read()

    def kill(self) -> None:
        """As a crash: SIGKILL."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds(5))
            except subprocess.TimeoutExpired:
                self.kill()


class NginxServer(Process):
    """Serves files of `www`; /name answers with the name given."""

    def __init__(self, directory: str, name: str = "nginx", extra: str = ""):
        super().__init__(directory, "nginx")
        self.www = os.path.join(self.directory, "www")
        os.makedirs(self.www)
        os.chmod(self.directory, 0o755)
        self.write("index.html", b"index\n")
        self.conf = os.path.join(self.directory, "nginx.conf")
        with open(self.conf, "w", encoding="ascii") as file:
            file.write(_NGINX.format(directory=self.directory, port=self.port, name=name,
                                     extra=extra))
        self.start()

    def start(self) -> None:
        self.spawn(["nginx", "-p", self.directory, "-c", self.conf, "-e",
                    os.path.join(self.directory, "nginx.error.log")])

    def write(self, name: str, data: bytes) -> str:
        path = os.path.join(self.www, name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def uses(self) -> dict[int, int]:
        """Connection number to the number of requests served on it, from nginx's own log."""
        result: dict[int, int] = {}
        with open(os.path.join(self.directory, "nginx.access.log"), encoding="latin-1") as lines:
            for line in lines:
                if match := re.match(r"(\d+) (\d+) ", line):
                    result[int(match[1])] = max(result.get(int(match[1]), 0), int(match[2]))
        return result


class PythonServer(Process):
    """`python3 -m http.server`: HTTP/1.0, one request per connection, a backlog of five."""

    def __init__(self, directory: str):
        super().__init__(directory, "python")
        with open(os.path.join(self.directory, "file"), "wb") as file:
            file.write(b"from python\n")
        self.spawn(["python3", "-m", "http.server", str(self.port), "--bind", "127.0.0.1"],
                   cwd=self.directory)


class NodeServer(Process):
    """Node's http: /echo, /trailers, /hints, /fields and a greeting elsewhere."""

    def __init__(self, directory: str):
        super().__init__(directory, "node")
        script = os.path.join(self.directory, "server.js")
        with open(script, "w", encoding="ascii") as file:
            file.write(_NODE)
        self.spawn(["node", script, str(self.port)])
