"""How long a server asks to be left alone, told by the headers of its refusal."""

import re
from collections.abc import Mapping

from transcriber.backoff import http_date

_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
# As in 2m59.56s or 500ms.
_DURATION = re.compile(
    r"(?:(?P<h>[0-9]{1,6})h)?(?:(?P<m>[0-9]{1,6})m(?!s))?(?:(?P<s>[0-9]{1,9}(?:\.[0-9]{1,9})?)s)?(?:(?P<ms>[0-9]{1,9}(?:\.[0-9]{1,9})?)ms)?"
)
_SECONDS = {"h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_REMAINING = "x-ratelimit-remaining-"
_RESET = "x-ratelimit-reset-"


def asked_seconds(headers: Mapping[str, str]) -> float | None:
    """From now on; None where no header says it in a form that is known. `headers` are looked up in small letters."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1_000
    value = headers.get("retry-after")
    for seconds in (_number(value), _until(value, headers.get("date"))):
        if seconds is not None:
            return seconds
    return _longest_reset(headers)


def _number(value: str | None) -> float | None:
    return float(value) if value and _NUMBER.fullmatch(value) else None


def _until(value: str | None, date: str | None) -> float | None:
    """By the server's own clock: the one here may be wrong."""
    then, now = http_date(value or ""), http_date(date or "")
    return None if then is None or now is None else max(0.0, (then - now).total_seconds())


def _longest_reset(headers: Mapping[str, str]) -> float | None:
    """Of the limits that are used up."""
    used_up = [
        name.removeprefix(_REMAINING)
        for name, remaining in headers.items()
        if name.startswith(_REMAINING) and _number(remaining) == 0
    ]
    resets = [_duration(headers.get(_RESET + name)) for name in used_up]
    return max((seconds for seconds in resets if seconds is not None), default=None)


def _duration(value: str | None) -> float | None:
    found = _DURATION.fullmatch(value) if value else None
    if found is None:
        return None
    return sum(_SECONDS[unit] * float(number) for unit, number in found.groupdict(default="0").items())
