import json

import pytest

from transcriber.model import Segment, Transcript, result_data
from transcriber.results import MAX_RESULT_BYTES, MAX_SEGMENTS, fit, srt, vtt

URL = "https://speech.example/v1/jobs/x/transcript"


def transcript(text: str = "hello", *segments: Segment) -> Transcript:
    return Transcript(text, "en", 3_725.5, segments, None)


def test_a_short_transcript_fits_whole() -> None:
    result = fit(transcript("hello", Segment(0, 1, "hello")), URL)
    assert (result.segments, result.transcript_url, result.truncated) == (
        (Segment(0, 1, "hello"),),
        None,
        False,
    )


@pytest.mark.parametrize(
    "segments",
    [[Segment(0, 1, "x")] * (MAX_SEGMENTS + 1), [Segment(0, 1, "x" * 1000)] * 900],
    ids=["too many", "too large"],
)
def test_segments_that_do_not_fit_are_left_to_the_transcript(segments: list[Segment]) -> None:
    result = fit(transcript("hello", *segments), URL)
    assert (result.text, result.segments, result.transcript_url, result.truncated) == (
        "hello",
        None,
        URL,
        False,
    )


@pytest.mark.parametrize("word", ["word ", 'quo"te ', "漢字 ", "\x01 "])
def test_a_text_that_does_not_fit_is_cut_at_a_word(word: str) -> None:
    text = word * 500_000
    result = fit(transcript(text), URL)
    assert result.truncated
    assert text.startswith(result.text + " ")
    assert not result.text.endswith(" ")
    size = len(result_data(result).encode())
    assert MAX_RESULT_BYTES - 2_000 < size <= MAX_RESULT_BYTES


def test_a_text_without_any_space_is_cut_where_it_must_be() -> None:
    result = fit(transcript("x" * 2_000_000), URL)
    assert len(json.dumps(result.text)) <= MAX_RESULT_BYTES


def test_subtitles_number_and_time_their_cues() -> None:
    spoken = transcript("a b", Segment(0, 1.25, "a"), Segment(3599.9996, 3_725.5, "b"))
    assert srt(spoken) == "1\n00:00:00,000 --> 00:00:01,250\na\n\n2\n01:00:00,000 --> 01:02:05,500\nb\n"
    assert vtt(spoken) == "WEBVTT\n\n00:00:00.000 --> 00:00:01.250\na\n\n01:00:00.000 --> 01:02:05.500\nb\n"


def test_what_was_said_cannot_forge_a_cue() -> None:
    spoken = transcript("x", Segment(0, 1, "a\n\n2\n00:00:00,000 --> 00:00:09,000\n<b>&"))
    assert srt(spoken).count("-->") == 1
    assert "\n\n" not in srt(spoken).strip()
    assert "&lt;b&gt;&amp;" in vtt(spoken)


def test_a_text_without_segments_is_one_cue_and_silence_none() -> None:
    assert srt(transcript("all of it")) == "1\n00:00:00,000 --> 01:02:05,500\nall of it\n"
    assert srt(transcript("")) == ""
    assert vtt(transcript("")) == "WEBVTT\n"
