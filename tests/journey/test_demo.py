"""`stack demo` as a person calls it."""

import re
import signal
import subprocess
import sys
import uuid

import pytest

from tests.support.locks import ROOT
from tests.support.processes import marked
from tests.support.product import DATA, ENVIRONMENT, SAID
from tests.support.waiting import eventually
from tests.support.wer import word_error_rate


@pytest.fixture
def mark() -> str:
    return uuid.uuid4().hex


def _demo(audio, mark) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "stack", "demo", "--audio", audio],
        cwd=ROOT,
        env={**ENVIRONMENT, "MARK": mark},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


DASHWOOD = (
    "and mister john dashwood had then leisure to consider how much there might be prudently in his power "
    "to do for them"
)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("jfk.wav", SAID),
        ("austen-0870.wav", DASHWOOD),
    ],
)
def test_a_recording_becomes_text_within_a_second_of_its_completion(name, said, mark):
    demo = _demo(DATA / name, mark)
    output, errors = demo.communicate(timeout=100)
    assert (demo.returncode, errors) == (0, "")

    steps, text = output.rsplit("\n\n", 1)
    assert word_error_rate(said, text) <= 0.2
    for step in ("queued", "completed in the transcriber", "readable in Convex", "read back from Convex"):
        assert re.search(rf"^ +\d+\.\d\d s  {step}", steps, re.MULTILINE), steps
    latency = re.search(r"readable in Convex, (\d+) ms", steps)
    assert latency, steps
    assert int(latency[1]) < 1000
    assert marked(mark) == {}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("missing.wav", None, "missing.wav is not there"),
        (
            "letter.wav",
            b"Dear Sir, this is no audio.\n" * 100,
            "The transcriber refused letter.wav: .*not audio",
        ),
        (
            "cut.wav",
            (DATA / "jfk.wav").read_bytes()[:100_000],
            r"The job ended as failed: .*\(audio_truncated\)",
        ),
    ],
)
def test_what_yields_no_text_is_an_error_in_words(name, content, reason, tmp_path, mark):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    demo = _demo(tmp_path / name, mark)
    _, errors = demo.communicate(timeout=100)
    assert demo.returncode == 1
    assert re.fullmatch(f"stack demo: .*{reason}.*\n", errors), errors
    assert marked(mark) == {}


def test_ctrl_c_ends_the_demo_and_everything_it_started(mark):
    demo = _demo(DATA / "jfk.wav", mark)
    assert "starting" in demo.stdout.readline()
    eventually(lambda: len(marked(mark)) >= 4)
    demo.send_signal(signal.SIGINT)
    _, errors = demo.communicate(timeout=30)
    assert (demo.returncode, errors) == (130, "Stopped.\n")
    assert marked(mark) == {}
