"""What an hour of speech costs the transcriber in memory, with the local engine."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from tests.bench.place import Place
from tests.bench.result import Claim, Figure, Panel, Series
from tests.bench.transcriber import transcriber
from tests.support.speech import RATE, samples, seconds_of_silence, wav

HOUR_SECONDS = 3_600
PAUSE_SECONDS = 1
LOOK_SECONDS = 0.5
MAX_MB = 600.0
SAMPLES = ("jfk.wav", "austen-0870.wav", "austen-0880.wav")


@dataclass(frozen=True, slots=True)
class Heard:
    idle_mb: float
    """Resident, with the engine loaded, before the recording is there."""
    peak_mb: float
    took_seconds: float
    course: list[tuple[float, float]]
    """Per cent of the recording that were done, and what was resident then."""


def measure(place: Place) -> Figure:
    seconds = place.scale.number(HOUR_SECONDS, least=60)
    heard = hear(place, spoken(seconds, pause_seconds=PAUSE_SECONDS))
    return Figure(
        title="Memory for an hour of speech",
        how=(
            f"The samples one after the other, {PAUSE_SECONDS} s between them, {seconds / 60:.0f} min in all, sent as one WAV to "
            "`python -m transcriber serve` with the local engine. Peak is the whole process's, from its start to the "
            "finished job. The recording is heard in windows of at most two minutes, so its length does not matter."
        ),
        columns=["minutes", "idle MB", "peak MB", "took s", "times real time"],
        rows=[[seconds / 60, heard.idle_mb, heard.peak_mb, heard.took_seconds, seconds / heard.took_seconds]],
        claims=[Claim("peak memory of the process", heard.peak_mb, at_most=MAX_MB, unit="MB")],
        panels=[
            Panel(
                title="while it is heard",
                x="per cent done",
                y="resident MB",
                series=[Series("process", heard.course)],
                marks=[("limit", MAX_MB)],
            )
        ],
    )


def spoken(seconds: int, *, pause_seconds: int) -> bytes:
    """A WAV of at least so many seconds."""
    once = b"".join(samples(name) + seconds_of_silence(pause_seconds) for name in SAMPLES)
    return wav(once * (seconds * RATE * 2 // len(once) + 1))


def hear(place: Place, recording: bytes) -> Heard:
    with (
        transcriber(place, place.folder / "speech-memory") as service,
        httpx.Client(base_url=service.url, timeout=60) as http,
    ):
        idle, began = service.memory_mb(), time.monotonic()
        sent = http.post("/v1/jobs", files={"file": ("speech.wav", recording)}).raise_for_status().json()
        course = [(float(percent), service.memory_mb()) for percent in _progress(http, sent["jobId"])]
        return Heard(idle, service.memory_mb(peak=True), time.monotonic() - began, course)


def _progress(http: httpx.Client, job_id: str) -> Iterator[int]:
    while True:
        job = http.get(f"/v1/jobs/{job_id}").raise_for_status().json()
        if job["status"] in {"failed", "cancelled"}:
            raise RuntimeError(f"the recording was not heard: {job['error']}")
        yield job["progress"]
        if job["status"] == "completed":
            return
        time.sleep(LOOK_SECONDS)
