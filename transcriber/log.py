"""Log lines: one JSON object per thing that happened, or readable text on a terminal. Never bodies, never secrets."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

_LOGGER = logging.getLogger("transcriber")


def configure(stream: TextIO = sys.stderr) -> None:
    """Sends this package's lines, and warnings of its libraries, to `stream`: text if that is a terminal."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_TextFormatter() if stream.isatty() else _JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    _LOGGER.setLevel(logging.INFO)


def info(event: str, **fields: object) -> None:
    _LOGGER.info(event, extra={"fields": fields})


def warning(event: str, **fields: object) -> None:
    _LOGGER.warning(event, extra={"fields": fields})


def error(event: str, cause: BaseException, **fields: object) -> None:
    """With the traceback of `cause`."""
    _LOGGER.error(event, extra={"fields": fields}, exc_info=cause)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": _moment(record),
            "level": record.levelname.lower(),
            "event": record.getMessage() if record.name == "transcriber" else "library.message",
        }
        if record.name != "transcriber":
            line |= {"logger": record.name, "message": record.getMessage()}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = getattr(record, "fields", {})
        details = " ".join(f"{name}={_shown(value)}" for name, value in fields.items())
        line = f"{_moment(record)[11:23]} {record.getMessage()} {details}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _shown(value: object) -> str:
    """On one line: what a peer sent must not become a line of its own, nor steer the terminal."""
    text = str(value)
    return text if text.isprintable() else ascii(text)


def _moment(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
