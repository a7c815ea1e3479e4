"""What OpenAI's fields ask for: a job in our words, and the shape of the answer."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Literal, get_args

from transcriber.errors import RequestError
from transcriber.intake.submission import FIELDS, Fields
from transcriber.intake.upload import Form

Shape = Literal["json", "text", "srt", "verbose_json", "vtt"]
SHAPES: tuple[Shape, ...] = get_args(Shape)

DEFAULT_MODEL = "whisper-1"  # what OpenAI's SDK makes everyone send: here the engine's own choice
_RENAMED = {"url": "audio_url"}  # Groq's name
# The key makes the job's id, and whoever knows that can read the job: it must not be guessable either.
_KEY_CHARACTERS = (20, 256)


class Call(Fields):
    """Fields that are unknown here are ignored, as OpenAI's SDKs send more of them every year.

    `repeatable`: the caller chose the id, so that the same call again is the same job. Raises RequestError, 422.
    """

    def __init__(self, form: Form, *, idempotency_key: str | None, allow_private_urls: bool) -> None:
        values = dict(form.fields)
        self.repeatable = "job_id" in values or idempotency_key is not None
        self.shape = _shape(values.get("response_format") or "json")
        self.streamed = _streamed(values.get("stream", ""), self.shape)
        translated = replace(form, fields=tuple(_translated(form.fields, values, idempotency_key)))
        super().__init__(translated, allow_private_urls=allow_private_urls)


def _translated(
    fields: tuple[tuple[str, str], ...], values: Mapping[str, str], key: str | None
) -> Iterator[tuple[str, str]]:
    if key is not None and "job_id" not in values:
        yield "job_id", _job_id(key)
    for name, value in fields:
        ours = _RENAMED.get(name, name)
        if (name, value) != ("model", DEFAULT_MODEL) and ours in FIELDS:
            yield ours, value


def _job_id(key: str) -> str:
    least, most = _KEY_CHARACTERS
    if not least <= len(key) <= most:
        raise RequestError(
            422,
            "bad_idempotency_key",
            f"Idempotency-Key must be {least} to {most} characters that nobody can guess, such as a UUID",
        )
    return f"key_{hashlib.sha256(key.encode()).hexdigest()}"


def _shape(value: str) -> Shape:
    for shape in SHAPES:
        if value == shape:
            return shape
    raise RequestError(
        422, "bad_field", f"response_format must be one of {', '.join(SHAPES)}, not {value[:100]!r}"
    )


def _streamed(value: str, shape: Shape) -> bool:
    if value not in {"true", "false", ""}:
        raise RequestError(422, "bad_field", "stream must be true or false")
    if value == "true" and shape not in {"json", "text"}:
        raise RequestError(422, "bad_field", f"{shape} cannot be streamed: leave out stream")
    return value == "true"
