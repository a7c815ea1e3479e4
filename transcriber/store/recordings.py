"""The audio folder: recordings under names that say nothing of the upload."""

import errno
import os
import shutil
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from transcriber.model import AudioName

MIN_FREE_BYTES = 500_000_000
"""What a new recording has to leave of the disk: the database needs room to end the jobs that there are."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class Recordings:
    folder: Path

    def path(self, name: AudioName) -> Path:
        return self.folder / name

    def new_name(self) -> AudioName:
        return AudioName(uuid.uuid4().hex)

    def keep(self, name: AudioName) -> None:
        """Returns once the file and its folder entry are on disk."""
        for path, flags in ((self.path(name), os.O_RDWR), (self.folder, os.O_RDONLY)):
            descriptor = os.open(path, flags)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def remove(self, name: AudioName) -> None:
        self.path(name).unlink(missing_ok=True)

    def sweep(self, known: Collection[str]) -> int:
        """The number of files removed: those that no job knows, left by uploads or deletions that a crash cut short."""
        strays = [path for path in self.folder.iterdir() if path.name not in known]
        for path in strays:
            path.unlink(missing_ok=True)
        return len(strays)

    def free_bytes(self) -> int:
        return shutil.disk_usage(self.folder).free


def is_full(error: BaseException) -> bool:
    """Whether it says that the disk, or what may be used of it, has no room left."""
    return isinstance(error, OSError) and error.errno in _FULL
