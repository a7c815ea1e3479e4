"""Makes a job out of a form: every field is judged before the job is taken."""

import hashlib
import json
import re
import secrets
from collections.abc import Sequence

from transcriber.errors import RequestError, SpeechError
from transcriber.intake import audio_url
from transcriber.intake.upload import Form
from transcriber.model import AudioUrl, Granularity, JobId, Options

_JOB_ID = re.compile(r"[A-Za-z0-9_-]{20,128}")
_LANGUAGE = re.compile(r"[a-z]{2}")
_MODEL = re.compile(r"[A-Za-z0-9._/-]{1,100}")
_TEMPERATURE = re.compile(r"0|0?\.[0-9]{1,20}|1(\.0{1,20})?")
_GRANULARITIES: dict[str, Granularity] = {"word": "word", "segment": "segment"}
_SINGLE = ("audio_url", "job_id", "user_id", "language", "model", "prompt", "temperature")
_REPEATED = "timestamp_granularities[]"
FIELDS = frozenset({*_SINGLE, _REPEATED})

MAX_USER_ID_CHARACTERS = 256
MAX_PROMPT_CHARACTERS = 2_000
MAX_GRANULARITIES = 4


def new_job_id() -> JobId:
    """28 characters that nobody can guess."""
    return JobId(f"job_{secrets.token_urlsafe(18)}")


def is_job_id(value: str) -> bool:
    return _JOB_ID.fullmatch(value) is not None


def job_id_of(value: object) -> JobId:
    """Raises RequestError, 422, for what cannot be an id."""
    if not isinstance(value, str) or not is_job_id(value):
        raise RequestError(422, "bad_job_id", "job_id must be 20 to 128 characters of A-Z a-z 0-9 _ -")
    return JobId(value)


class Fields:
    """The form's fields as values. Raises RequestError, 422, for the first that cannot be used.

    `audio_url` is None where the recording itself is in the form.
    """

    def __init__(self, form: Form, *, allow_private_urls: bool) -> None:
        self._form = form
        self._single = _single(form.fields)
        self.job_id = self._job_id()
        self.user_id = self._user_id()
        self.options = Options(
            language=self._language(),
            model=self._matching("model", _MODEL, "a model's name"),
            prompt=self._prompt(),
            granularities=_granularities([value for name, value in form.fields if name == _REPEATED]),
            temperature=self._temperature(),
        )
        self.audio_url = self._audio_url(allow_private_urls)
        self._file_sha256 = None if self.audio_url else self._sha256_of_file()

    def digest(self) -> str:
        """SHA-256 of the audio and every field but the id: equal where a client repeats its call."""
        content = [self._file_sha256, sorted(pair for pair in self._form.fields if pair[0] != "job_id")]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def _audio_url(self, allow_private: bool) -> AudioUrl | None:
        """A file without content counts as absent: forms in browsers send those."""
        value = self._single.get("audio_url")
        if not value:
            return None
        if self._form.file_bytes:
            raise RequestError(
                422, "bad_field", "the form has a file and an audio_url: send the recording or its address"
            )
        try:
            return AudioUrl(str(audio_url.parse(value, allow_private=allow_private)))
        except SpeechError as error:
            raise RequestError(422, error.code, error.message) from error

    def _sha256_of_file(self) -> str:
        if self._form.file_sha256 is None:
            raise RequestError(
                422,
                "no_file",
                "the form has no file: send the recording in the field file, or its address in audio_url",
            )
        if self._form.file_bytes == 0:
            raise RequestError(422, "empty", "the file is empty")
        return self._form.file_sha256

    def _job_id(self) -> JobId:
        value = self._single.get("job_id")
        return new_job_id() if value is None else job_id_of(value)

    def _user_id(self) -> str:
        value = self._single.get("user_id", "anonymous")
        if not value or len(value) > MAX_USER_ID_CHARACTERS or not value.isprintable():
            raise RequestError(
                422, "bad_user_id", f"user_id must be 1 to {MAX_USER_ID_CHARACTERS} printable characters"
            )
        return value

    def _language(self) -> str | None:
        return self._matching("language", _LANGUAGE, "an ISO 639-1 code of two small letters, such as en")

    def _prompt(self) -> str | None:
        value = self._single.get("prompt")
        if value and len(value) > MAX_PROMPT_CHARACTERS:
            raise RequestError(422, "bad_field", f"prompt is longer than {MAX_PROMPT_CHARACTERS} characters")
        return value or None

    def _temperature(self) -> float | None:
        value = self._matching("temperature", _TEMPERATURE, "a number from 0 to 1, such as 0.2")
        return None if value is None else float(value)

    def _matching(self, name: str, pattern: re.Pattern[str], what: str) -> str | None:
        """An empty field counts as absent: forms in browsers send those."""
        value = self._single.get(name)
        if value and not pattern.fullmatch(value):
            raise RequestError(422, "bad_field", f"{name} must be {what}")
        return value or None


def _single(fields: Sequence[tuple[str, str]]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in fields:
        if name not in FIELDS:
            there_are = ", ".join(("file", *_SINGLE, _REPEATED))
            raise RequestError(
                422, "unknown_field", f"the field {name[:100]!r} is unknown: there are {there_are}"
            )
        if name in values and name != _REPEATED:
            raise RequestError(422, "bad_field", f"the field {name} is there more than once")
        values[name] = value
    return values


def _granularities(values: Sequence[str]) -> tuple[Granularity, ...]:
    if len(values) > MAX_GRANULARITIES:
        raise RequestError(422, "bad_field", f"{_REPEATED} is there more than {MAX_GRANULARITIES} times")
    unknown = [value for value in values if value not in _GRANULARITIES]
    if unknown:
        raise RequestError(422, "bad_field", f"{_REPEATED} is {unknown[0][:100]!r}: use word or segment")
    return tuple(_GRANULARITIES[value] for value in dict.fromkeys(values))
