"""What traces cost: nothing where they are off, little where few are sampled."""

from collections.abc import Mapping
from statistics import median

from tests.bench.figures.delivering import CONNECTIONS, delivering
from tests.bench.gateway import free_port
from tests.bench.place import Place
from tests.bench.result import Cell, Claim, Figure, quantile

ROUNDS = 3
BURST = 6_000
STEADY_PER_SECOND = 200
STEADY_SECONDS = 5
BODY_BYTES = 512
NONE, SOME, ALL = "off", "5 % sampled", "all sampled"
MOST_SOME, MOST_ALL = 1.25, 1.75
"""Of the CPU time without, which says more than a rate where others want the same cores."""

Run = tuple[float, float, float, float]
"""Delivered a second, CPU µs an event, then p50 and p99 in ms from request to answer at the steady rate."""


def measure(place: Place) -> Figure:
    port = free_port()
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
    share = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.05"}
    settings: dict[str, Mapping[str, str]] = {NONE: {}, SOME: {**endpoint, **share}, ALL: endpoint}
    runs: dict[str, list[Run]] = {name: [] for name in settings}
    with place.processes.python("tests.bench.collector", str(port)):
        for number in range(ROUNDS):  # by turns: whatever else the machine does, it does to all
            for name, environ in settings.items():
                runs[name].append(_run(place, f"tracing-{number}-{name[0]}", environ))
    middle = {name: [median(column) for column in zip(*made, strict=True)] for name, made in runs.items()}
    off, some, every = (middle[name][1] for name in (NONE, SOME, ALL))
    rows: list[list[Cell]] = [[name, *values] for name, values in middle.items()]
    return Figure(
        title="Traces",
        how=(
            f"Webhooks of {BODY_BYTES} bytes without a trace of their own, accepted and delivered: as many as the gateway "
            f"takes, then {STEADY_PER_SECOND} a second. Each that is sampled makes three spans, for a collector on the same "
            f"cores that keeps nothing. Medians of {ROUNDS} rounds by turns."
        ),
        columns=["traces", "delivered/s", "CPU µs per event", "accept p50 ms", "accept p99 ms"],
        rows=rows,
        claims=[
            Claim("CPU of an event with 5 % sampled against none", some / off, at_most=MOST_SOME),
            Claim("CPU of an event with all sampled against none", every / off, at_most=MOST_ALL),
        ],
    )


def _run(place: Place, name: str, environ: Mapping[str, str]) -> Run:
    total = place.scale.number(BURST, least=100)
    steady = round(STEADY_PER_SECOND * place.scale.seconds(STEADY_SECONDS))
    with delivering(place, name, environ=environ) as scene:
        began = scene.gateway.cpu_seconds()
        job = {"port": scene.gateway.port, "body_bytes": BODY_BYTES}
        sent = scene.loader.ask("burst", total=total, connections=CONNECTIONS, **job)
        scene.wait_for(total)
        (_, times), _ = scene.arrivals()
        cpu = (scene.gateway.cpu_seconds() - began) / total * 1e6
        scene.receiver.ask("forget")
        took = scene.loader.ask("stream", rate=STEADY_PER_SECOND, total=steady, connections=64, **job)[
            "took_ms"
        ]
        scene.wait_for(steady)
    ms = sorted(took)
    return total / (times[-1] - sent["began"]), cpu, quantile(ms, 0.5), quantile(ms, 0.99)
