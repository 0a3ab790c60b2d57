"""Proxies for the suites that put a load on a plain HTTP proxy: their configurations and sizes."""

import argparse
import pathlib
import subprocess
from typing import NamedTuple

import rig

FLOORS = ("floor", "floor_close", "floor_splice")
TEMPLATES = {"weir": "weir.toml.in", "nginx": "nginx.conf.in", "haproxy": "haproxy.cfg.in"}
ROUTE_PATH = "/r/"  # And a number.
# How each is told that the kernel is to keep a connection until its first bytes are there.
SPLICE = "option splice-auto\n    option splice-request\n    option splice-response"
DEFERRED = {"weir": "defer_accept = true", "nginx": " deferred", "haproxy": " defer-accept"}


class Shape(NamedTuple):
    """What all proxies of a suite have in common."""
    workers: int = 1
    servers: int = 1
    routes: int = 0  # Exact paths, all to the same backend.
    connections: int = 2048  # Most clients.


class Proxy(NamedTuple):
    name: str
    process: subprocess.Popen
    port: int
    admin: int  # The port of weir's metrics.


def server_lines(program: str, shape: Shape, origin: int) -> str:
    """The servers are addresses from 127.0.0.1 on, all on one port: `origin --addresses`."""
    addresses = [f"127.0.{number >> 8}.{number & 255}:{origin}"
                 for number in range(1, shape.servers + 1)]
    if program == "weir":
        return ", ".join(f'"{address}"' for address in addresses)
    if program == "nginx":
        return "\n        ".join(f"server {address};" for address in addresses)
    return "\n    ".join(f"server s{i} {address}" for i, address in enumerate(addresses))


def route_lines(program: str, shape: Shape, folder: pathlib.Path) -> str:
    paths = [f"{ROUTE_PATH}{number}" for number in range(shape.routes)]
    if program == "weir":
        return "".join(f'[[route]]\npath = "={path}"\nbackend = "origin"\n\n' for path in paths)
    if program == "nginx":
        return "\n        ".join(f"location = {path} {{ proxy_pass http://origin; }}"
                                 for path in paths)
    if not paths:
        return ""
    table = folder / "haproxy.map"
    table.write_text("".join(f"{path} origin\n" for path in paths))
    return f"use_backend %[path,map({table},origin)]"


def command_of(name: str, shape: Shape, options: argparse.Namespace, folder: pathlib.Path,
               ports: dict[str, int]) -> list[str]:
    """A second word is "deferred", of any, after "haproxy" also "splice", or after "weir" its
    trigger mode."""
    program, _, variant = name.partition(" ")
    deferred = variant == "deferred"
    if program in FLOORS:
        return [str(rig.BUILD / program), *(["--defer"] if deferred else []),
                "--workers", str(shape.workers), "--port", str(ports["PORT"]),
                str(ports["ORIGIN"])]
    own = folder / name.replace(" ", "-")
    own.mkdir(exist_ok=True)
    own.chmod(0o755)  # The worker of nginx is another user when started by root.
    values = {**ports, "WORKERS": shape.workers,
              "TRIGGER": "edge" if deferred or not variant else variant,
              "DEFERRED": DEFERRED[program] if deferred else "",
              "SPLICE": SPLICE if variant == "splice" else "",
              "CONNECTIONS": shape.connections, "BOTH_SIDES": 2 * shape.connections,
              "SERVERS": server_lines(program, shape, ports["ORIGIN"]),
              "ROUTES": route_lines(program, shape, own)}
    if program == "nginx":
        values |= rig.nginx_values(options.nginx, own)
    return rig.file_command(program, options, rig.fill_in(TEMPLATES[program], own, values))


def start(name: str, shape: Shape, options: argparse.Namespace, folder: pathlib.Path,
          origin: int, cpus: int | str | None = None) -> Proxy:
    """Started and serving, on the first CPU unless told otherwise."""
    ports = {"PORT": rig.free_port(), "ADMIN": rig.free_port(), "ORIGIN": origin}
    process = rig.start_proxy(name, options.cpus[0] if cpus is None else cpus,
                              command_of(name, shape, options, folder, ports), folder,
                              ports["PORT"])
    return Proxy(name, process, ports["PORT"], ports["ADMIN"])


def programs(names, options: argparse.Namespace) -> list[str]:
    """The files behind the names of proxies."""
    return [getattr(options, name.split()[0], str(rig.BUILD / name.split()[0]))
            for name in names]
