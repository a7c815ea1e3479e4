"""The words of the API as values: a job, what was asked, what was heard."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NewType, TypeAlias, get_args

JobId = NewType("JobId", str)
WebhookId = NewType("WebhookId", str)
WebhookName = NewType("WebhookName", str)
AudioName = NewType("AudioName", str)  # of a file in the store's audio folder; says nothing of the upload
UnixMs: TypeAlias = int

Status = Literal["queued", "processing", "completed", "failed", "cancelled", "deleted"]
Step = Literal["queued", "started", "progress", "completed", "failed", "cancelled", "deleted"]
FinalStep = Literal["completed", "failed", "cancelled"]
Granularity = Literal["word", "segment"]
AttemptOutcome = Literal["fetched", "completed", "failed", "postponed", "stopped", "interrupted"]

STEPS: tuple[Step, ...] = get_args(Step)
STATUSES: tuple[Status, ...] = get_args(Status)
FINAL: frozenset[Status] = frozenset({"completed", "failed", "cancelled"})
OVER: frozenset[Status] = FINAL | {"deleted"}


@dataclass(frozen=True, slots=True)
class Segment:
    """Times are seconds from the start of the recording."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Word:
    """Times are seconds from the start of the recording."""

    start: float
    end: float
    word: str


@dataclass(frozen=True, slots=True)
class Transcript:
    """What an engine heard. `language` is ISO 639-1, None where unknown; `words` is None unless asked for."""

    text: str
    language: str | None
    duration_seconds: float
    segments: tuple[Segment, ...]
    words: tuple[Word, ...] | None


@dataclass(frozen=True, slots=True)
class Part:
    """What was heard from sample `start` of a recording at 16 kHz up to `end`; its times count from `start`."""

    start: int
    end: int
    transcript: Transcript


@dataclass(frozen=True, slots=True)
class Result:
    """A transcript as it travels in a job: `segments` is None where they were too many or too large."""

    text: str
    language: str | None
    duration_seconds: float
    segments: tuple[Segment, ...] | None
    transcript_url: str | None
    truncated: bool


@dataclass(frozen=True, slots=True)
class Failure:
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Job:
    """The public job. `progress` is a whole per cent; `sequence` is that of the job's latest event, 0 before the first."""

    job_id: JobId
    user_id: str
    status: Status
    progress: int
    sequence: int
    result: Result | None
    error: Failure | None
    created_at: UnixMs
    started_at: UnixMs | None
    completed_at: UnixMs | None


@dataclass(frozen=True, slots=True)
class Options:
    """What the client asked for; None leaves it to the engine."""

    language: str | None = None
    model: str | None = None
    prompt: str | None = None
    granularities: tuple[Granularity, ...] = ()
    temperature: float | None = None


@dataclass(frozen=True, slots=True)
class Audio:
    """A stored recording. `extension` is that of its container, without a dot, by content and not by its name."""

    name: AudioName
    extension: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class AudioUrl:
    """Where a recording is yet to be fetched from. Never shown nor logged: what follows the host may be a signature."""

    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Submission:
    """A job to be. `digest` covers the audio, or its address, and every field: equal digests are the same content."""

    job_id: JobId
    user_id: str
    options: Options
    audio: Audio | AudioUrl
    digest: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """A job that a worker has in hand. `attempt` counts from 1."""

    job: Job
    options: Options
    audio: Audio | AudioUrl
    attempt: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a job on an engine, `number` counted from 1. `outcome` is None while it runs.

    `ended_at` is None then too, and of an attempt whose process was killed; `retry_at` is for one that was postponed.
    """

    number: int
    engine: str
    started_at: UnixMs
    ended_at: UnixMs | None
    outcome: AttemptOutcome | None
    code: str | None
    message: str | None
    retry_at: UnixMs | None


def event_type(step: Step) -> str:
    return f"transcription.job.{step}"


def job_data(job: Job) -> str:
    """The job as JSON: the `data` of a webhook, and byte for byte what GET answers."""
    return _json(
        {
            "jobId": job.job_id,
            "userId": job.user_id,
            "status": job.status,
            "progress": job.progress,
            "sequence": job.sequence,
            "result": None if job.result is None else _result(job.result),
            "error": None if job.error is None else {"code": job.error.code, "message": job.error.message},
            "timestamps": {
                "createdAt": job.created_at,
                "startedAt": job.started_at,
                "completedAt": job.completed_at,
            },
        }
    )


def job_from_data(data: str) -> Job:
    """The reverse of `job_data`."""
    raw: dict[str, Any] = json.loads(data)
    times = raw["timestamps"]
    return Job(
        job_id=JobId(raw["jobId"]),
        user_id=raw["userId"],
        status=raw["status"],
        progress=raw["progress"],
        sequence=raw["sequence"],
        result=None if raw["result"] is None else _result_from(raw["result"]),
        error=None if raw["error"] is None else Failure(**raw["error"]),
        created_at=times["createdAt"],
        started_at=times["startedAt"],
        completed_at=times["completedAt"],
    )


def attempts_data(attempts: Sequence[Attempt]) -> str:
    """The attempts as JSON."""
    return _json(
        {
            "items": [
                {
                    "number": attempt.number,
                    "engine": attempt.engine,
                    "startedAt": attempt.started_at,
                    "endedAt": attempt.ended_at,
                    "outcome": attempt.outcome,
                    "code": attempt.code,
                    "message": attempt.message,
                    "retryAt": attempt.retry_at,
                }
                for attempt in attempts
            ]
        }
    )


def transcript_data(transcript: Transcript) -> str:
    """The whole transcript as JSON: `words` is null unless asked for."""
    return _json(
        {
            "text": transcript.text,
            "language": transcript.language,
            "durationSeconds": transcript.duration_seconds,
            "segments": [_segment(segment) for segment in transcript.segments],
            "words": None
            if transcript.words is None
            else [{"start": word.start, "end": word.end, "word": word.word} for word in transcript.words],
        }
    )


def transcript_from_data(data: str) -> Transcript:
    """The reverse of `transcript_data`."""
    raw: dict[str, Any] = json.loads(data)
    return Transcript(
        text=raw["text"],
        language=raw["language"],
        duration_seconds=raw["durationSeconds"],
        segments=tuple(Segment(**segment) for segment in raw["segments"]),
        words=None if raw["words"] is None else tuple(Word(**word) for word in raw["words"]),
    )


def result_data(result: Result) -> str:
    """The result as it stands in `job_data`."""
    return _json(_result(result))


def _result(result: Result) -> dict[str, object]:
    return {
        "text": result.text,
        "language": result.language,
        "durationSeconds": result.duration_seconds,
        "segments": None if result.segments is None else [_segment(segment) for segment in result.segments],
        "transcriptUrl": result.transcript_url,
        "truncated": result.truncated,
    }


def _result_from(raw: dict[str, Any]) -> Result:
    return Result(
        text=raw["text"],
        language=raw["language"],
        duration_seconds=raw["durationSeconds"],
        segments=None
        if raw["segments"] is None
        else tuple(Segment(**segment) for segment in raw["segments"]),
        transcript_url=raw["transcriptUrl"],
        truncated=raw["truncated"],
    )


def _segment(segment: Segment) -> dict[str, object]:
    return {"start": segment.start, "end": segment.end, "text": segment.text}


def _json(value: object) -> str:
    """Compact JSON that every UTF-8 reader takes: a lone surrogate, which an engine's answer can carry, becomes "?"."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace").decode()
