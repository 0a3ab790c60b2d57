"""What a peer may find wrong with the bytes it was sent. Both are assertion failures."""


class Malformed(AssertionError):
    """The bytes are not a canonical HTTP/1.1 message."""


class Truncated(AssertionError):
    """The connection ended inside a message; `partial` is what came of its content."""

    def __init__(self, text: str, partial: bytes = b""):
        super().__init__(text)
        self.partial = partial


class Silence(AssertionError):
    """Nothing came before the deadline."""
