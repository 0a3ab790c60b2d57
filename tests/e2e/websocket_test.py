"""WebSockets through weir, between a real server and a real client (Node's `ws`). No configuration
is needed for them."""

import base64
import hashlib
import json
import os
import socket
import subprocess

from harness import Case, SANITIZED, config, seconds, wait_until
from harness.failure import ms
from harness.message import Reader
from harness.servers import Process

# Where Debian puts the packages of Node.
ENVIRONMENT = {**os.environ, "NODE_PATH": "/usr/share/nodejs"}
SOCKETS, MESSAGE_BYTES, ROUNDS = 1000, 64 << 10, 2
MEMORY_MAX = 256 << 20

# Echoes what it is sent. /greet speaks first, /refuse is answered with 401, /ping pings for ever,
# /leave closes at the first message. Closes are written down: code, reason.
_SERVER = r"""
const http = require('http'), {WebSocketServer} = require('ws');
const server = http.createServer((request, response) => response.end('plain'));
const deflate = process.argv[2] === 'deflate';
const sockets = new WebSocketServer({noServer: true, perMessageDeflate: deflate});
server.on('upgrade', (request, socket, head) => {
  if (request.url === '/refuse') {
    socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno');
    return;
  }
  sockets.handleUpgrade(request, socket, head, (peer) => {
    if (request.url === '/greet') peer.send('hello');
    if (request.url === '/ping') {
      const timer = setInterval(() => peer.ping(), 100);
      peer.on('close', () => clearInterval(timer));
    }
    peer.on('message', (data, binary) => {
      if (request.url === '/leave') peer.close(4000, 'enough');
      else peer.send(data, {binary});
    });
    peer.on('close', (code, reason) => console.log(`closed ${code} ${reason}`));
  });
});
server.listen({port: Number(process.argv[1]), host: '127.0.0.1', backlog: 4096});
"""

# Opens all sockets; then each sends its messages and checks what comes back; then all close. Says
# what it has seen as one JSON object, after "open" as soon as all are.
_CLIENT = r"""
const {WebSocket} = require('ws'), crypto = require('crypto');
const [url, count, rounds, bytes] = [process.argv[1], ...process.argv.slice(2).map(Number)];
const noise = crypto.randomBytes(2 * bytes);
const seen = {open: 0, echoed: 0, different: 0, closes: {}, errors: []};
const sockets = [];
function message(socket, round) {
  const at = (socket.number * 7 + round * 131) % bytes;
  return noise.subarray(at, at + bytes);
}
function exchange() {
  console.log('open');
  for (const socket of sockets) socket.send(message(socket, 0));
}
function received(socket, data) {
  seen.echoed += 1;
  if (!data.equals(message(socket, socket.round))) seen.different += 1;
  socket.round += 1;
  if (socket.round < rounds) socket.send(message(socket, socket.round));
  else if (seen.echoed === count * rounds) for (const one of sockets) one.close(1000, 'done');
}
function closed(code) {
  seen.closes[code] = (seen.closes[code] || 0) + 1;
  seen.open -= 1;
  if (seen.open === 0) console.log(JSON.stringify(seen));
}
for (let number = 0; number < count; ++number) {
  const socket = new WebSocket(url);
  Object.assign(socket, {number, round: 0});
  socket.on('open', () => { seen.open += 1; if (seen.open === count) exchange(); });
  socket.on('message', (data) => received(socket, data));
  socket.on('close', closed);
  socket.on('error', (error) => seen.errors.push(String(error)));
  sockets.push(socket);
}
"""

# One socket, led by lines on standard input; what happens to it is written down line by line.
_PUPPET = r"""
const {WebSocket} = require('ws');
const socket = new WebSocket(process.argv[1]);
let pings = 0;
socket.on('open', () => console.log('open'));
socket.on('message', (data, binary) => console.log(`message ${binary} ${data.length} ` +
    (data.length < 100 ? data : require('crypto').createHash('md5').update(data).digest('hex'))));
socket.on('ping', () => console.log(`ping ${pings += 1}`));
socket.on('pong', (data) => console.log(`pong ${data}`));
socket.on('close', (code, reason) => console.log(`closed ${code} ${reason}`));
socket.on('error', (error) => console.log(`error ${error.message}`));
require('readline').createInterface({input: process.stdin}).on('line', (line) => eval(line));
"""


class WebSocketServer(Process):

    def __init__(self, directory: str, deflate: bool = False):
        super().__init__(directory, "ws")
        self.spawn(["node", "-e", _SERVER, str(self.port), "deflate" if deflate else "plain"],
                   env=ENVIRONMENT)


class Puppet:
    """A client of one socket."""

    def __init__(self, case: Case, port: int, path: str = "/"):
        ours, its = socket.socketpair()
        ours.settimeout(seconds(20))
        self.reader = Reader(ours)
        self.process = subprocess.Popen(
            ["node", "-e", _PUPPET, f"ws://127.0.0.1:{port}{path}"], env=ENVIRONMENT,
            stdin=subprocess.PIPE, stdout=its)
        its.close()
        case.addCleanup(ours.close)
        case.addCleanup(self.end)

    def do(self, script: str) -> None:
        self.process.stdin.write(script.encode() + b"\n")
        self.process.stdin.flush()

    def line(self) -> str:
        return self.reader.until(b"\n").decode().rstrip("\n")

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


