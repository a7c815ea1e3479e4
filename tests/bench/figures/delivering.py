"""Generator, gateway and destination at once: the scene of several figures."""

import time
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.gateway import Gateway, gateway
from tests.bench.place import Place
from tests.bench.processes import Worker
from tests.bench.receiver import arrivals

LONGEST_SILENCE_SECONDS = 40.0
CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Delivering:
    gateway: Gateway
    loader: Worker
    receiver: Worker
    destination_port: int
    notes: Path

    def wait_for(self, total: int) -> None:
        """Until so many have arrived."""
        progress, since = -1, time.monotonic()
        while (received := self.receiver.ask("received")) < total:
            if received > progress:
                progress, since = received, time.monotonic()
            if time.monotonic() - since > LONGEST_SILENCE_SECONDS:
                raise RuntimeError(f"{received} of {total} arrived, and no more")
            time.sleep(0.01)

    def arrivals(self) -> tuple[tuple["array[int]", "array[float]"], dict[str, int]]:
        """Numbers and times of what came, and what was wrong with it."""
        report = self.receiver.ask("report", path=str(self.notes))
        return arrivals(self.notes), report


@contextmanager
def delivering(
    place: Place, name: str, *, max_in_flight: int = 32, environ: Mapping[str, str] | None = None
) -> Iterator[Delivering]:
    store = place.folder / f"{name}.db"
    with (
        place.processes.worker("tests.bench.load") as loader,
        place.processes.worker("tests.bench.receiver") as receiver,
    ):
        port = receiver.ask("up")
        with gateway(
            place, store, destination_port=port, max_in_flight=max_in_flight, environ=environ
        ) as running:
            scene = Delivering(running, loader, receiver, port, store.with_suffix(".arrivals"))
            loader.ask("burst", port=running.port, total=64, connections=8, body_bytes=512)
            scene.wait_for(64)
            receiver.ask("forget")
            yield scene


def most_per_second(scene: Delivering, total: int) -> float:
    """Accepted and delivered, from the first one's sending to the last one's arrival."""
    sent = scene.loader.ask(
        "burst", port=scene.gateway.port, total=total, connections=CONNECTIONS, body_bytes=512
    )
    scene.wait_for(total)
    (_, times), _ = scene.arrivals()
    return total / (times[-1] - sent["began"])
