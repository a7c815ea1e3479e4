"""What the exporter's libraries log, as lines of the gateway's own log: few of them, and without secrets."""

import logging
import re

from gateway.clock import Clock
from gateway.config import TracingSettings
from gateway.log import emit

LOGGERS = ("opentelemetry", "requests", "urllib3")
PERIOD_SECONDS = 60.0
"""One line in this time: a collector that is down is complained of at every batch, and a full queue at every span."""
QUERY = re.compile(r"\?\S+")
"""Of the endpoint's URL, in which a key may be; the libraries do not write it as it was configured."""


class Complaints(logging.Handler):
    """Takes over these libraries' loggers until it is closed."""

    def __init__(self, settings: TracingSettings, *, clock: Clock) -> None:
        super().__init__(logging.WARNING)
        self._secrets = list(settings.headers.values())
        self._clock = clock
        self._quiet_until = 0.0
        self._left_out = 0
        for logger in map(logging.getLogger, LOGGERS):
            logger.addHandler(self)
            logger.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        now = self._clock.monotonic()
        if now < self._quiet_until:
            self._left_out += 1
            return
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text = f"{text} {record.exc_info[1]!r}"
        text = QUERY.sub("?[secret]", text)
        for secret in self._secrets:
            text = text.replace(secret, "[secret]")
        left_out, self._quiet_until, self._left_out = self._left_out, now + PERIOD_SECONDS, 0
        emit("tracing.export_failed", level=logging.WARNING, error=text, left_out=left_out)

    def close(self) -> None:
        for logger in map(logging.getLogger, LOGGERS):
            logger.removeHandler(self)
            logger.propagate = True
        super().close()
