"""/v1: what the gateway holds, and what a person does with it. For whoever has the admin token."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from starlette.routing import Route

from gateway.admin.access import Guard
from gateway.admin.destinations import Destinations, Sources
from gateway.admin.events import Events
from gateway.admin.replays import Replays
from gateway.clock import Clock
from gateway.config import Destination, Source
from gateway.metrics import Metrics
from gateway.model import DestinationName, SourceName
from gateway.pace import Outlook
from gateway.refusals import Strays
from gateway.replay import Choice, Replayer
from gateway.store import Store


class Lanes(Protocol):
    """The ways to the destinations, as `Dispatcher` has them."""

    def wake(self, destinations: Iterable[DestinationName]) -> None: ...

    def look(self, destination: DestinationName) -> None: ...

    def outlook(self, destination: DestinationName) -> Outlook: ...


class Admin:
    def __init__(
        self,
        *,
        store: Store,
        token: str | None,
        sources: Mapping[SourceName, Source],
        destinations: Iterable[Destination],
        choice: Choice,
        replayer: Replayer,
        lanes: Lanes,
        clock: Clock,
        metrics: Metrics,
        strays: Strays,
    ) -> None:
        self._guard = Guard(token, note=strays.note_token)
        self._events = Events(store=store, choice=choice, wake=lanes.wake, clock=clock, metrics=metrics)
        self._replays = Replays(store=store, choice=choice, replayer=replayer, clock=clock)
        self._sources = Sources(sources)
        self._destinations = Destinations(
            destinations, store=store, look=lanes.look, outlook=lanes.outlook, clock=clock
        )

    def take_token(self, token: str | None) -> None:
        """From now on this one is asked for; None: nobody may ask."""
        self._guard.take_token(token)

    def routes(self) -> list[Route]:
        route, events, replays, destinations = (
            self._guard.route,
            self._events,
            self._replays,
            self._destinations,
        )
        return [
            route("/v1/events", GET=events.list),
            route("/v1/events/{id}", GET=events.show, DELETE=events.erase),
            route("/v1/events/{id}/replay", POST=events.replay),
            route("/v1/events/{id}/discard", POST=events.discard),
            route("/v1/replays", GET=replays.list, POST=replays.begin),
            route("/v1/replays/{id}", GET=replays.show),
            route("/v1/replays/{id}/cancel", POST=replays.cancel),
            route("/v1/sources", GET=self._sources.list),
            route("/v1/destinations", GET=destinations.list),
            route("/v1/destinations/{name}/pause", POST=destinations.pause),
            route("/v1/destinations/{name}/resume", POST=destinations.resume),
        ]
