"""What the figures were measured on: they mean little without it."""

import os
import platform
import sqlite3
import statistics
import time
from pathlib import Path

WRITES = 200
WRITTEN_BYTES = 4096


def machine(folder: Path) -> dict[str, str | float]:
    """`folder` is on the disk that is measured."""
    return {
        "cores": os.cpu_count() or 0,
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "fsync_p50_ms": round(_fsync_ms(folder / "fsync"), 3),
    }


def stolen_ms() -> int:
    """Since the machine was started, of all its cores: wanted here, and given to another by the hypervisor. In steps of a tick."""
    name_and_ticks = Path("/proc/stat").read_text().partition("\n")[0].split()
    return int(name_and_ticks[8]) * 1000 // os.sysconf("SC_CLK_TCK")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _fsync_ms(path: Path) -> float:
    """Of one page, appended."""
    took = []
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        for _ in range(WRITES):
            os.write(descriptor, b"x" * WRITTEN_BYTES)
            began = time.perf_counter()
            os.fdatasync(descriptor)
            took.append((time.perf_counter() - began) * 1000)
    finally:
        os.close(descriptor)
        path.unlink()
    return statistics.median(took)
