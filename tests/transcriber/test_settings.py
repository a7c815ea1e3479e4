from pathlib import Path

import pytest

from tests.support.webhook_receiver import SECRET
from transcriber.errors import SettingsError
from transcriber.settings import Webhook, parse
from transcriber.settings.webhooks import DEFAULT

VALID = {"TRANSCRIBER_WEBHOOK_URL": "https://hooks.example/x", "TRANSCRIBER_WEBHOOK_SECRET": SECRET}


def faults(**environment: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        parse(VALID | environment)
    return caught.value.faults


def test_an_empty_environment_is_enough() -> None:
    settings = parse({})
    assert (settings.engine, settings.host, settings.port) == ("local", "127.0.0.1", 8000)
    assert settings.data_dir == Path("var/transcriber")
    assert settings.max_upload_bytes == 512 * 1024 * 1024
    assert settings.webhooks == ()


def test_a_valid_environment_is_taken_as_it_is() -> None:
    settings = parse(
        {**VALID, "TRANSCRIBER_CORS_ORIGINS": "https://a.example, http://localhost:5173", "HOME": "/root"}
    )
    assert settings.webhooks == (Webhook(DEFAULT, "https://hooks.example/x", (SECRET,)),)
    assert settings.cors_origins == ("https://a.example", "http://localhost:5173")


def test_groq_is_the_engine_where_its_key_is_set() -> None:
    assert parse({"GROQ_API_KEY": "gsk"}).engine == "groq"
    assert parse({"GROQ_API_KEY": "gsk", "TRANSCRIBER_ENGINE": "local"}).engine == "local"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TRANSCRIBER_ENGINE", "whisper", "use groq or local"),
        ("TRANSCRIBER_ENGINE", "groq", "GROQ_API_KEY is not set"),
        ("TRANSCRIBER_PORT", "70000", "from 0 to 65535"),
        ("TRANSCRIBER_PORT", "http", "a whole number"),
        ("TRANSCRIBER_MAX_UPLOAD_BYTES", "0", "at least 1"),
        ("TRANSCRIBER_FETCH_SECONDS", "0", "from 1 to 86400"),
        ("TRANSCRIBER_ALLOW_PRIVATE_AUDIO_URLS", "yes", "true or false"),
        ("TRANSCRIBER_PROGRESS_SECONDS", "nan", "from 0 to 3600"),
        ("TRANSCRIBER_REQUIRE_KEY", "yes", "true or false"),
        ("TRANSCRIBER_REQUIRE_KEY", "true", "TRANSCRIBER_API_KEY is not set"),
        ("TRANSCRIBER_PUBLIC_URL", "speech.example", "https://example.com"),
        ("TRANSCRIBER_CORS_ORIGINS", "https://a.example/path", "without a path"),
        ("GROQ_BASE_URL", "https://api.groq.com/openai/v1/", "leave out /openai/v1"),
        ("TRANSCRIBER_WEBHOOK_URL", "ftp://x", "http:// or https://"),
        ("TRANSCRIBER_WEBHOOK_URL", "http://[::1", "http:// or https://"),
        ("TRANSCRIBER_WEBHOOK_URL", "http://xn--/x", "http:// or https://"),
        ("TRANSCRIBER_WEBHOOK_URL", "http://hooks.example/a\x7fb", "http:// or https://"),
        ("TRANSCRIBER_WEBHOOK_SECRET", "whsec_not base64", "whsec_ and base64"),
        ("TRANSCRIBER_WEBHOOK_SECRET", "hunter2hunter2", "whsec_ and base64"),
        ("TRANSCRIBER_WEBHOOK_SECRET", "", "TRANSCRIBER_WEBHOOK_SECRET is not"),
        ("TRANSCRIBER_API_KEY_FILE", "/nowhere/at/all", "cannot be read"),
        ("TRANSCRIBER_CONFIG", "/nowhere/x.toml", "cannot be read"),
        ("TRANSCRIBER_API_KEY", "schl\u00fcssel", "printable ASCII"),
        ("GROQ_API_KEY", "gsk_one\ngsk_two", "printable ASCII"),
        ("TRANSCRIBER_RETENTION_DAYS", "-1", "from 0 to 36500"),
        ("TRANSCRIBER_WEBHOK_URL", "https://x.example", "did you mean TRANSCRIBER_WEBHOOK_URL?"),
        ("TRANSCRIBER_XYZZY_PLUGH", "1", "is unknown"),
    ],
)
def test_a_wrong_variable_is_one_clear_fault(name: str, value: str, said: str) -> None:
    (fault,) = faults(**{name: value})
    assert name in fault
    assert said in fault


def test_every_fault_is_reported_at_once() -> None:
    assert len(faults(TRANSCRIBER_PORT="x", TRANSCRIBER_ENGINE="y", TRANSCRIBER_HOSTT="z")) == 3


def test_no_fault_tells_a_secret() -> None:
    assert "hunter2" not in str(
        faults(TRANSCRIBER_WEBHOOK_SECRET="hunter2", TRANSCRIBER_API_KEY="hunter2", TRANSCRIBER_PORT="x")
    )


def test_what_is_printed_of_settings_tells_no_secret() -> None:
    secrets = {"TRANSCRIBER_WEBHOOK_URL": "https://x.example/?token=hunter2", "GROQ_API_KEY": "hunter2"}
    settings = parse(VALID | secrets | {"TRANSCRIBER_API_KEY": "hunter2"})
    assert "hunter2" not in repr(settings)
    assert SECRET not in repr(settings)
    (fault,) = faults(TRANSCRIBER_WEBHOOK_URL="x.example/?token=hunter2")
    assert "hunter2" not in fault


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    environment = {
        "TRANSCRIBER_WEBHOOK_URL": "https://x.example",
        "TRANSCRIBER_WEBHOOK_SECRET_FILE": str(file),
    }
    assert parse(environment).webhooks == (Webhook(DEFAULT, "https://x.example", (SECRET,)),)
    (fault,) = faults(TRANSCRIBER_WEBHOOK_SECRET_FILE=str(file))
    assert "both set" in fault
    file.write_text("")
    with pytest.raises(SettingsError, match="empty"):
        parse(environment)
