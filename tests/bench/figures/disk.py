"""How much room an event takes."""

from tests.bench.figures.delivering import delivering
from tests.bench.place import Place
from tests.bench.result import Cell, Figure

TOTAL = 10_000
BODY_BYTES = 1024
CONNECTIONS = 32


def measure(place: Place) -> Figure:
    total = place.scale.number(TOTAL, least=100)
    with delivering(place, "disk") as scene:
        at_first, _ = scene.gateway.store_bytes()
        job = {"total": total, "connections": CONNECTIONS, "body_bytes": BODY_BYTES}
        scene.loader.ask("burst", port=scene.gateway.port, **job)
        scene.wait_for(total)
        _, log = scene.gateway.store_bytes()
        store = scene.gateway.store
    at_end = store.stat().st_size  # a gateway that stops leaves no log
    per_event = (at_end - at_first) / total
    row: list[Cell] = [total, BODY_BYTES, per_event, per_event - BODY_BYTES, log / 1e6]
    return Figure(
        title="Room on disk",
        how=(
            "Events that were delivered at the first attempt, with headers, keys of duplicates and the attempt's record. "
            "The write-ahead log is there while the gateway runs; its size does not grow with the number of events."
        ),
        columns=["events", "body bytes", "bytes per event", "beyond the body", "write-ahead log MB"],
        rows=[row],
    )
