"""The transcriber killed and stopped at random under load: nothing accepted is lost, and every state is announced."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.job_reconcile import Arrival, Promises, Stored, faults, faults_of_one_that_wants
from tests.support.transcriber_storm import LEAST_KILLS, LEAST_STOPS, Storm

ROUND_SECONDS = 10.0


def test_a_storm_loses_no_job_and_no_event(tmp_path: Path) -> None:
    report = Storm(tmp_path, seed=11).round(ROUND_SECONDS)
    assert report.faults == [], report.line()
    assert (report.kills >= LEAST_KILLS, report.stops >= LEAST_STOPS) == (True, True)
    assert report.accepted > 0


def data(status: str, sequence: int, *, progress: int = 0, created: int = 1, ended: int | None = None) -> str:
    times = f'{{"createdAt":{created},"startedAt":{"null" if sequence == 1 else 2},"completedAt":{ended or "null"}}}'
    return f'{{"jobId":"one","status":"{status}","progress":{progress},"sequence":{sequence},"timestamps":{times}}}'


def arrival(step: str, job: str, *, webhook_id: str, taken: bool = True) -> Arrival:
    return Arrival(webhook_id, f'{{"type":"transcription.job.{step}","data":{job}}}', taken)


class Sound:
    """A job that went well, with all that is left of it."""

    def __init__(self) -> None:
        done = data("completed", 4, progress=100, ended=3)
        self.promises = Promises(accepted={"one": 1}, ended={"one": "completed"})
        self.arrivals = [
            arrival("queued", data("queued", 1), webhook_id="a", taken=False),
            arrival("queued", data("queued", 1), webhook_id="a"),
            arrival("started", data("processing", 2), webhook_id="b"),
            arrival("progress", data("processing", 3, progress=50), webhook_id="c"),
            arrival("completed", done, webhook_id="d"),
        ]
        self.stored = Stored(
            jobs={"one": done},
            audio={"one": None},
            transcripts={"one"},
            counts={"completed": 1, "failed": 0},
            in_hand=[],
            running=[],
            parts=set(),
            files=set(),
        )

    def faults(self) -> list[str]:
        return faults(self.promises, self.stored, self.arrivals)


def test_what_went_well_has_no_fault() -> None:
    assert Sound().faults() == []


def put(index: int, step: str, job: str, webhook_id: str) -> Callable[[Sound], None]:
    return lambda sound: sound.arrivals.__setitem__(index, arrival(step, job, webhook_id=webhook_id))


BROKEN: dict[str, Callable[[Sound], object]] = {
    "is lost": lambda sound: sound.promises.accepted.update(two=1),
    "another than the one accepted": lambda sound: sound.promises.accepted.update(one=2),
    "was cancelled, and is completed": lambda sound: sound.promises.ended.update(one="cancelled"),
    "was deleted, and is completed": lambda sound: sound.promises.deleted.add("one"),
    "said two things": lambda sound: sound.promises.untrue.append("said two things"),
    "came with two bodies": put(1, "queued", data("queued", 1, progress=1), "a"),
    "was never taken": lambda sound: sound.arrivals.pop(1),
    "came under two ids": put(1, "queued", data("queued", 1), "z"),
    "but there is none": lambda sound: sound.stored.jobs.clear(),
    "was never announced": lambda sound: sound.arrivals.clear(),
    "was announced as [1, 2, 4]": lambda sound: sound.arrivals.pop(3),
    "was announced as [1, 3, 2, 4]": lambda sound: sound.arrivals.insert(2, sound.arrivals.pop(3)),
    "last announced as": lambda sound: sound.arrivals.pop(),
    "is not over": lambda sound: sound.stored.jobs.update(one=data("processing", 3, progress=50)),
    "went ['queued', 'progress'": put(2, "progress", data("processing", 2), "b"),
    "another createdAt": put(3, "progress", data("processing", 3, created=5), "c"),
    "went back to 50 per cent": put(2, "started", data("processing", 2, progress=60), "b"),
    "has {'createdAt': 9": lambda sound: sound.arrivals.__setitem__(
        slice(None), [arrival("completed", data("completed", 4, created=9, ended=3), webhook_id="d")]
    ),
    "still in hand": lambda sound: sound.stored.in_hand.append("one"),
    "an attempt without an end": lambda sound: sound.stored.running.append("one"),
    "a stray recording": lambda sound: sound.stored.files.add("x"),
    "a recording that is gone": lambda sound: sound.stored.audio.update(one="x"),
    "its recording is kept": lambda sound: sound.stored.audio.update(one="x"),
    "its transcript is kept: False": lambda sound: sound.stored.transcripts.clear(),
    "its parts are kept": lambda sound: sound.stored.parts.add("one"),
    "counted as": lambda sound: sound.stored.counts.update(failed=1),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_every_invariant_can_fail(fault: str) -> None:
    sound = Sound()
    BROKEN[fault](sound)
    assert any(fault in found for found in sound.faults()), sound.faults()


@pytest.mark.parametrize(
    ("fault", "arrivals"),
    [
        ("was told as None", []),
        ("was told as ['{", [arrival("completed", data("completed", 4, progress=100), webhook_id="d")]),
        (
            "is not wanted",
            [arrival("queued", data("queued", 1), webhook_id="a")],
        ),
        (
            "was never taken",
            [arrival("completed", data("completed", 4, ended=3), webhook_id="d", taken=False)],
        ),
    ],
)
def test_every_invariant_of_a_webhook_that_wants_less_can_fail(fault: str, arrivals: list[Arrival]) -> None:
    everything = Sound().arrivals
    assert faults_of_one_that_wants({"completed"}, everything[-1:], everything) == []
    found = faults_of_one_that_wants({"completed"}, arrivals, everything)
    assert any(fault in one for one in found), found
