"""A process that outlives its parent just long enough to kill what the parent left running."""

import os
import signal
import subprocess
import sys
from contextlib import suppress


class Leash:
    """Holds process groups: when this process ends, however it ends, every group still held is killed.

    `kill -9` runs no handler and grandchildren know nothing of us, so a second process waits at the end of a
    pipe. The kernel closes our end when we are gone, and that is its signal.
    """

    def __init__(self) -> None:
        end, ours = os.pipe()
        # -I -S: it needs only the standard library, and starts in 20 ms. Its own session: Ctrl-C is not for it.
        self._keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__], stdin=end, start_new_session=True
        )
        os.close(end)
        self._pipe = os.fdopen(ours, "wb", buffering=0)

    def hold(self, group: int) -> None:
        self._pipe.write(f"+{group}\n".encode())

    def release(self, group: int) -> None:
        self._pipe.write(f"-{group}\n".encode())

    def close(self) -> None:
        self._pipe.close()
        self._keeper.wait()


def _keep() -> None:
    held: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line.startswith("+"):
            held.add(group)
        else:
            held.discard(group)
    for group in held:
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    _keep()
