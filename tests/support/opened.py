"""Whether anybody opens a file, told by the kernel: code inside a native library cannot be watched otherwise."""

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_IN_OPEN = 0x20


@contextmanager
def watched(path: Path) -> Iterator[Callable[[], bool]]:
    """Yields what tells whether the file was opened since."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if descriptor < 0 or libc.inotify_add_watch(descriptor, os.fsencode(path), _IN_OPEN) < 0:
            raise OSError(ctypes.get_errno(), "inotify")

        def opened() -> bool:
            try:
                return bool(os.read(descriptor, 4_096))
            except BlockingIOError:
                return False

        yield opened
    finally:
        os.close(descriptor)
