"""The settings: one frozen value, parsed from the environment, every fault reported at once."""

import base64
import binascii
import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import httpx

from transcriber.errors import SettingsError

EngineName = Literal["groq", "local"]
T = TypeVar("T")

SECRETS = ("GROQ_API_KEY", "TRANSCRIBER_API_KEY", "TRANSCRIBER_WEBHOOK_SECRET")
LATER = ("TRANSCRIBER_CONFIG",)
KNOWN = frozenset(
    {
        *SECRETS,
        *(f"{name}_FILE" for name in SECRETS),
        *LATER,
        "GROQ_BASE_URL",
        "TRANSCRIBER_CORS_ORIGINS",
        "TRANSCRIBER_DATA_DIR",
        "TRANSCRIBER_ENGINE",
        "TRANSCRIBER_HOST",
        "TRANSCRIBER_MAX_AUDIO_SECONDS",
        "TRANSCRIBER_MAX_QUEUED_JOBS",
        "TRANSCRIBER_MAX_UPLOAD_BYTES",
        "TRANSCRIBER_PORT",
        "TRANSCRIBER_PROGRESS_SECONDS",
        "TRANSCRIBER_PUBLIC_URL",
        "TRANSCRIBER_REQUIRE_KEY",
        "TRANSCRIBER_RETENTION_DAYS",
        "TRANSCRIBER_WEBHOOK_URL",
    }
)


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where events go, and the secret, `whsec_` and base64, that signs them."""

    url: str
    secret: str


@dataclass(frozen=True, slots=True)
class Settings:
    engine: EngineName
    """TRANSCRIBER_ENGINE. Default: groq if GROQ_API_KEY is set, else local."""
    groq_api_key: str
    """GROQ_API_KEY. Needed by the groq engine only."""
    groq_base_url: str | None
    """GROQ_BASE_URL: scheme and host, without the path. Default: Groq's own."""
    webhook: Webhook | None
    """TRANSCRIBER_WEBHOOK_URL and TRANSCRIBER_WEBHOOK_SECRET. Unset: events are kept, and sent once both are set."""
    data_dir: Path
    """TRANSCRIBER_DATA_DIR: database and recordings; one process at a time. Default: ./var/transcriber."""
    host: str
    """TRANSCRIBER_HOST. Default: 127.0.0.1."""
    port: int
    """TRANSCRIBER_PORT. 0 takes a free one. Default: 8000."""
    public_url: str
    """TRANSCRIBER_PUBLIC_URL: how clients reach this service. Empty, the default: its own address."""
    cors_origins: tuple[str, ...]
    """TRANSCRIBER_CORS_ORIGINS: separated by commas; `*` is everyone. Default: none, no other origin's page may call."""
    api_key: str
    """TRANSCRIBER_API_KEY: opens the list of jobs. Empty, the default: the list is closed to everyone."""
    require_key: bool
    """TRANSCRIBER_REQUIRE_KEY: every job route asks for the key, for a service behind an app's own server. Default: false."""
    max_upload_bytes: int
    """TRANSCRIBER_MAX_UPLOAD_BYTES: of one recording. Default: 536870912 (512 MiB)."""
    max_audio_seconds: int
    """TRANSCRIBER_MAX_AUDIO_SECONDS: longer recordings fail. Default: 14400 (4 h)."""
    max_queued_jobs: int
    """TRANSCRIBER_MAX_QUEUED_JOBS: more are refused with 429. Default: 1000."""
    progress_seconds: float
    """TRANSCRIBER_PROGRESS_SECONDS: least time between two progress events of a job. Default: 1."""
    retention_days: int
    """TRANSCRIBER_RETENTION_DAYS: jobs that ended before are deleted, as by DELETE; 0 keeps them for ever. Default: 30."""


def parse(environment: Mapping[str, str]) -> Settings:
    """An empty variable counts as unset. Raises SettingsError with every fault."""
    reader = _Reader(environment)
    groq_api_key = reader.secret("GROQ_API_KEY")
    api_key = reader.secret("TRANSCRIBER_API_KEY")
    settings = Settings(
        engine=reader.engine(has_groq_key=bool(groq_api_key)),
        groq_api_key=groq_api_key,
        groq_base_url=reader.url("GROQ_BASE_URL") or None,
        webhook=reader.webhook(),
        data_dir=Path(reader.text("TRANSCRIBER_DATA_DIR", "var/transcriber")),
        host=reader.text("TRANSCRIBER_HOST", "127.0.0.1"),
        port=reader.whole("TRANSCRIBER_PORT", 8000, least=0, most=65_535),
        public_url=reader.url("TRANSCRIBER_PUBLIC_URL"),
        cors_origins=reader.origins("TRANSCRIBER_CORS_ORIGINS"),
        api_key=api_key,
        require_key=reader.flag("TRANSCRIBER_REQUIRE_KEY"),
        max_upload_bytes=reader.whole("TRANSCRIBER_MAX_UPLOAD_BYTES", 512 * 1024 * 1024, least=1),
        max_audio_seconds=reader.whole("TRANSCRIBER_MAX_AUDIO_SECONDS", 14_400, least=1),
        max_queued_jobs=reader.whole("TRANSCRIBER_MAX_QUEUED_JOBS", 1_000, least=1),
        progress_seconds=reader.number("TRANSCRIBER_PROGRESS_SECONDS", 1.0),
        retention_days=reader.whole("TRANSCRIBER_RETENTION_DAYS", 30, least=0, most=36_500),
    )
    if settings.engine == "groq" and not groq_api_key:
        reader.faults.append("TRANSCRIBER_ENGINE is groq, but GROQ_API_KEY is not set: set it, or use local")
    if settings.require_key and not api_key:
        reader.faults.append("TRANSCRIBER_REQUIRE_KEY is true, but TRANSCRIBER_API_KEY is not set: set it")
    reader.finish()
    return settings


