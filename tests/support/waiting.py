"""Waits for a condition, with an end."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T | None], *, seconds: float = 20.0, pause_seconds: float = 0.01) -> T:
    """The first true value of `condition`; AssertionError if there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {seconds} s; last seen: {value!r}")
        time.sleep(pause_seconds)
    return value
