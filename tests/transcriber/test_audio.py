from pathlib import Path

import pytest

from tests.support.speech import DATA, RATE, samples, seconds_of_silence, wav
from transcriber.audio import MAX_WINDOW_SECONDS, identify, measure, windows
from transcriber.errors import AudioError, StoppedError


def measured(path: Path, *, max_seconds: int = 60) -> float:
    return measure(path, max_seconds=max_seconds, stopped=lambda: False)


@pytest.mark.parametrize("name", ["jfk.wav", "jfk.mp3"])
def test_the_container_is_told_by_content_and_the_length_by_decoding(name: str, tmp_path: Path) -> None:
    path = tmp_path / "neutral"
    path.write_bytes((DATA / name).read_bytes())
    assert identify(path) == name.split(".")[1]
    assert measured(path) == pytest.approx(11.0, abs=0.1)


def test_a_recording_over_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "neutral"
    path.write_bytes(wav(seconds_of_silence(5)))
    assert measured(path, max_seconds=5) == 5.0
    with pytest.raises(AudioError) as caught:
        measured(path, max_seconds=4)
    assert caught.value.code == "audio_too_long"


def test_a_recording_that_is_gone_is_not_called_bad(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        measured(tmp_path / "gone")


def test_measuring_ends_when_nobody_waits_for_it() -> None:
    with pytest.raises(StoppedError):
        measure(DATA / "jfk.wav", max_seconds=60, stopped=lambda: True)


def test_a_wav_of_unknown_length_is_not_called_truncated(tmp_path: Path) -> None:
    path = tmp_path / "neutral"
    sound = bytearray(wav(samples("austen-0880.wav")))
    sound[4:8] = sound[40:44] = b"\xff\xff\xff\xff"  # as a recorder writes that cannot go back to its header
    path.write_bytes(sound)
    assert measured(path) == pytest.approx(2.99, abs=0.05)


def test_a_recorders_tag_that_is_not_utf8_is_no_reason_to_refuse_the_sound(tmp_path: Path) -> None:
    path = tmp_path / "neutral"
    tag = b"IART" + (6).to_bytes(4, "little") + b"caf\xe9s\x00"
    listed = b"LIST" + (4 + len(tag)).to_bytes(4, "little") + b"INFO" + tag
    sound = bytearray(wav(samples("austen-0880.wav")) + listed)
    sound[4:8] = (len(sound) - 8).to_bytes(4, "little")
    path.write_bytes(sound)
    assert identify(path) == "wav"
    assert measured(path) == pytest.approx(2.99, abs=0.05)


def test_windows_are_short_and_together_the_whole_cut_where_it_is_quiet(tmp_path: Path) -> None:
    path = tmp_path / "neutral"
    loud = samples("jfk.wav") * 10
    path.write_bytes(wav(loud, seconds_of_silence(1), loud))
    found = list(windows(path))
    assert all(len(window.samples) <= MAX_WINDOW_SECONDS * RATE for window in found)
    assert sum(len(window.samples) for window in found) == 221 * RATE
    assert [window.start for window in found[1:]] == [window.end for window in found[:-1]]
    assert 110 <= found[1].start / RATE <= 111
