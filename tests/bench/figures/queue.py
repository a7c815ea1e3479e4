"""What the transcriber adds to the time that an engine takes."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.place import Place
from tests.bench.result import Cell, Claim, Figure, Panel, distribution, quantile
from tests.bench.transcriber import Transcriber, send, transcriber
from tests.support.groq_server import KEY, Answer, Answered, GroqServer, groq_server
from tests.support.live_server import live_server
from tests.support.speech import DATA
from tests.support.waiting import eventually
from tests.support.webhook_receiver import SECRET, Received, WebhookReceiver, webhook_receiver
from transcriber.app import build
from transcriber.settings import parse
from transcriber.speech.local import LocalEngine

JOBS = 200
ALONE = 50
LOCAL = 20
SENDERS = 16
HELD = 4
"""As many as Groq's engine asks at once: until they are answered, the others wait."""
RECORDING = DATA / "austen-0880.wav"
TOGETHER, SINGLY, BY_ITSELF = "Groq, all at once", "Groq, one at a time", "local, one at a time"
MOST_WEBHOOK_MS = 20.0
MOST_WEBHOOK_OF_MANY_MS = 250.0
MOST_OVERHEAD_MS = 50.0
MOST_ACCEPT_MS = 500.0
MOST_GROWTH_MB = 50.0


@dataclass(frozen=True, slots=True)
class Done:
    """What became of a job, in ms. Times of the service are whole ones."""

    beside_engine: float
    """From `startedAt` to `completedAt`, without the engine's own time."""
    to_webhook: float
    """From the engine's answer to the arrival of the webhook that says so."""


@dataclass(frozen=True, slots=True)
class Burst:
    accepted_ms: Sequence[float]
    jobs: Sequence[Done]
    drained_seconds: float
    """From the moment when Groq began to answer to the last webhook."""
    cpu_seconds: float
    memory_mb: tuple[float, float]
    """Before and after."""


class Noting:
    """An engine that notes when it is done. Everything else is the engine's own."""

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine
        self.done_at: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def transcribe(self, *arguments: Any) -> Any:
        transcript = await self._engine.transcribe(*arguments)
        self.done_at.append(time.monotonic())
        return transcript


def measure(place: Place) -> Figure:
    with ExitStack() as ends:
        groq, receiver = ends.enter_context(groq_server()), ends.enter_context(webhook_receiver())
        environment = {
            "TRANSCRIBER_WEBHOOK_URL": receiver.url,
            "TRANSCRIBER_WEBHOOK_SECRET": SECRET,
            "GROQ_API_KEY": KEY,
            "GROQ_BASE_URL": groq.url,
        }
        service = ends.enter_context(transcriber(place, place.folder / "queue", **environment))
        burst = _burst(service, groq, receiver, jobs=place.scale.number(JOBS, least=HELD))
        singly = _singly(service, groq, receiver, jobs=place.scale.number(ALONE, least=2))
    local = _local(place.folder / "local", jobs=place.scale.number(LOCAL))
    return _figure(burst, singly, local)


def _burst(service: Transcriber, groq: GroqServer, receiver: WebhookReceiver, *, jobs: int) -> Burst:
    """All are queued before the first is done."""
    before = service.memory_mb()
    groq.answers.extend([Answer(held=True)] * HELD)
    ids = [f"one-of-the-burst-{number:06}" for number in range(jobs)]
    with ThreadPoolExecutor(SENDERS) as senders:
        accepted_ms = sorted(senders.map(lambda job_id: _send(service.port, job_id), ids))
    _until_announced(receiver, "queued", jobs)
    spent, began = service.cpu_seconds(), time.monotonic()
    groq.release()
    arrived = _until_announced(receiver, "completed", jobs)
    return Burst(
        accepted_ms=accepted_ms,
        jobs=[_done(answered, arrived) for answered in groq.answered],
        drained_seconds=max(webhook.at for webhook in arrived.values()) - began,
        cpu_seconds=service.cpu_seconds() - spent,
        memory_mb=(before, service.memory_mb()),
    )


def _singly(
    service: Transcriber, groq: GroqServer, receiver: WebhookReceiver, *, jobs: int
) -> Sequence[Done]:
    """Each is sent when the one before is done."""
    before = len(groq.answered)
    for number in range(jobs):
        _send(service.port, f"one-by-itself-{number:010}")
        arrived = _until_announced(receiver, "completed", before + number + 1)
    return [_done(answered, arrived) for answered in groq.answered[before:]]


def _local(data: Path, *, jobs: int) -> list[float]:
    """From the engine's last segment to the arrival of the webhook, in ms; in this process, beside the receiver."""
    engine = Noting(LocalEngine())
    with webhook_receiver() as receiver:
        settings = parse(
            {
                "TRANSCRIBER_DATA_DIR": str(data),
                "TRANSCRIBER_WEBHOOK_URL": receiver.url,
                "TRANSCRIBER_WEBHOOK_SECRET": SECRET,
            }
        )
        with live_server(build(settings, engine=engine)) as url:
            port = int(url.rpartition(":")[2])
            for number in range(jobs):
                _send(port, f"one-of-the-engine-{number:06}")
                arrived = _until_announced(receiver, "completed", number + 1)
    moments = sorted(webhook.at for webhook in arrived.values())
    return [(at - done) * 1000 for at, done in zip(moments, engine.done_at, strict=True)]


