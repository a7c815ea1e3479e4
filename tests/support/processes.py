"""What processes leave behind."""

from pathlib import Path


def marked(mark: str) -> dict[int, str]:
    """Return pid and command line of the living processes that were started with `mark` in their environment.

    An environment is inherited even by a process whose parents are gone, so nothing hides from this.
    """
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found[int(process.name)] = (
                    (process / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                )
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended meanwhile, or is not ours
    return {pid: command for pid, command in found.items() if command}  # a zombie has none
