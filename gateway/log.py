"""One line per thing that happened: JSON for machines, words where a person watches. Bodies and secrets never."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

LOGGER = logging.getLogger("gateway")


def emit(event: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """`event` is a noun and what happened to it, such as `webhook.accepted`; `fields` say to which one."""
    LOGGER.log(level, event, extra={"fields": fields})


def set_up(*, level: str, stream: TextIO = sys.stderr) -> None:
    """Everything logged in this process goes to `stream`, in one form."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(HumanFormatter() if stream.isatty() else JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(logging.getLevelNamesMapping()[level.upper()], logging.INFO))
    LOGGER.setLevel(level.upper())
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class HumanFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        words = "".join(f"  {key}={_shown(value)}" for key, value in fields.items() if value is not None)
        level = "" if record.levelno == logging.INFO else f" {record.levelname}"
        text = f"{datetime.fromtimestamp(record.created):%H:%M:%S}{level} {record.getMessage()}{words}"  # noqa: DTZ006 - a person reads local time
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def _shown(value: Any) -> str:
    """Escaped where it would break the line or drive the terminal: an event's type is the producer's choice."""
    text = str(value)
    return text if text.isprintable() else ascii(text)
