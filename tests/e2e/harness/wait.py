"""Waiting for a condition. Tests never sleep for a guess of how long something takes."""

import os
import time

# Sanitizer builds are slower; every deadline is multiplied, no limit of the product is.
SLOWDOWN = float(os.environ.get("WEIR_SLOWDOWN", "1"))


def seconds(value: float) -> float:
    """A deadline of `value` seconds on this build."""
    return value * SLOWDOWN


def wait_until(condition, deadline: float = 10.0, what: str = ""):
    """Polls until condition() is true and returns its value; fails after `deadline` seconds."""
    end = time.monotonic() + seconds(deadline)
    pause = 0.001
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not so within {seconds(deadline):g} s: {what or condition}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