class _Reader:
    """Reads variables, notes what is wrong with them, and goes on with their defaults."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._values = {name: value.strip() for name, value in environment.items() if value.strip()}
        self.faults: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        return self._values.get(name, default)

    def secret(self, name: str) -> str:
        """From the variable, or from the file that NAME_FILE names."""
        file = self.text(f"{name}_FILE")
        if not file:
            return self.text(name)
        if name in self._values:
            self.faults.append(f"{name} and {name}_FILE are both set: keep one")
        try:
            value = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            self.faults.append(f"{name}_FILE is {file!r}, which cannot be read: {error}")
            return ""
        if not value:
            self.faults.append(f"{name}_FILE is {file!r}, which is empty")
        return value

    def engine(self, *, has_groq_key: bool) -> EngineName:
        value = self.text("TRANSCRIBER_ENGINE", "groq" if has_groq_key else "local")
        if value == "groq":
            return "groq"
        if value != "local":
            self.faults.append(f"TRANSCRIBER_ENGINE is {value!r}: use groq or local")
        return "local"

    def whole(self, name: str, default: int, *, least: int, most: int | None = None) -> int:
        value = self._parsed(name, default, int, "a whole number")
        if value < least or (most is not None and value > most):
            limits = f"at least {least}" if most is None else f"from {least} to {most}"
            self.faults.append(f"{name} is {value}: it must be {limits}")
        return value

    def number(self, name: str, default: float) -> float:
        value = self._parsed(name, default, float, "a number")
        if not 0 <= value <= 3_600:
            self.faults.append(f"{name} is {value}: it must be from 0 to 3600")
        return value

    def flag(self, name: str) -> bool:
        value = self.text(name, "false").lower()
        if value not in {"true", "false"}:
            self.faults.append(f"{name} is {value!r}: use true or false")
        return value == "true"

    def url(self, name: str) -> str:
        """Without a trailing slash; empty if unset."""
        value = self.text(name).rstrip("/")
        if value and not _is_http_url(value):
            self.faults.append(f"{name} is {value!r}: it must be an address such as https://example.com")
        return value

    def origins(self, name: str) -> tuple[str, ...]:
        origins = tuple(origin.strip() for origin in self.text(name).split(",") if origin.strip())
        for origin in origins:
            if origin != "*" and not (_is_http_url(origin) and not urlsplit(origin).path):
                self.faults.append(
                    f"{name} has {origin!r}: an origin is such as https://example.com, without a path"
                )
        return origins

    def webhook(self) -> Webhook | None:
        url, secret = self.text("TRANSCRIBER_WEBHOOK_URL"), self.secret("TRANSCRIBER_WEBHOOK_SECRET")
        if url and not _is_http_url(url):
            self.faults.append(f"TRANSCRIBER_WEBHOOK_URL is {url!r}: it must begin with http:// or https://")
        if secret and not _is_webhook_secret(secret):
            self.faults.append(
                "TRANSCRIBER_WEBHOOK_SECRET must be whsec_ and base64, as Standard Webhooks has it"
            )
        if url and not secret:
            self.faults.append(
                "TRANSCRIBER_WEBHOOK_URL is set, but TRANSCRIBER_WEBHOOK_SECRET is not: set both"
            )
        return Webhook(url, secret) if url and secret else None

    def finish(self) -> None:
        """Raises SettingsError if anything was wrong, unknown variables included."""
        for name in sorted(self._values):
            if name in LATER:
                self.faults.append(f"{name} is not supported yet: unset it")
            elif name.startswith("TRANSCRIBER_") and name not in KNOWN:
                near = difflib.get_close_matches(name, sorted(KNOWN - set(LATER)), n=1)
                self.faults.append(f"{name} is unknown" + (f": did you mean {near[0]}?" if near else ""))
        if self.faults:
            raise SettingsError(self.faults)

    def _parsed(self, name: str, default: T, convert: Callable[[str], T], kind: str) -> T:
        try:
            return convert(self._values[name]) if name in self._values else default
        except ValueError:
            self.faults.append(f"{name} is {self._values[name]!r}: it must be {kind}")
            return default


def _is_http_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        # httpx has rules of its own for names, and it is what makes the requests
        return parts.scheme in {"http", "https"} and bool(httpx.URL(value).host) and (parts.port or 1) > 0
    except (ValueError, httpx.InvalidURL):
        return False


def _is_webhook_secret(value: str) -> bool:
    try:
        return value.startswith("whsec_") and bool(
            base64.b64decode(value.removeprefix("whsec_"), validate=True)
        )
    except (binascii.Error, ValueError):
        return False
