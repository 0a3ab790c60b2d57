"""The proxies of the comparisons about bulk, as HTTP and as TCP proxies, and their load."""

import argparse
import pathlib
import subprocess
import sys
from typing import NamedTuple

import plain
import rig

# HAProxy splices only when it is told to; both ways are shown. `option splice-auto` alone has not
# made HAProxy 2.6 splice any of this load, which strace shows.
PROXIES = ("weir", "nginx", "haproxy", "haproxy splice", "floor", "floor_splice")
FLOORS = ("floor", "floor_splice")
MODES = ("http", "tcp")
# What makes each peer measure best.
OPTIONS = {
    ("nginx", "http"): "proxy_buffer_size 32k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k;",
    ("nginx", "tcp"): "proxy_buffer_size 64k;",
    ("haproxy", "http"): "http-reuse always",
    ("haproxy splice", "http"): f"http-reuse always\n    {plain.SPLICE}",
    ("haproxy splice", "tcp"): plain.SPLICE,
}


class Proxy(NamedTuple):
    name: str
    process: subprocess.Popen
    port: int
    bulk_port: int  # Leads to the bulk origin; of a floor the same as `port`.


def template_of(program: str, mode: str) -> str:
    return {"weir": f"bulk-weir-{mode}.toml.in", "nginx": f"bulk-nginx-{mode}.conf.in",
            "haproxy": "bulk-haproxy.cfg.in"}[program]


def start_proxy(name: str, mode: str, options: argparse.Namespace, folder: pathlib.Path,
                origin: int, bulk_origin: int) -> Proxy:
    """A floor knows one origin only, which is `origin`."""
    port, bulk_port = rig.free_port(), rig.free_port()
    if name in FLOORS:
        command = [str(rig.BUILD / name), "--port", str(port), str(origin)]
        bulk_port = port
    else:
        own = folder / name.replace(" ", "-")
        own.mkdir(exist_ok=True)
        own.chmod(0o755)  # The worker of nginx is another user when started by root.
        program = name.split()[0]
        only_some = rig.nginx_values(options.nginx, own) if program == "nginx" else {}
        path = rig.fill_in(template_of(program, mode), own, {
            **only_some, "PORT": port, "BULK_PORT": bulk_port, "ORIGIN": origin,
            "BULK_ORIGIN": bulk_origin, "MODE": mode, "OPTION": OPTIONS.get((name, mode), "")})
        command = rig.file_command(program, options, path)
    process = rig.start_proxy(name, options.cpus[0], command, folder, port)
    return Proxy(name, process, port, bulk_port)


def pull_command(port: int, path: str, **numbers: int) -> list[str]:
    return [str(rig.BUILD / "pull"), "--port", str(port), "--path", path,
            *(text for name, number in numbers.items() for text in (f"--{name}", str(number)))]


def read_json(process: subprocess.Popen, limit_s: float, name: str) -> dict:
    """The same as rig.read_json; ends the run also when something failed."""
    seen = rig.read_json(process, limit_s, name)
    if seen.get("failed") or sum(seen.get("errors", {}).values()):
        sys.exit(f"bench: the load on {name} did not go through cleanly: {seen}")
    return seen


def size_name(size: int) -> str:
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} B"


def order_of_round(names: list[str], number: int) -> list[str]:
    """The order of a round: every proxy comes first once."""
    return names[number % len(names):] + names[:number % len(names)]
