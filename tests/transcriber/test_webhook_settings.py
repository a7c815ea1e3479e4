"""Where events go, as variables and the file say it: every fault told at once, and never a secret."""

from pathlib import Path

import pytest

from tests.support.webhook_receiver import SECRET
from transcriber.errors import SettingsError
from transcriber.settings import Webhook, parse

OTHER = "whsec_b3RoZXIgc2VjcmV0IG9mIHRoZSB0ZXN0cw=="


@pytest.fixture
def config(tmp_path: Path):
    """Settings from a file with this text and these variables."""

    def parsed(text: str, **environment: str) -> tuple[Webhook, ...]:
        file = tmp_path / "transcriber.toml"
        file.write_text(text)
        return parse({"TRANSCRIBER_CONFIG": str(file), **environment}).webhooks

    return parsed


@pytest.fixture
def faults(config):
    def found(text: str, **environment: str) -> tuple[str, ...]:
        with pytest.raises(SettingsError) as caught:
            config(text, **environment)
        return caught.value.faults

    return found


def table(**changes: str) -> str:
    """A valid `[[webhooks]]` with changed lines; an empty one is left out."""
    lines = {"url": '"https://hooks.example/x"', "secrets": f'["{SECRET}"]'} | changes
    return "\n".join(["[[webhooks]]", *(f"{key} = {value}" for key, value in lines.items() if value)])


def test_the_two_variables_are_the_first_webhook_and_those_of_the_file_follow(config) -> None:
    found = config(
        table(secrets=f'["{OTHER}", "{SECRET}"]', event_types='["*.completed"]'),
        TRANSCRIBER_WEBHOOK_URL="https://first.example",
        TRANSCRIBER_WEBHOOK_SECRET=f"{SECRET} {OTHER}",
    )
    assert found == (
        Webhook("default", "https://first.example", (SECRET, OTHER), ("*",)),
        Webhook("hooks.example", "https://hooks.example/x", (OTHER, SECRET), ("*.completed",)),
    )


def test_a_webhook_without_a_name_is_called_by_its_host_and_port(config) -> None:
    assert [webhook.name for webhook in config(table(url='"http://127.0.0.1:9/x"'))] == ["127.0.0.1:9"]
    assert [webhook.name for webhook in config(table(name='"billing"'))] == ["billing"]


def test_variables_defaults_and_files_stand_in_its_texts(config, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{OTHER}\n")
    (webhook,) = config(
        table(url='"https://${HOST}/${PART:-x}"', secrets=f'["${{FIRST}}", "${{file:{secret}}}"]'),
        HOST="h.example",
        FIRST=SECRET,
    )
    assert (webhook.url, webhook.secrets) == ("https://h.example/x", (SECRET, OTHER))


def test_what_is_shown_of_an_address_has_neither_password_nor_query(config) -> None:
    (webhook,) = config(table(url='"https://ada:lovelace@hooks.example:8443/x?token=hunter2"'))
    assert webhook.shown_url == "https://hooks.example:8443/x"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (table(url='"ftp://x"'), "webhooks[0].url must be an address"),
        (table(url=""), "webhooks[0].url must be an address"),
        (table(url="7"), "webhooks[0].url must be an address"),
        (table(secrets=""), "webhooks[0].secrets must be a list of at least one string"),
        (table(secrets="[]"), "webhooks[0].secrets must be a list of at least one string"),
        (table(secrets='["hunter2"]'), "webhooks[0].secrets must each be whsec_ and base64"),
        (table(secrets=f'"{SECRET}"'), "webhooks[0].secrets must be a list"),
        (table(name='"a b"'), "webhooks[0].name must be"),
        (table(event_types='["transcription.job.complete"]'), "which matches no event; known are"),
        (table(event_types='["[a-z]*"]'), "which matches no event"),
        (table(event_types='"*"'), "webhooks[0].event_types must be a list"),
        (table(secret=f'"{SECRET}"'), "unknown key 'secret': did you mean secrets?"),
        ('webhook = "x"', "unknown key 'webhook': did you mean webhooks?"),
        ("[webhooks]", "must be written as [[webhooks]]"),
        ("webhooks = [1]", "webhooks[0] must be a table"),
        ("[[webhooks]", "is not TOML"),
        (table(secrets='["${NOT_SET}"]'), "webhooks[0].secrets[0] needs the variable NOT_SET"),
        (table(secrets='["${file:/nowhere/x}"]'), "webhooks[0].secrets[0] names the file '/nowhere/x'"),
        (table(url='"https://${a-b}"'), "webhooks[0].url has a ${ that begins none of"),
        (table() + "\n" + table(), "2 webhooks are called 'hooks.example': give each a name of its own"),
    ],
)
def test_a_fault_of_the_file_is_told_with_its_place(faults, text: str, said: str) -> None:
    (fault,) = faults(text)
    assert said in fault


def test_a_name_of_the_file_cannot_be_that_of_the_variables(faults) -> None:
    (fault,) = faults(
        table(name='"default"'),
        TRANSCRIBER_WEBHOOK_URL="https://first.example",
        TRANSCRIBER_WEBHOOK_SECRET=SECRET,
    )
    assert "2 webhooks are called 'default'" in fault


def test_faults_of_file_and_variables_are_told_at_once_and_tell_no_secret(faults) -> None:
    found = faults(
        table(url='"hunter2"', secrets='["hunter2", "${NOT_SET}"]') + "\n" + table(secrets='["hunter2"]'),
        TRANSCRIBER_PORT="x",
        TRANSCRIBER_WEBHOOK_SECRET="hunter2",
        TRANSCRIBER_EVENT_DAYS="-1",
    )
    assert len(found) == 6
    assert "hunter2" not in str(found)
