"""Where the processor's time goes."""

from tests.bench.figures.delivering import delivering
from tests.bench.gateway import bare_endpoint, gateway
from tests.bench.place import Place
from tests.bench.processes import Worker, cpu_seconds
from tests.bench.result import Cell, Figure, Panel, Series

TOTAL = 10_000
STAGE_EVENTS = 8_000
CONNECTIONS = 32
BODY_BYTES = 512


def measure(place: Place) -> Figure:
    with (
        place.processes.worker("tests.bench.stages") as stages,
        place.processes.worker("tests.bench.receiver") as receiver,
    ):
        events = place.scale.number(STAGE_EVENTS, least=64)
        by_stage = stages.ask("measure", events=events, destination_port=receiver.ask("up"))
    whole = _whole_processes(place)
    rows: list[list[Cell]] = [["stage", name, us] for name, us in by_stage.items()]
    rows.append(["all stages", "", sum(by_stage.values())])
    rows += [["process", name, us] for name, us in whole.items()]
    return Figure(
        title="CPU time of an event",
        how=(
            f"Microseconds of CPU per event of {BODY_BYTES} bytes, kernel included. Stages are measured by themselves in "
            "one process, 32 events at a time, and so without what they cost each other: switches of threads, waits for "
            "the interpreter's lock, the sockets of the requests. Processes are measured as a whole, under load."
        ),
        columns=["what", "of", "CPU µs per event"],
        rows=rows,
        panels=[
            Panel(
                title="by stage",
                x="CPU µs per event",
                y="",
                series=[Series("stages", list(by_stage.items()))],
                kind="bars",
            ),
            Panel(
                title="whole processes, under load",
                x="CPU µs per event",
                y="",
                series=[Series("processes", list(whole.items()))],
                kind="bars",
            ),
        ],
    )


def _whole_processes(place: Place) -> dict[str, float]:
    total = place.scale.number(TOTAL, least=100)
    figures: dict[str, float] = {}
    with place.processes.worker("tests.bench.load") as loader:
        with bare_endpoint(place) as (port, pid):
            figures["bare endpoint"] = _cpu(loader, port, pid, total)
        with gateway(place, place.folder / "cpu.db", paused=True) as running:
            figures["gateway, accepting"] = _cpu(loader, running.port, running.process.pid, total)
    with delivering(place, "cpu-delivering") as scene:
        began = scene.gateway.cpu_seconds()
        job = {"total": total, "connections": CONNECTIONS, "body_bytes": BODY_BYTES}
        scene.loader.ask("burst", port=scene.gateway.port, **job)
        scene.wait_for(total)
        figures["gateway, accepting and delivering"] = (scene.gateway.cpu_seconds() - began) / total * 1e6
    return figures


def _cpu(loader: Worker, port: int, pid: int, total: int) -> float:
    loader.ask("burst", port=port, total=CONNECTIONS, connections=CONNECTIONS, body_bytes=BODY_BYTES)
    began = cpu_seconds(pid)
    loader.ask("burst", port=port, total=total, connections=CONNECTIONS, body_bytes=BODY_BYTES)
    return (cpu_seconds(pid) - began) / total * 1e6
