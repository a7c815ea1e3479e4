"""Groq's Whisper, over its official SDK."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import groq
import httpx
from groq.types.audio import Transcription

from transcriber.errors import SpeechError
from transcriber.model import Audio, Options, Segment, Transcript, Word
from transcriber.speech import Progress, Recording, Takes
from transcriber.speech.bounded import AnswerError, bounded
from transcriber.speech.languages import language_code
from transcriber.speech.patience import asked_seconds

# The SDK's own; said here because it takes an empty GROQ_BASE_URL for an address.
DEFAULT_URL = "https://api.groq.com"
DEFAULT_MODEL = "whisper-large-v3-turbo"
MEDIA_TYPES = {
    "flac": "audio/flac",
    "m4a": "audio/mp4",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "wav": "audio/wav",
    "webm": "audio/webm",
}
REQUEST_SECONDS = 600.0  # 25 MB over half a megabit a second, and the answer
CONNECT_SECONDS = 10.0
MAX_ANSWER_BYTES = 50_000_000  # four hours of words with their times are a fifth of it
MAX_TIME_SECONDS = 1_000_000.0
_FINAL_CODES = {
    400: "engine_refused",
    401: "engine_unauthorized",
    403: "engine_unauthorized",
    404: "model_unknown",
    413: "audio_too_large",
    422: "engine_refused",
    499: "engine_refused",
}
# As servers quote one: whole, or with its middle starred out.
_KEY = re.compile(r"\bgsk_[\w*.-]+")
_ADVICE = {413: "; set TRANSCRIBER_GROQ_MAX_FILE_BYTES to what your tier takes"}
_RETRYABLE_STATUSES = {408, 409, 429, 498}


class GroqEngine:
    """`request_seconds` limits one request in all. The SDK's own retries are off: the job queue does them, visibly."""

    name = "groq"
    concurrency = 4

    def __init__(
        self,
        *,
        api_key: str,
        max_file_bytes: int,
        base_url: str | None = None,
        request_seconds: float = REQUEST_SECONDS,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        self.takes = Takes(frozenset(MEDIA_TYPES), max_file_bytes)
        self._request_seconds = request_seconds
        self._client = groq.AsyncGroq(
            api_key=api_key,
            base_url=base_url or DEFAULT_URL,
            timeout=httpx.Timeout(request_seconds, connect=min(CONNECT_SECONDS, request_seconds)),
            max_retries=0,
            # else a few kilobytes could become gigabytes
            default_headers={"Accept-Encoding": "identity"},
            http_client=groq.DefaultAsyncHttpxClient(event_hooks={"response": [bounded(max_answer_bytes)]}),
        )

    async def prepare(self) -> None:
        """Nothing: the first request shows whether the key is right."""

    def accept(self, options: Options) -> None:
        """Groq judges the options itself."""

    async def transcribe(self, recording: Recording, options: Options, progress: Progress) -> Transcript:
        try:
            async with asyncio.timeout(self._request_seconds):
                answer = await self._ask(recording.path, recording.audio, options)
        except TimeoutError as error:
            raise _too_slow() from error
        except groq.APIError as error:
            raise _speech_error(error, self._client.api_key) from error
        except (ValueError, RecursionError) as error:
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
                temperature=options.temperature or 0.0,
                timestamp_granularities=["word", "segment"]
                if "word" in options.granularities
                else ["segment"],
            )


def _speech_error(error: groq.APIError, key: str) -> SpeechError:
    if isinstance(error, groq.APITimeoutError):
        return _too_slow()
    if isinstance(error, groq.APIStatusError):
        return _status_error(error, key)
    if isinstance(error.__cause__, AnswerError):
        return _unreadable(str(error.__cause__))
    return SpeechError("engine_unreachable", "Groq could not be reached", retryable=True)


def _status_error(error: groq.APIStatusError, key: str) -> SpeechError:
    status = error.status_code
    message = f"Groq answered {status}{_reason(error.body, key)}{_ADVICE.get(status, '')}"
    if status in _RETRYABLE_STATUSES or status >= 500:
        return SpeechError(
            "engine_unavailable",
            message,
            retryable=True,
            retry_after_seconds=asked_seconds(error.response.headers),
            pauses_engine=status == 429,
        )
    return SpeechError(_FINAL_CODES.get(status, "engine_refused"), message)


def _reason(body: object, key: str) -> str:
    """Groq's own words, at most 300 characters of them: jobs, events and logs carry them, but never the key."""
    detail = body.get("error") if isinstance(body, Mapping) else None
    message = detail.get("message") if isinstance(detail, Mapping) else None
    if not isinstance(message, str):
        return ""
    hidden = _KEY.sub("[key]", message.replace(key, "[key]"))[:300]
    # no database takes half a surrogate pair, and no terminal should take a control character
    return f": {''.join(sign if sign.isprintable() else ' ' for sign in hidden)}"


def _too_slow() -> SpeechError:
    return SpeechError("engine_timeout", "Groq did not answer in time", retryable=True)


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
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise _unreadable("has segments or words in an unknown form") from error


def _segment(raw: Mapping[str, Any]) -> Segment:
    return Segment(start=_time(raw["start"]), end=_time(raw["end"]), text=raw["text"].strip())


def _word(raw: Mapping[str, Any]) -> Word:
    return Word(start=_time(raw["start"]), end=_time(raw["end"]), word=raw["word"].strip())


def _time(value: Any) -> float:
    seconds = round(float(value), 3)
    if not 0 <= seconds <= MAX_TIME_SECONDS:
        raise ValueError(f"{value!r} is no time")
    return seconds