def _send(port: int, job_id: str) -> float:
    """In ms. The prompt tells Groq's stand-in, and so the bench, which job it is asked about."""
    recording = RECORDING.read_bytes()
    began = time.monotonic()
    send(port, recording, job_id=job_id, prompt=job_id)
    return (time.monotonic() - began) * 1000


def _until_announced(receiver: WebhookReceiver, step: str, jobs: int) -> dict[str, Received]:
    """The webhooks of this step by job, once there are so many."""
    begin = f'{{"type":"transcription.job.{step}"'

    def announced() -> list[Received] | None:
        found = [webhook for webhook in receiver.received if webhook.body.startswith(begin)]
        return found if len(found) >= jobs else None

    found = eventually(announced, seconds=120, pause_seconds=0.02)
    return {webhook.data["jobId"]: webhook for webhook in found}


def _done(answered: Answered, arrived: dict[str, Received]) -> Done:
    webhook = arrived[answered.asked.value("prompt")]
    times = webhook.data["timestamps"]
    engine_ms = (answered.monotonic - answered.asked.at) * 1000
    return Done(
        beside_engine=times["completedAt"] - times["startedAt"] - engine_ms,
        to_webhook=(webhook.at - answered.monotonic) * 1000,
    )


def _figure(burst: Burst, singly: Sequence[Done], local: Sequence[float]) -> Figure:
    runs = {TOGETHER: burst.jobs, SINGLY: singly}
    beside = {name: sorted(job.beside_engine for job in jobs) for name, jobs in runs.items()}
    to_webhook = {name: sorted(job.to_webhook for job in jobs) for name, jobs in runs.items()}
    to_webhook[BY_ITSELF] = sorted(local)
    return Figure(
        title="What the queue adds",
        how=_how(burst),
        columns=["what", "engine", "jobs", "p50 ms", "p95 ms", "p99 ms", "worst ms"],
        rows=[
            _row("upload to 202", f"{SENDERS} senders", burst.accepted_ms),
            *(_row("run beside the engine", name, ms) for name, ms in beside.items()),
            *(_row("engine's answer to webhook", name, ms) for name, ms in to_webhook.items()),
        ],
        claims=_claims(burst, beside, to_webhook),
        panels=[
            Panel(
                title="share of the webhooks that had arrived",
                x="ms since the engine's answer",
                y="%",
                series=[distribution(name, ms) for name, ms in to_webhook.items()],
                log_x=True,
            )
        ],
    )


def _row(what: str, engine: str, ms: Sequence[float]) -> list[Cell]:
    return [what, engine, len(ms), *(quantile(ms, share) for share in (0.5, 0.95, 0.99, 1.0))]


def _how(burst: Burst) -> str:
    jobs, before, after = len(burst.jobs), *burst.memory_mb
    return (
        f"{jobs} recordings of 3 s are uploaded, {SENDERS} at a time; a server on this machine answers in place of Groq, "
        "and answers nobody before all are queued, then everybody at once. The run beside the engine is the time from a "
        "job's `startedAt` to its `completedAt`, whole milliseconds, without what the engine takes: the recording is decoded "
        "to measure it, sent, and the result stored. The webhook has arrived once its receiver has verified it; those of a "
        "job go one after the other. All at once, an engine that takes no time leaves the service never idle: what a webhook then "
        "waits for is the work on other jobs. One at a time, each job is sent when the one before is done. Of the local engine, "
        "which runs in the bench's own process, the time counts from its last segment. Senders, receiver and Groq's "
        "stand-in are one process on the same cores. "
        f"From Groq's first answer to the last webhook, {burst.drained_seconds * 1000 / jobs:.1f} ms went by for each of the "
        f"{jobs} jobs, {burst.cpu_seconds * 1000 / jobs:.1f} ms of them of CPU in the service, whose memory went from "
        f"{before:.0f} to {after:.0f} MB."
    )


def _claims(burst: Burst, beside: dict[str, list[float]], to_webhook: dict[str, list[float]]) -> list[Claim]:
    growth_mb = burst.memory_mb[1] - burst.memory_mb[0]
    return [
        Claim("p99, upload to 202", quantile(burst.accepted_ms, 0.99), at_most=MOST_ACCEPT_MS, unit="ms"),
        Claim(
            f"p50 beside the engine, {SINGLY}",
            quantile(beside[SINGLY], 0.5),
            at_most=MOST_OVERHEAD_MS,
            unit="ms",
        ),
        *(
            Claim(
                f"p50 to the webhook, {name}",
                quantile(to_webhook[name], 0.5),
                at_most=MOST_WEBHOOK_MS,
                unit="ms",
            )
            for name in (SINGLY, BY_ITSELF)
        ),
        Claim(
            f"p99 to the webhook, {TOGETHER}",
            quantile(to_webhook[TOGETHER], 0.99),
            at_most=MOST_WEBHOOK_OF_MANY_MS,
            unit="ms",
        ),
        Claim("memory for the jobs of the burst", growth_mb, at_most=MOST_GROWTH_MB, unit="MB"),
    ]
