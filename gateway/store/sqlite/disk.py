"""How much room the store has, and how much of it is kept for delivering what it holds already."""

import shutil
import time
from pathlib import Path

from gateway.errors import StoreUnavailable

MOST_KEPT_BYTES = 64 * 2**20
KEPT_SHARE = 4
"""Of a small disk a quarter is kept."""
LOOK_SECONDS = 0.1
"""How old the last look may be: nothing fills the kept room in that time."""


class Disk:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = path.parent
        self._looked_at = float("-inf")
        self.needed_bytes = min(MOST_KEPT_BYTES, shutil.disk_usage(self._folder).total // KEPT_SHARE)
        self.free_bytes = 0

    def demand_room(self) -> None:
        """Raise StoreUnavailable before the disk is full: attempts must still be recorded then."""
        self._look()
        if self.free_bytes < self.needed_bytes:
            raise StoreUnavailable(
                f"the disk has {self.free_bytes} bytes left; {self.needed_bytes} are kept for what is stored already"
            )

    def look(self) -> None:
        self.free_bytes = shutil.disk_usage(self._folder).free
        self._looked_at = time.monotonic()

    def used_bytes(self) -> int:
        """Of the store's files."""
        files = (self._path, Path(f"{self._path}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def _look(self) -> None:
        if time.monotonic() - self._looked_at > LOOK_SECONDS:
            self.look()
