"""A transcript in the shapes that OpenAI's and Groq's SDKs read."""

import json
from typing import assert_never

from starlette.responses import Response

from transcriber.api.answers import json_answer, readable
from transcriber.api.openai.call import Call
from transcriber.model import Segment, Transcript
from transcriber.speech.languages import language_name


def answer(heard: Transcript, call: Call) -> Response:
    if call.streamed:
        return _stream(heard)
    match call.shape:
        case "json":
            return json_answer(_json({"text": heard.text, **_mark(call)}))
        case "verbose_json":
            return json_answer(_json(_verbose(heard, call)))
        case "text" | "srt" | "vtt" as form:
            return readable(heard, form)
        case other:
            assert_never(other)


def _mark(call: Call) -> dict[str, object]:
    """Groq's own member, which some of its clients require: here it names the job."""
    return {"x_groq": {"id": call.job_id}}


def _verbose(heard: Transcript, call: Call) -> dict[str, object]:
    """Segments unless only words were asked for."""
    asked = call.options.granularities
    verbose: dict[str, object] = {
        "task": "transcribe",
        "language": language_name(heard.language),
        "duration": heard.duration_seconds,
        "text": heard.text,
    }
    if "segment" in asked or not asked:
        temperature = call.options.temperature or 0.0
        verbose["segments"] = [
            _segment(number, segment, temperature) for number, segment in enumerate(heard.segments)
        ]
    if heard.words is not None:
        verbose["words"] = [{"word": word.word, "start": word.start, "end": word.end} for word in heard.words]
    return {**verbose, **_mark(call)}


def _segment(number: int, segment: Segment, temperature: float) -> dict[str, object]:
    """The SDKs' types require every one of these. Zero is no measurement: it says that there is none."""
    return {
        "id": number,
        "seek": 0,
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "tokens": [],
        "temperature": temperature,
        "avg_logprob": 0.0,
        "compression_ratio": 0.0,
        "no_speech_prob": 0.0,
    }


def _stream(heard: Transcript) -> Response:
    """Server-sent events, in one piece once the job is over: the engines give no text before."""
    events = (
        {"type": "transcript.text.delta", "delta": heard.text},
        {"type": "transcript.text.done", "text": heard.text},
    )
    body = "".join(f"event: {event['type']}\ndata: {_json(event)}\n\n" for event in events)
    return Response(body, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
