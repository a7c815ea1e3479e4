"""A gateway process between its producers and two destinations, all of whom remember what they saw."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.background import Background, background
from tests.support.gateway_app import KEY, signed
from tests.support.gateway_process import Answer, GatewayProcess
from tests.support.noting_destination import OK, Behaviour, NotingDestinations, noting_destinations
from tests.support.producers import Ledger, Producer, Webhook
from tests.support.reconcile import Account, reconcile
from tests.support.store import rows
from tests.support.waiting import eventually

ROUTES = {"first": "thing.*", "second": "thing.moved"}
DESTINATION = """
[[destinations]]
name = "{name}"
url = "{url}"
event_types = ["{types}"]
allow_private_address = true
dead_on = [409]
retry = {{ quick_attempts = 10, horizon_hours = 1 }}
timeout_seconds = {timeout_seconds}
"""


@dataclass(slots=True)
class Scene:
    gateway: GatewayProcess
    destinations: NotingDestinations
    background: Background
    ledger: Ledger = field(default_factory=Ledger)

    def begin(
        self, goes_on: Callable[[int], bool], *, name: str = "job", **habits: float | bool
    ) -> "Future[None]":
        """A producer that sends as long as `goes_on` says so of the next webhook's number."""
        producer = Producer(name, self.gateway.port, self.ledger, **habits)  # type: ignore[arg-type]
        return self.background.begin(producer.run(goes_on))

    def send(self, count: int, *, name: str = "job", **habits: float | bool) -> None:
        self.begin(lambda n: n <= count, name=name, **habits).result(60)

    def post(self, webhook: Webhook, *, key: bytes = KEY, at: int | None = None) -> Answer:
        """One try, signed with `key` for the Unix second `at`; the ledger knows nothing of it."""
        headers = signed(webhook.body, message_id=webhook.message_id, key=key, at=at)
        return self.gateway.ask("POST", "/webhooks/producer", body=webhook.body, headers=headers)

    def pending(self) -> int:
        return int(rows(self.gateway.store, "SELECT count(*) FROM deliveries WHERE state = 'pending'")[0][0])

    def settle(self, *, seconds: float = 20.0) -> None:
        """Until nothing is pending."""
        eventually(lambda: self.pending() == 0, seconds=seconds)

    def account(self, *, replays: Sequence[str | None] = ()) -> Account:
        return reconcile(
            self.gateway.store, self.ledger, self.destinations.attempts, routes=ROUTES, replays=replays
        )

    def close_account(self, *, replays: Sequence[str | None] = ()) -> Account:
        """Delivers what is left, stops the gateway, and reconciles."""
        self.settle()
        self.gateway.stop()
        return self.account(replays=replays)


@contextmanager
def scene(
    folder: Path,
    behave: Behaviour = lambda _: OK,
    *,
    store: Path | None = None,
    retention: str = "",
    log_level: str = "info",
    timeout_seconds: float = 2,
) -> Iterator[Scene]:
    """The gateway is not started yet."""
    with noting_destinations(behave) as destinations, background() as loop:
        text = "".join(
            DESTINATION.format(
                name=name, url=destinations.url(name), types=types, timeout_seconds=timeout_seconds
            )
            for name, types in ROUTES.items()
        )
        gateway = GatewayProcess(folder, text, store=store, retention=retention, log_level=log_level)
        try:
            yield Scene(gateway, destinations, loop)
        finally:
            gateway.close()