class WebSockets(Case):

    def start_pair(self, **options):
        self.server = self._process(WebSocketServer, options)
        return self.plain(self.server)

    def test_a_thousand_sockets(self):
        """All open at once, 64 KiB messages both ways on each, and every one closes with 1000."""
        weir = self.start_pair()
        client = subprocess.run(
            ["node", "-e", _CLIENT, f"ws://127.0.0.1:{weir.port}/", str(SOCKETS), str(ROUNDS),
             str(MESSAGE_BYTES)], env=ENVIRONMENT, capture_output=True, text=True, check=False,
            timeout=seconds(100))
        opened, _, report = client.stdout.partition("\n")
        self.assertEqual(opened, "open", client.stdout + client.stderr)
        self.assertEqual(json.loads(report), {
            "open": 0, "echoed": SOCKETS * ROUNDS, "different": 0, "closes": {"1000": SOCKETS},
            "errors": []})
        wait_until(lambda: self.server.output().count("closed 1000 done") == SOCKETS, 20)
        if not SANITIZED:
            self.assertLess(weir.memory_peak(), MEMORY_MAX)
        wait_until(lambda: weir.descriptors() < 100, 10, "the sockets to be closed")

    def test_large_messages(self):
        """Several MiB in one frame, there and back."""
        puppet = Puppet(self, self.start_pair().port)
        self.assertEqual(puppet.line(), "open")
        size = 16 << 20
        puppet.do(f"socket.send(Buffer.alloc({size}, 'abcdefg'))")
        digest = hashlib.md5((b"abcdefg" * size)[:size]).hexdigest()
        self.assertEqual(puppet.line(), f"message true {size} {digest}")
        puppet.do("socket.send('text')")
        self.assertEqual(puppet.line(), "message false 4 text")

    def test_compressed_messages(self):
        """permessage-deflate is between the two ends (RFC 7692)."""
        puppet = Puppet(self, self.start_pair(deflate=True).port)
        self.assertEqual(puppet.line(), "open")
        puppet.do("console.log(socket.extensions)")
        self.assertEqual(puppet.line(), "permessage-deflate")
        puppet.do("socket.send('x'.repeat(100000))")
        self.assertTrue(puppet.line().startswith("message false 100000 "))

    def test_server_speaks_first(self):
        """What the server sends right behind its 101 is not lost."""
        puppet = Puppet(self, self.start_pair().port, "/greet")
        self.assertEqual({puppet.line(), puppet.line()}, {"open", "message false 5 hello"})

    def test_client_does_not_wait(self):
        """A frame in the same segment as the request is for the server (RFC 6455 4.1 has clients
        wait, and weir does not depend on it)."""
        client = self.client(self.start_pair())
        key = base64.b64encode(bytes(16)).decode()
        client.send((f"GET /greet HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
                     f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                     f"Sec-WebSocket-Key: {key}\r\n\r\n").encode()
                    + b"\x81\x82\x00\x00\x00\x00me")
        head = client.head()
        self.assertEqual((head.status, head.get("upgrade")), (101, "websocket"))
        self.assertEqual(head.get("sec-websocket-accept"), "ICX+Yqv66kxgM0FcWaLWlFLwTAI=")
        self.assertEqual(client.reader.exact(7), b"\x81\x05hello")
        self.assertEqual(client.reader.exact(4), b"\x81\x02me")

    def test_server_that_closes(self):
        puppet = Puppet(self, self.start_pair().port, "/leave")
        self.assertEqual(puppet.line(), "open")
        puppet.do("socket.send('go')")
        self.assertEqual(puppet.line(), "closed 4000 enough")
        wait_until(lambda: "closed 4000 enough" in self.server.output(), 10)

    def test_client_that_dies(self):
        """The server's socket ends too, without a close frame: 1006."""
        weir = self.start_pair()
        puppet = Puppet(self, weir.port)
        self.assertEqual(puppet.line(), "open")
        puppet.end()
        wait_until(lambda: "closed 1006" in self.server.output(), 10)

    def test_refused_by_the_server(self):
        """An ordinary answer, and the connection serves what comes next."""
        puppet = Puppet(self, self.start_pair().port, "/refuse")
        self.assertEqual(puppet.line(), "error Unexpected server response: 401")

    def test_plain_requests_beside(self):
        weir = self.start_pair()
        puppet = Puppet(self, weir.port)
        self.assertEqual(puppet.line(), "open")
        self.assertEqual(self.client(weir).get().body, b"plain")
        puppet.do("socket.send('still here')")
        self.assertEqual(puppet.line(), "message false 10 still here")


class Idle(Case):
    """`tunnel_idle_timeout`: pings are traffic, silence is not."""

    def start_pair(self):
        self.server = self._process(WebSocketServer, {})
        port = self.free_port()
        return self.run_config(config(
            listen=port, servers=[self.server],
            listener={"tunnel_idle_timeout": ms(1000)}), [port])

    def test_pings_keep_it_open(self):
        """Pings of the server, answered by the client, for several times the idle time."""
        puppet = Puppet(self, self.start_pair().port, "/ping")
        self.assertEqual(puppet.line(), "open")
        for number in range(1, int(seconds(30))):
            self.assertEqual(puppet.line(), f"ping {number}")
        puppet.do("socket.send('still here')")
        while (line := puppet.line()).startswith("ping "):
            pass
        self.assertEqual(line, "message false 10 still here")

    def test_silence_ends_it(self):
        puppet = Puppet(self, self.start_pair().port)
        self.assertEqual(puppet.line(), "open")
        self.assertRegex(puppet.line(), "^closed 1006")
        wait_until(lambda: "closed 1006" in self.server.output(), 10)
