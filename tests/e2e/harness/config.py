"""Configuration text for weir from plain Python values. The only place that knows the keys."""

import json

_TIMEOUTS_OF_LISTENER = ("client_head", "client_idle", "client_body")
_TIMEOUTS_OF_BACKEND = ("connect", "response_head", "response_body", "idle")


def quoted(value) -> str:
    """A TOML value: strings quoted, lists and tables inline."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {quoted(item)}" for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(quoted(item) for item in value) + "]"
    return json.dumps(value)


def _table(header: str, values: dict) -> str:
    lines = [f"{key} = {quoted(value)}" for key, value in values.items() if value is not None]
    return "\n".join([header, *lines, ""])


def _keys(values: dict, timeouts: tuple) -> dict:
    """Timeouts are called `connect` in the tests and `connect_timeout` in the file."""
    return {f"{key}_timeout" if key in timeouts else key: value for key, value in values.items()}


def _server(server):
    """A port, an address, an object with .address, or a table."""
    if isinstance(server, dict):
        return {key: _server(value) if key == "address" else value
                for key, value in server.items()}
    if isinstance(server, int):
        return f"127.0.0.1:{server}"
    return getattr(server, "address", server)


def config(listen=None, servers=None, *, listeners: dict | None = None, routes: list | None = None,
           backends: dict | None = None, listener: dict | None = None,
           backend: dict | None = None, runtime: dict | None = None, admin: str | None = None,
           access_log: str | None = None) -> str:
    """The usual shape is one listener `web`, one route and one backend `app`.

    `listener` and `backend` add keys to those two; `listeners`, `routes` and `backends` replace
    them. Timeouts are given without `_timeout` behind their names, as text with a unit.
    """
    if listeners is None:
        bind = f"127.0.0.1:{listen}" if isinstance(listen, int) else listen
        listeners = {"web": {"bind": bind, **(listener or {})}}
    if backends is None:
        backends = {"app": {"servers": servers, **(backend or {})}}
    if routes is None:
        routes = [{"backend": next(iter(backends))}]
    parts = [_table("[runtime]", {"workers": 1, **(runtime or {})})]
    if admin:
        parts.append(_table("[admin]", {"bind": admin}))
    if access_log:
        parts.append(_table("[log]", {"access": access_log}))
    for name, values in listeners.items():
        parts.append(_table(f"[listener.{name}]", _keys(values, _TIMEOUTS_OF_LISTENER)))
    for route in routes:
        parts.append(_table("[[route]]", route))
    for name, values in backends.items():
        values = {**values, "servers": [_server(server) for server in values["servers"]]}
        parts.append(_table(f"[backend.{name}]", _keys(values, _TIMEOUTS_OF_BACKEND)))
    return "\n".join(parts)
