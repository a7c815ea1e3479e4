"""One line per thing that happened: JSON for machines, words where a person watches. Bodies and secrets never."""

import asyncio
import contextlib
import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TextIO

LOGGER = logging.getLogger("gateway")
MAX_PENDING = 256
"""Lines that may wait for the end of the event loop's turn."""
to_json = json.JSONEncoder(default=str).encode
ALIKE_PER_SECOND = 10
quoted = json.encoder.encode_basestring_ascii
"""A text as JSON. An encoder is made anew for every call of `to_json`; most of what lines say needs none."""


class Line(logging.LogRecord):
    """A record that knows only what a line says: where in the code it was made is not looked up."""

    def __init__(self, event: str, level: int, fields: dict[str, Any]) -> None:
        self.__dict__.update(BLANK)
        self.created = time.time()
        self.msg = event
        self.levelno = level
        self.levelname = logging.getLevelName(level)
        self.fields = fields


BLANK = logging.LogRecord("gateway", logging.INFO, "", 0, "", (), None).__dict__


def emit(event: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """`event` is a noun and what happened to it, such as `webhook.accepted`; `fields` say to which one."""
    if LOGGER.isEnabledFor(level):
        LOGGER.handle(Line(event, level, fields))


class Alike:
    """Lines that anybody can cause: of those alike a few a second are written, and the next one says how many were not.

    Else whoever floods the gateway fills its disk.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._seen: dict[tuple[str, str], tuple[int, int, int]] = {}
        """The second, how many were written in it, and how many were left out since the last one that was."""

    def emit(self, event: str, *, level: int, alike: str, **fields: Any) -> None:
        """`alike` says which lines of this event are; there must not be many such words."""
        now = int(self._monotonic())
        second, written, suppressed = self._seen.get((event, alike), (now, 0, 0))
        if second != now:
            written = 0
        if written >= ALIKE_PER_SECOND:
            self._seen[event, alike] = now, written, suppressed + 1
            return
        self._seen[event, alike] = now, written + 1, 0
        emit(event, level=level, **fields, **({"suppressed": suppressed} if suppressed else {}))


def set_up(*, level: str, stream: TextIO = sys.stderr) -> None:
    """Everything logged in this process goes to `stream`, in one form."""
    handler = LineHandler(stream)
    handler.setFormatter(HumanFormatter() if stream.isatty() else JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(logging.getLevelNamesMapping()[level.upper()], logging.INFO))
    LOGGER.setLevel(level.upper())
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


class LineHandler(logging.Handler):
    """Makes and writes the lines of one turn of the event loop together, which costs half; where no loop runs, at once.

    A process that ends, by an exception too, leaves no line behind: `logging` flushes its handlers then.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._pending: list[logging.LogRecord] = []
        self._flushed_by: asyncio.AbstractEventLoop | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self._pending.append(record)
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
        with self.lock or contextlib.nullcontext(), contextlib.suppress(OSError, ValueError):
            records, self._pending, self._flushed_by = self._pending, [], None
            if records:
                self._stream.write("".join([self._line(record) for record in records]))
                self._stream.flush()

    def _line(self, record: logging.LogRecord) -> str:
        try:
            return f"{self.format(record)}\n"
        except Exception:  # noqa: BLE001 - as in every handler: what cannot be said stops nothing
            self.handleError(record)
            return ""


class JsonFormatter(logging.Formatter):
    """Times in UTC, to the millisecond."""

    def __init__(self) -> None:
        super().__init__()
        self._second = 0
        self._second_text = ""

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        if record.exc_info:
            fields = {**fields, "exception": self.formatException(record.exc_info)}
        said = [
            f', "{key}": {quoted(value) if value.__class__ is str else _as_json(value)}'
            for key, value in fields.items()
        ]
        at, level = self._time(record.created), record.levelname.lower()
        return (
            f'{{"time": "{at}", "level": "{level}", "event": {quoted(record.getMessage())}{"".join(said)}}}'
        )

    def _time(self, created: float) -> str:
        second = int(created)
        if second != self._second:
            self._second_text = f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}"
            self._second = second
        return f"{self._second_text}.{int(created * 1000) % 1000:03d}Z"


class HumanFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        words = "".join(f"  {key}={_shown(value)}" for key, value in fields.items() if value is not None)
        level = "" if record.levelno == logging.INFO else f" {record.levelname}"
        text = f"{datetime.fromtimestamp(record.created):%H:%M:%S}{level} {record.getMessage()}{words}"  # noqa: DTZ006 - a person reads local time
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def _as_json(value: Any) -> str:
    if value is None:
        return "null"
    return str(value) if value.__class__ is int else to_json(value)


def _shown(value: Any) -> str:
    """Escaped where it would break the line or drive the terminal: an event's type is the producer's choice."""
    text = str(value)
    return text if text.isprintable() else ascii(text)
