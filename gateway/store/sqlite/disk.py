"""How much room the store has, and how much of it is kept for delivering what it holds already."""

import shutil
import threading
import time
from pathlib import Path

from gateway.errors import StoreUnavailable

MOST_KEPT_BYTES = 64 * 2**20
KEPT_SHARE = 4
"""Of a small disk a quarter is kept."""
LOOK_SECONDS = 0.1
LOOK_BYTES = 2**20
"""How old the last look may be, and what may be written after it: nothing fills the kept room in that time."""

OVERHEAD_BYTES = 2**14
"""By which a transaction makes the file grow besides its content."""


class Disk:
    """What is in the write-ahead log takes its room a second time when it is moved into the database."""

    def __init__(self, path: Path) -> None:
        """May raise OSError."""
        self._path = path
        self._log = Path(f"{path}-wal")
        self._file = identity(path)
        self._counting = threading.Lock()
        self.unmoved_bytes = self._log.stat().st_size if self._log.exists() else 0
        """What is in the log and not in the database, at most."""
        self._unseen_bytes = 0
        self._looked_at = float("-inf")
        self.needed_bytes = kept_bytes(path)
        self.free_bytes = 0
        """Once the log is moved; as of the last look."""

    def written(self, content_bytes: int) -> None:
        """A transaction is in the log. Called from any thread."""
        with self._counting:
            self.unmoved_bytes += content_bytes + OVERHEAD_BYTES
            self._unseen_bytes += content_bytes + OVERHEAD_BYTES

    def moved(self, unmoved_bytes: int) -> None:
        """So many of what was in the log are in the database. Called from any thread."""
        with self._counting:
            self.unmoved_bytes -= min(unmoved_bytes, self.unmoved_bytes)

    def demand_room(self) -> None:
        """Raise StoreUnavailable before the disk is full: attempts must still be recorded then."""
        if self._unseen_bytes >= LOOK_BYTES or time.monotonic() - self._looked_at > LOOK_SECONDS:
            self.look()
        if self.free_bytes < self.needed_bytes:
            raise StoreUnavailable(
                f"the disk has {self.free_bytes} bytes left; {self.needed_bytes} are kept for what is stored already"
            )

    def look(self) -> None:
        """Raise StoreUnavailable where the disk is gone, or the file: what is written to one without a name is lost."""
        with self._counting:
            self._unseen_bytes = 0
        # Before the disk: what is moved meanwhile is counted twice, not left out.
        unmoved_bytes = self.unmoved_bytes
        try:
            free_bytes = shutil.disk_usage(self._path.parent).free
            is_there = identity(self._path) == self._file
        except OSError as error:
            raise StoreUnavailable(f"the disk cannot be looked at: {error}") from None
        if not is_there:
            raise StoreUnavailable(
                f"{self._path.name} was taken away or replaced while the gateway runs: put it back, or restart the gateway"
            )
        self.free_bytes = max(0, free_bytes - unmoved_bytes)
        self._looked_at = time.monotonic()

    def used_bytes(self) -> int:
        """Of the store's files."""
        return sum(file.stat().st_size for file in (self._path, self._log) if file.exists())


def identity(path: Path) -> tuple[int, int] | None:
    """Of the file that has this name now; None where there is none. May raise OSError."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def kept_bytes(path: Path) -> int:
    """Of the disk that the store's file is on. May raise OSError."""
    return min(MOST_KEPT_BYTES, shutil.disk_usage(path.parent).total // KEPT_SHARE)
