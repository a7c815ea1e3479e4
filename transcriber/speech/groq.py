"""Groq's Whisper, over its official SDK."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import groq
from groq.types.audio import Transcription

from transcriber.errors import SpeechError
from transcriber.model import Audio, Options, Segment, Transcript, Word
from transcriber.speech import Progress, Recording
from transcriber.speech.languages import language_code

# The SDK's own; said here because it takes an empty GROQ_BASE_URL for an address.
DEFAULT_URL = "https://api.groq.com"
DEFAULT_MODEL = "whisper-large-v3-turbo"
# What Groq takes as an attached file.
MAX_FILE_BYTES = 25 * 1024 * 1024
MEDIA_TYPES = {
    "flac": "audio/flac",
    "m4a": "audio/mp4",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "wav": "audio/wav",
    "webm": "audio/webm",
}
REQUEST_SECONDS = 300.0
_FINAL_CODES = {
    400: "engine_refused",
    401: "engine_unauthorized",
    403: "engine_unauthorized",
    404: "model_unknown",
    413: "audio_too_large",
    422: "engine_refused",
    499: "engine_refused",
}
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_RETRYABLE_STATUSES = {408, 409, 429, 498}


class GroqEngine:
    """`request_seconds` limits one request. The SDK's own retries are off: the job queue does them, visibly."""

    name = "groq"
    concurrency = 4

    def __init__(
        self, *, api_key: str, base_url: str | None = None, request_seconds: float = REQUEST_SECONDS
    ) -> None:
        self._client = groq.AsyncGroq(
            api_key=api_key, base_url=base_url or DEFAULT_URL, timeout=request_seconds, max_retries=0
        )

    async def prepare(self) -> None:
        """Nothing: the first request shows whether the key is right."""

    def accept(self, audio: Audio, options: Options) -> None:  # noqa: ARG002 (Groq judges the options itself)
        if audio.extension not in MEDIA_TYPES:
            raise SpeechError(
                "format_unsupported",
                f"Groq does not take {audio.extension}: send {', '.join(sorted(MEDIA_TYPES))}",
            )
        if audio.size_bytes > MAX_FILE_BYTES:
            raise SpeechError(
                "audio_too_large",
                f"the recording has {audio.size_bytes} bytes, Groq takes {MAX_FILE_BYTES}: compress it or send it in parts",
            )

    async def transcribe(self, recording: Recording, options: Options, progress: Progress) -> Transcript:
        self.accept(recording.audio, options)
        try:
            answer = await self._ask(recording.path, recording.audio, options)
        except groq.APIError as error:
            raise _speech_error(error) from error
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise _unreadable("is not JSON") from error
        transcript = _transcript(answer, recording, options)
        progress(recording.seconds)
        return transcript

    async def close(self) -> None:
        await self._client.close()

    async def _ask(self, path: Path, audio: Audio, options: Options) -> object:
        """The SDK's answer: a Transcription, or whatever else it makes of a body that is not JSON."""
        with path.open("rb") as file:
            return await self._client.audio.transcriptions.create(
                file=(f"audio.{audio.extension}", file, MEDIA_TYPES[audio.extension]),
                model=options.model or DEFAULT_MODEL,
                language=options.language or groq.omit,
                prompt=options.prompt or groq.omit,
                response_format="verbose_json",
                temperature=0.0,
                timestamp_granularities=["word", "segment"]
                if "word" in options.granularities
                else ["segment"],
            )


def _speech_error(error: groq.APIError) -> SpeechError:
    if isinstance(error, groq.APITimeoutError):
        return SpeechError("engine_timeout", "Groq did not answer in time", retryable=True)
    if isinstance(error, groq.APIStatusError):
        return _status_error(error)
    return SpeechError("engine_unreachable", "Groq could not be reached", retryable=True)


def _status_error(error: groq.APIStatusError) -> SpeechError:
    status = error.status_code
    message = f"Groq answered {status}{_reason(error.body)}"
    if status in _RETRYABLE_STATUSES or status >= 500:
        return SpeechError(
            "engine_unavailable",
            message,
            retryable=True,
            retry_after_seconds=_seconds(error.response.headers.get("retry-after")),
            pauses_engine=status == 429,
        )
    return SpeechError(_FINAL_CODES.get(status, "engine_refused"), message)


def _reason(body: object) -> str:
    """Groq's own words, at most 300 characters of them."""
    detail = body.get("error") if isinstance(body, Mapping) else None
    message = detail.get("message") if isinstance(detail, Mapping) else None
    return f": {message[:300]}" if isinstance(message, str) else ""


def _seconds(retry_after: str | None) -> float | None:
    """Groq sends whole or fractional seconds; a date or nonsense counts as absent."""
    return float(retry_after) if retry_after and _SECONDS.fullmatch(retry_after) else None


def _unreadable(what: str) -> SpeechError:
    return SpeechError("engine_unreadable", f"Groq's answer {what}", retryable=True)


def _transcript(answer: object, recording: Recording, options: Options) -> Transcript:
    """Checks what the SDK does not: it returns text for an answer in HTML, and declares only `text`."""
    if not isinstance(answer, Transcription) or not isinstance(answer.text, str):
        raise _unreadable("is no transcription")
    extra: dict[str, Any] = answer.model_extra or {}
    language = extra.get("language")
    try:
        return Transcript(
            text=answer.text.strip(),
            language=language_code(language if isinstance(language, str) else options.language),
            duration_seconds=recording.seconds,
            segments=tuple(_segment(raw) for raw in extra.get("segments") or ()),
            words=tuple(_word(raw) for raw in extra.get("words") or ())
            if "word" in options.granularities
            else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable("has segments or words in an unknown form") from error


def _segment(raw: Mapping[str, Any]) -> Segment:
    return Segment(start=_time(raw["start"]), end=_time(raw["end"]), text=raw["text"].strip())


def _word(raw: Mapping[str, Any]) -> Word:
    return Word(start=_time(raw["start"]), end=_time(raw["end"]), word=raw["word"].strip())


def _time(value: Any) -> float:
    seconds = round(float(value), 3)
    if not math.isfinite(seconds):
        raise ValueError(f"{value!r} is no time")
    return seconds
