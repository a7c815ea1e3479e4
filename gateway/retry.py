"""Whether a delivery is over after an attempt, and if not, when it is tried again."""

from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from gateway.model import Dead, Delivered, Outcome, RetryAt, Verdict

QUICK_WAITS_SECONDS = (0.5, 2.0)
SLOW_WAITS_SECONDS = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0)
JITTER = 0.2
QUIET_STATUSES = frozenset((429, 503))
"""With these a `Retry-After` speaks for the whole destination, which is then quiet; else for the delivery."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    quick_attempts: int = 3
    """Attempts made within the first seconds, before the slow waits begin; 1 to 10. Default 3."""
    horizon_hours: float = 72.0
    """How long a delivery is tried; after that it is dead. Default 72."""


def judge(
    outcome: Outcome,
    *,
    tries: int,
    live_since: int,
    now: int,
    policy: RetryPolicy,
    dead_on: frozenset[int],
    held: bool,
    jitter: float,
) -> Verdict:
    """`tries` counts the earlier attempts; `live_since` and `now` in Unix ms; `jitter` in [-1, 1] moves the wait by up to 20 %.

    `held`: the destination is down, so that this attempt says nothing of the event, and the delivery goes to the end
    of those that wait.

    Everything but 2xx is tried again until the horizon, unless the operator called the status final, because a
    deployment being pushed answers 404 and a wrong key is put right tomorrow. The last attempt is made at the
    horizon itself, so that nothing dies untried.
    """
    if outcome.kind == "success":
        return Delivered()
    if outcome.kind == "payload":
        return Dead("payload")
    if outcome.status in dead_on:
        return Dead("dead_on")
    if held:
        return RetryAt(now, counts=False)
    horizon = live_since + round(policy.horizon_hours * 3_600_000)
    if now >= horizon:
        return Dead("horizon")
    wait_ms = round(wait_seconds(tries + 1, policy=policy) * (1 + JITTER * jitter) * 1000)
    asked = 0 if outcome.status in QUIET_STATUSES else retry_after_ms(outcome.retry_after, now=now)
    return RetryAt(min(now + max(wait_ms, asked), horizon))


def wait_seconds(attempt: int, *, policy: RetryPolicy) -> float:
    """The wait after attempt number `attempt`: 0.5, 2, then 5, 30, 120, 600, 1800 and from there on 3600."""
    if attempt < policy.quick_attempts:
        return QUICK_WAITS_SECONDS[min(attempt, len(QUICK_WAITS_SECONDS)) - 1]
    slow = attempt - policy.quick_attempts
    return SLOW_WAITS_SECONDS[min(slow, len(SLOW_WAITS_SECONDS) - 1)]


def retry_after_ms(value: str | None, *, now: int) -> int:
    """How long the destination asks to be left alone, in ms; 0 where it does not say or says nonsense.

    Both forms of RFC 9110, section 10.2.3: seconds, or a date.
    """
    if value is None:
        return 0
    text = value.strip()
    if text.isascii() and text.isdigit():
        return int(text[:9]) * 1000
    try:
        at = parsedate_to_datetime(text)
        if at.tzinfo is None:  # "-0000", which names no zone
            at = at.replace(tzinfo=UTC)
        return max(0, round(at.timestamp() * 1000) - now)
    except (ValueError, OverflowError):
        return 0
