"""How long to wait before another try."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from transcriber.model import UnixMs


@dataclass(frozen=True, slots=True)
class Backoff:
    """The wait doubles from `first_seconds` to at most `longest_seconds`, give or take a fifth."""

    first_seconds: float
    longest_seconds: float

    def delay_seconds(self, attempt: int, chance: float) -> float:
        """After `attempt` failures, counted from 1; `chance`, from 0 to 1, spreads those that failed together."""
        # 2**30 is far beyond any limit here; without the cap the power itself would overflow a float
        doubled = min(self.longest_seconds, self.first_seconds * 2.0 ** min(attempt - 1, 30))
        return doubled * (0.8 + 0.4 * chance)


def retry_after_seconds(value: str, now: UnixMs) -> float | None:
    """What a Retry-After header asks for, in either form of RFC 9110; None where it cannot be read."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:12])  # beyond any limit that is kept here
    due = http_date(value)
    return None if due is None else max(0.0, due.timestamp() - now / 1000)


def http_date(value: str) -> datetime | None:
    """The moment that a header names; None where it names none."""
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # the second: a year of twenty digits
        return None
    # a date without a zone is GMT, as HTTP has no other
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
