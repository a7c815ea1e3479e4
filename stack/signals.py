"""A request to stop, by Ctrl-C, `kill` or a closed terminal, as a question that loops ask."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Set by a signal. A flag and no exception: starting and stopping a process must not be cut in the middle."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def __call__(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        return self._event.wait(seconds)

    def set(self, _signal: int, _frame: FrameType | None) -> None:
        self._event.set()


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Yield what SIGINT, SIGTERM and SIGHUP set while the block runs."""
    stop = StopRequest()
    before = {
        number: signal.signal(number, stop.set) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
