"""How much of what was said the local engine hears, and how long it takes."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from tests.bench.place import Place
from tests.bench.result import Cell, Claim, Figure
from tests.bench.transcriber import Transcriber, transcriber
from tests.support.speech import DATA, SAID, said, speech
from tests.support.wer import word_error_rate, words

ROUNDS = 3
TIMES = 29
"""Of the samples in the long recording: ten minutes."""
MOST_WRONG = 10.0
MOST_REAL_TIME = 0.2
MOST_REAL_TIME_SHORT = 0.5
"""Whisper takes as long for three seconds as for thirty."""


@dataclass(frozen=True, slots=True)
class Heard:
    recording: str
    audio_seconds: float
    words: int
    wrong: float
    """Words substituted, left out or put in."""
    took_seconds: float

    @property
    def real_time_factor(self) -> float:
        return self.took_seconds / self.audio_seconds


def measure(place: Place) -> Figure:
    names = list(SAID)[: place.scale.number(len(SAID))]
    with transcriber(place, place.folder / "speech") as service:
        samples = [_heard(service, name, rounds=place.scale.number(ROUNDS)) for name in names]
        short_mb = service.memory_mb(peak=True)
        long = _long(service, times=place.scale.number(TIMES))
        long_mb = service.memory_mb(peak=True)
    return Figure(
        title="Speech on this machine",
        how=(
            "Recordings sent to the API, one after the other; the local engine, Whisper tiny.en, hears them on all cores "
            "but one. Wrong is the word error rate: words substituted, left out or put in, of those said, without case "
            'and punctuation; "Mr" for "mister" counts. The real-time factor is the time from a job\'s `startedAt` to its '
            f"`completedAt` per second of audio, the median of {ROUNDS} rounds; what is read, measured and stored meanwhile "
            "counts. Whisper takes as long for three seconds as for thirty. The long recording is the three of WAV over and over, without a pause. Memory is the most that was "
            "resident since the start."
        ),
        columns=["recording", "seconds", "words", "wrong %", "took s", "real-time factor", "memory MB"],
        rows=[*_rows(samples, short_mb), *_rows([long], long_mb)],
        claims=list(_claims(samples, long)),
    )


def _heard(service: Transcriber, name: str, *, rounds: int) -> Heard:
    recording = (DATA / name).read_bytes()
    jobs = [
        service.completed(recording, f"the-bench-says-{name.replace('.', '-')}-{n}") for n in range(rounds)
    ]
    return _judged(jobs, name, SAID[name])


def _long(service: Transcriber, *, times: int) -> Heard:
    job = service.completed(speech(times=times), "the-long-one-of-the-bench", seconds=1_800)
    return _judged([job], f"{times} times the WAV samples", said(times=times))


def _judged(jobs: list[dict], name: str, said: str) -> Heard:
    """Of one recording, heard several times: the text of the first, as it is the same each time."""
    result, times = jobs[0]["result"], [job["timestamps"] for job in jobs]
    return Heard(
        recording=name,
        audio_seconds=result["durationSeconds"],
        words=len(words(said)),
        wrong=word_error_rate(said, result["text"]) * len(words(said)),
        took_seconds=statistics.median((one["completedAt"] - one["startedAt"]) / 1000 for one in times),
    )


def _rows(heard: list[Heard], memory_mb: float) -> list[list[Cell]]:
    return [
        [
            one.recording,
            one.audio_seconds,
            one.words,
            100 * one.wrong / one.words,
            one.took_seconds,
            one.real_time_factor,
            memory_mb,
        ]
        for one in heard
    ]


def _claims(samples: list[Heard], long: Heard) -> Iterator[Claim]:
    wrong = 100 * sum(one.wrong for one in samples) / sum(one.words for one in samples)
    yield Claim("words wrong, all samples", wrong, at_most=MOST_WRONG, unit="%")
    yield Claim("words wrong, the long one", 100 * long.wrong / long.words, at_most=MOST_WRONG, unit="%")
    yield Claim("real-time factor, the long one", long.real_time_factor, at_most=MOST_REAL_TIME)
    worst = max(one.real_time_factor for one in samples)
    yield Claim("real-time factor, the worst sample", worst, at_most=MOST_REAL_TIME_SHORT)
