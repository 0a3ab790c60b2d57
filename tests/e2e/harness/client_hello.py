"""The first message of TLS, as Python's own client says it, and cut into records anew."""

import ssl


def hello(name: str | None = None, most: ssl.TLSVersion | None = None) -> bytes:
    """What Python's TLS client says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if most:
        context.maximum_version = most
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def records(message: bytes, *sizes: int) -> bytes:
    """A handshake message in records of these sizes, and the rest of it in one more."""
    out, at = b"", 0
    for size in (*sizes, len(message) - sum(sizes)):
        out += b"\x16\x03\x01" + size.to_bytes(2, "big") + message[at:at + size]
        at += size
    return out
