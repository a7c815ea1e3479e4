"""One line per thing that happened: JSON for machines, words where a person watches. Bodies and secrets never."""

import asyncio
import contextlib
import json
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

LOGGER = logging.getLogger("gateway")
MAX_PENDING = 256
"""Lines that may wait for the end of the event loop's turn."""
ALIKE_PER_SECOND = 10
EXCEPTION = "exception"
"""The field with a traceback."""
to_json = json.JSONEncoder(default=str).encode
quoted = json.encoder.encode_basestring_ascii
"""A text as JSON. An encoder is made anew for every call of `to_json`; most of what lines say needs none."""

Form = Callable[[float, int, str, dict[str, Any]], str]
"""A line of time in Unix seconds, level, event and fields."""


def emit(event: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """`event` is a noun and what happened to it, such as `webhook.accepted`; `fields` say to which one.

    It goes past `logging`, whose records and handlers cost as much as the line; where nobody has called `set_up` it does not.
    """
    if not LOGGER.isEnabledFor(level):
        return
    if _lines is not None:
        _lines.take(time.time(), level, event, fields)
    else:
        LOGGER.log(level, event, extra={"fields": fields})


class Alike:
    """Lines that anybody can cause: of those alike a few a second are written, and the next one says how many were not.

    Else whoever floods the gateway fills its disk.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._seen: dict[tuple[str, str], tuple[int, int, int]] = {}
        """The second, how many were written in it, and how many were left out since the last one that was."""

    def emit(
        self,
        event: str,
        *,
        level: int,
        alike: str,
        more: Callable[[], Mapping[str, Any]] = dict,
        **fields: Any,
    ) -> None:
        """`alike` says which lines of this event are; there must not be many such words.

        `more` makes further fields, of a line that is written only.
        """
        now = int(self._monotonic())
        second, written, suppressed = self._seen.get((event, alike), (now, 0, 0))
        if second != now:
            written = 0
        if written >= ALIKE_PER_SECOND:
            self._seen[event, alike] = now, written, suppressed + 1
            return
        self._seen[event, alike] = now, written + 1, 0
        emit(event, level=level, **fields, **more(), **({"suppressed": suppressed} if suppressed else {}))


def set_up(*, level: str, stream: TextIO = sys.stderr) -> None:
    """Everything logged in this process goes to `stream`, in one form, until `take_down`."""
    global _lines  # noqa: PLW0603 - as `logging` itself, it is one for the process
    _lines = Lines(stream, words if stream.isatty() else Json())
    root = logging.getLogger()
    root.handlers = [OfLibraries(_lines)]
    root.setLevel(max(logging.getLevelNamesMapping()[level.upper()], logging.INFO))
    LOGGER.setLevel(level.upper())
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def take_down() -> None:
    """What is emitted from now on is `logging`'s."""
    global _lines  # noqa: PLW0603
    _lines = None


class Lines:
    """Makes and writes the lines of one turn of the event loop together, which costs half; where no loop runs, at once."""

    def __init__(self, stream: TextIO, form: Form) -> None:
        self._stream = stream
        self._form = form
        self._pending: deque[tuple[float, int, str, dict[str, Any]]] = deque()
        self._flushed_by: asyncio.AbstractEventLoop | None = None
        self.lock = threading.RLock()

    def take(self, at: float, level: int, event: str, fields: dict[str, Any]) -> None:
        self._pending.append((at, level, event, fields))
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # none runs in this thread
            self.flush()
            return
        if len(self._pending) >= MAX_PENDING:
            self.flush()
        elif self._flushed_by is not loop:
            self._flushed_by = loop
            loop.call_soon(self.flush)

    def flush(self) -> None:
        with self.lock, contextlib.suppress(OSError, ValueError):
            self._flushed_by = None
            lines = []
            while self._pending:
                at, level, event, fields = self._pending.popleft()
                try:
                    lines.append(self._form(at, level, event, fields))
                except Exception as error:  # noqa: BLE001 - whatever a value's `str` does: a line says what it can
                    lines.append(self._form(at, level, event, {"unsayable": type(error).__name__}))
            if lines:
                self._stream.write("".join(lines))
                self._stream.flush()


_lines: Lines | None = None


class OfLibraries(logging.Handler):
    """Takes what is logged through `logging`. A process that ends, by an exception too, leaves no line behind: it flushes then."""

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self.lock = lines.lock  # with one of its own, two threads could wait for each other's
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields = dict(getattr(record, "fields", {}))
            if record.exc_info:
                fields[EXCEPTION] = logging.Formatter().formatException(record.exc_info)
            self._lines.take(record.created, record.levelno, record.getMessage(), fields)
        except Exception:  # noqa: BLE001 - as in every handler: what cannot be said stops nothing
            self.handleError(record)

    def flush(self) -> None:
        self._lines.flush()


class Json:
    """Times in UTC, to the millisecond."""

    def __init__(self) -> None:
        self._ms = 0
        self._time = ""

    def __call__(self, at: float, level: int, event: str, fields: dict[str, Any]) -> str:
        ms = int(at * 1000)
        if ms != self._ms:
            self._ms = ms
            self._time = f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"
        said = [
            f', "{key}": {quoted(value) if value.__class__ is str else _as_json(value)}'
            for key, value in fields.items()
        ]
        return f'{{"time": "{self._time}", {_head(level, event)}{"".join(said)}}}\n'


@lru_cache(maxsize=64)
def _head(level: int, event: str) -> str:
    return f'"level": "{logging.getLevelName(level).lower()}", "event": {quoted(event)}'


def words(at: float, level: int, event: str, fields: dict[str, Any]) -> str:
    said = "".join(
        f"  {key}={_shown(value)}" for key, value in fields.items() if value is not None and key != EXCEPTION
    )
    shown_level = "" if level == logging.INFO else f" {logging.getLevelName(level)}"
    text = f"{datetime.fromtimestamp(at):%H:%M:%S}{shown_level} {event}{said}\n"  # noqa: DTZ006 - a person reads local time
    return f"{text}{fields[EXCEPTION]}\n" if EXCEPTION in fields else text


def _as_json(value: Any) -> str:
    if value is None:
        return "null"
    return str(value) if value.__class__ is int else to_json(value)


def _shown(value: Any) -> str:
    """Escaped where it would break the line or drive the terminal: an event's type is the producer's choice."""
    text = str(value)
    return text if text.isprintable() else ascii(text)
