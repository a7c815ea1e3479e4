"""The directory in which a stack keeps its data, its logs and its made-up secrets."""

import fcntl
import json
import os
import secrets
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path


class WorkspaceError(Exception):
    """The directory cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The secrets that the services share on this machine."""

    webhook_secret: str
    webhook_key: str
    admin_token: str

    @classmethod
    def made_up(cls) -> "Keys":
        return cls(
            # Standard Webhooks: "whsec_" and the base64 of 24 to 64 bytes.
            webhook_secret="whsec_" + b64encode(secrets.token_bytes(32)).decode(),
            webhook_key=secrets.token_urlsafe(32),
            admin_token=secrets.token_urlsafe(32),
        )


@contextmanager
def claim(directory: Path) -> Iterator[None]:
    """Create the directory and hold it for this process: two stacks on the same data would spoil it."""
    try:
        directory.mkdir(
            mode=0o700, parents=True, exist_ok=True
        )  # recordings and texts are nobody else's business
        (directory / "log").mkdir(exist_ok=True)
        lock = (directory / "stack.lock").open("w")
    except OSError as error:
        raise WorkspaceError(f"{directory} cannot be used for the data: {error.strerror}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WorkspaceError(
                f"Another run uses {directory} already. End it first, or start this one in another directory."
            ) from None
        yield


def remembered_keys(directory: Path) -> Keys:
    """Return the keys of the first run in this directory, made up and written (mode 0600) if this is it."""
    path = directory / "stack.json"
    try:
        return Keys(**json.loads(path.read_text()))
    except FileNotFoundError:
        keys = Keys.made_up()
        _write_private(path, json.dumps(asdict(keys), indent=2) + "\n")
        return keys
    except (ValueError, TypeError):
        names = ", ".join(field.name for field in fields(Keys))
        raise WorkspaceError(
            f"{path} is not a JSON object with exactly {names}. Delete it, and new keys are made up."
        ) from None


def _write_private(path: Path, text: str) -> None:
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    partial.replace(path)
