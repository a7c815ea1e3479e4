"""The settings as variables give them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import urlsplit

from transcriber.errors import SettingsError
from transcriber.settings import file
from transcriber.settings.webhooks import Webhook, of_variables, repeated_names
from transcriber.settings.words import did_you_mean, is_http_url

EngineName = Literal["groq", "local"]
T = TypeVar("T")

SECRETS = ("GROQ_API_KEY", "TRANSCRIBER_API_KEY", "TRANSCRIBER_WEBHOOK_SECRET")
KNOWN = frozenset(
    {
        *SECRETS,
        *(f"{name}_FILE" for name in SECRETS),
        "GROQ_BASE_URL",
        "TRANSCRIBER_ALLOW_PRIVATE_AUDIO_URLS",
        "TRANSCRIBER_CONFIG",
        "TRANSCRIBER_CORS_ORIGINS",
        "TRANSCRIBER_DATA_DIR",
        "TRANSCRIBER_ENGINE",
        "TRANSCRIBER_EVENT_DAYS",
        "TRANSCRIBER_FETCH_SECONDS",
        "TRANSCRIBER_GROQ_MAX_FILE_BYTES",
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
class Settings:
    engine: EngineName
    """TRANSCRIBER_ENGINE. Default: groq if GROQ_API_KEY is set, else local."""
    groq_api_key: str = field(repr=False)
    """GROQ_API_KEY. Needed by the groq engine only."""
    groq_base_url: str | None
    """GROQ_BASE_URL: what comes before /openai/v1. Default: Groq's own."""
    groq_max_file_bytes: int
    """TRANSCRIBER_GROQ_MAX_FILE_BYTES: larger recordings are sent in parts; paid tiers take 100 MB. Default: 25000000."""
    webhooks: tuple[Webhook, ...]
    """TRANSCRIBER_WEBHOOK_URL and TRANSCRIBER_WEBHOOK_SECRET, called `default`; then the `[[webhooks]]` of the TOML file
    that TRANSCRIBER_CONFIG names. None: events are kept, and sent once there is one."""
    event_days: int
    """TRANSCRIBER_EVENT_DAYS: how long events can be replayed once taken. 0: they are forgotten then. Default: 7."""
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
    api_key: str = field(repr=False)
    """TRANSCRIBER_API_KEY: opens the list of jobs. Empty, the default: the list is closed to everyone."""
    require_key: bool
    """TRANSCRIBER_REQUIRE_KEY: every job route asks for the key, for a service behind an app's own server. Default: false."""
    max_upload_bytes: int
    """TRANSCRIBER_MAX_UPLOAD_BYTES: of one recording, sent or fetched. Default: 536870912 (512 MiB)."""
    fetch_seconds: int
    """TRANSCRIBER_FETCH_SECONDS: for the whole of one recording given by its address. Default: 300."""
    allow_private_audio_urls: bool
    """TRANSCRIBER_ALLOW_PRIVATE_AUDIO_URLS: recordings are fetched from private addresses too, this machine's included,
    so that whoever may send a job reaches what only this machine should. For development. Default: false."""
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
        groq_base_url=reader.url_before("/openai/v1", "GROQ_BASE_URL") or None,
        groq_max_file_bytes=reader.whole("TRANSCRIBER_GROQ_MAX_FILE_BYTES", 25_000_000, least=100_000),
        webhooks=reader.webhooks(),
        event_days=reader.whole("TRANSCRIBER_EVENT_DAYS", 7, least=0, most=3_650),
        data_dir=Path(reader.text("TRANSCRIBER_DATA_DIR", "var/transcriber")),
        host=reader.text("TRANSCRIBER_HOST", "127.0.0.1"),
        port=reader.whole("TRANSCRIBER_PORT", 8000, least=0, most=65_535),
        public_url=reader.url("TRANSCRIBER_PUBLIC_URL"),
        cors_origins=reader.origins("TRANSCRIBER_CORS_ORIGINS"),
        api_key=api_key,
        require_key=reader.flag("TRANSCRIBER_REQUIRE_KEY"),
        max_upload_bytes=reader.whole("TRANSCRIBER_MAX_UPLOAD_BYTES", 512 * 1024 * 1024, least=1),
        fetch_seconds=reader.whole("TRANSCRIBER_FETCH_SECONDS", 300, least=1, most=86_400),
        allow_private_audio_urls=reader.flag("TRANSCRIBER_ALLOW_PRIVATE_AUDIO_URLS"),
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
        """What a header can carry: other characters would fail, or differ, at every request."""
        value = self._secret(name)
        if not (value.isascii() and value.isprintable()):
            self.faults.append(
                f"{name} has characters other than printable ASCII: copy it again, or choose another"
            )
        return value

    def _secret(self, name: str) -> str:
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
        if value and not is_http_url(value):
            self.faults.append(f"{name} is {value!r}: it must be an address such as https://example.com")
        return value

    def url_before(self, path: str, name: str) -> str:
        """As `url`; whoever asks there adds the path, so that it must not be there yet."""
        value = self.url(name)
        if value.endswith(path):
            self.faults.append(f"{name} is {value!r}: leave out {path}, which is added")
        return value

    def origins(self, name: str) -> tuple[str, ...]:
        origins = tuple(origin.strip() for origin in self.text(name).split(",") if origin.strip())
        for origin in origins:
            if origin != "*" and not (is_http_url(origin) and not urlsplit(origin).path):
                self.faults.append(
                    f"{name} has {origin!r}: an origin is such as https://example.com, without a path"
                )
        return origins

    def webhooks(self) -> tuple[Webhook, ...]:
        first = of_variables(
            self.text("TRANSCRIBER_WEBHOOK_URL"), self.secret("TRANSCRIBER_WEBHOOK_SECRET"), self.faults
        )
        path = self.text("TRANSCRIBER_CONFIG")
        more = file.read(Path(path), self._values, self.faults) if path else []
        found = more if first is None else [first, *more]
        self.faults.extend(repeated_names(found))
        return tuple(found)

    def finish(self) -> None:
        """Raises SettingsError if anything was wrong, unknown variables included."""
        for name in sorted(self._values):
            if name.startswith("TRANSCRIBER_") and name not in KNOWN:
                self.faults.append(f"{name} is unknown{did_you_mean(name, KNOWN)}")
        if self.faults:
            raise SettingsError(self.faults)

    def _parsed(self, name: str, default: T, convert: Callable[[str], T], kind: str) -> T:
        try:
            return convert(self._values[name]) if name in self._values else default
        except ValueError:
            self.faults.append(f"{name} is {self._values[name]!r}: it must be {kind}")
            return default
