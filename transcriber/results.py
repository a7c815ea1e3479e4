"""What of a transcript fits into an event, and the transcript in the formats people read."""

import json
from collections.abc import Iterable
from typing import Literal, get_args

from transcriber.model import Result, Segment, Transcript, result_data

MAX_SEGMENTS = 8_000
# An event's body is at most 900,000 bytes; the job around its result takes under 4,000 (user_id: 256 characters).
MAX_RESULT_BYTES = 896_000

Readable = Literal["text", "srt", "vtt"]
Format = Literal["json", Readable]
FORMATS: tuple[Format, ...] = get_args(Format)


def fit(transcript: Transcript, transcript_url: str) -> Result:
    """The result for events: whole if it fits, else without segments, else with its text cut at a word as well."""
    whole = _result(transcript, segments=transcript.segments)
    if len(transcript.segments) <= MAX_SEGMENTS and _size(whole) <= MAX_RESULT_BYTES:
        return whole
    brief = _result(transcript, transcript_url=transcript_url)
    excess = _size(brief) - MAX_RESULT_BYTES
    if excess <= 0:
        return brief
    return _result(transcript, transcript_url=transcript_url, text=_cut(transcript.text, transcript_url))


def srt(transcript: Transcript) -> str:
    """SubRip: numbered cues, times with a comma."""
    cues = (
        f"{number}\n{_time(cue.start, ',')} --> {_time(cue.end, ',')}\n{_line(cue.text)}\n"
        for number, cue in enumerate(_cues(transcript), start=1)
    )
    return "\n".join(cues)


def vtt(transcript: Transcript) -> str:
    """WebVTT: "&", "<" and ">" are escaped, as cue text is markup there."""
    cues = (
        f"{_time(cue.start, '.')} --> {_time(cue.end, '.')}\n{_escape(_line(cue.text))}\n"
        for cue in _cues(transcript)
    )
    return "\n".join(["WEBVTT\n", *cues])


def _result(
    transcript: Transcript,
    *,
    segments: tuple[Segment, ...] | None = None,
    transcript_url: str | None = None,
    text: str | None = None,
) -> Result:
    return Result(
        text=transcript.text if text is None else text,
        language=transcript.language,
        duration_seconds=transcript.duration_seconds,
        segments=segments,
        transcript_url=transcript_url,
        truncated=text is not None,
    )


def _size(result: Result) -> int:
    return len(result_data(result).encode())


def _cut(text: str, transcript_url: str) -> str:
    """The longest start of `text` that ends before a space and whose JSON fits: found by halving."""
    room = MAX_RESULT_BYTES - len(transcript_url.encode()) - 1_000
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if _json_bytes(text[:middle]) <= room:
            low = middle
        else:
            high = middle - 1
    start, space, _ = text[: low + 1].rpartition(" ")
    return start if space else text[:low]


def _json_bytes(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "replace"))


def _cues(transcript: Transcript) -> Iterable[Segment]:
    """The segments, or one cue for all where an engine gave none."""
    if transcript.segments or not transcript.text:
        return transcript.segments
    return (Segment(0.0, transcript.duration_seconds, transcript.text),)


def _line(text: str) -> str:
    """One line, without the arrow: a blank line or an arrow inside a cue would end it or forge another."""
    return " ".join(text.replace("-->", "→").split())


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _time(seconds: float, separator: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return (
        f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}{separator}{milliseconds % 1000:03}"
    )
