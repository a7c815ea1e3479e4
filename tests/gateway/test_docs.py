"""docs/gateway.md and gateway.example.toml name what the code has, and nothing else that looks like it."""

import dataclasses
import re
from pathlib import Path

import pytest

from gateway.cli import main
from gateway.config import Config, Destination, Retention, Server, Source, StoreSettings, load
from gateway.metrics import Metrics
from gateway.retry import RetryPolicy

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs/gateway.md").read_text("utf-8")
CODE = "\n".join(path.read_text("utf-8") for path in (ROOT / "gateway").rglob("*.py"))
WRITTEN_OTHERWISE = {"verifier": "verify"}


@pytest.mark.parametrize("settings", [Server, StoreSettings, Retention, Source, Destination, RetryPolicy])
def test_every_setting_is_documented(settings):
    names = {WRITTEN_OTHERWISE.get(field.name, field.name) for field in dataclasses.fields(settings)}
    missing = {name for name in names if not re.search(rf"`(\w+\.)?{name}[.`]", DOCS)}
    assert missing == set()


def test_every_metric_is_documented_and_every_documented_metric_exists():
    metrics = Metrics(version="0")
    registered = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for registry in (metrics.registry, metrics.stored.registry)
        for family in registry.collect()
    }
    assert set(re.findall(r"`((?:gateway|process)_\w+)`", DOCS)) == registered


def test_every_log_event_is_documented_and_every_documented_event_exists():
    emitted = set(re.findall(r'emit(?:_error)?\(\s*"([a-z]+\.[a-z_]+)"', CODE))
    emitted |= set(re.findall(r'\("([a-z]+\.[a-z_]+)", logging\.', CODE))  # chosen from a table
    section = DOCS.partition("## Log")[2]
    documented = {
        name
        for cell in re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
        for name in re.findall(r"`([^`]+)`", cell)
    }
    assert documented == emitted


def test_every_route_of_the_admin_api_is_documented():
    routes = set(
        re.findall(r"^  (/v1/\S+):$", (ROOT / "openapi/gateway.yaml").read_text("utf-8"), re.MULTILINE)
    )
    assert routes
    assert [route for route in routes if route not in DOCS] == []


def test_every_command_is_documented_and_every_documented_command_exists(capsys):
    commands = set(re.findall(r"(?:-m |^|`)gateway ([a-z]+(?: [a-z]+)?)", DOCS, re.MULTILINE))
    for command in sorted(commands):
        with pytest.raises(SystemExit) as ended:
            main([*command.split(), "--help"])
        assert ended.value.code == 0
    told = capsys.readouterr().out
    for group in ("events", "replays", "destinations"):
        with pytest.raises(SystemExit):
            main([group, "--help"])
        there_are = re.findall(r"^    ([a-z]+) ", capsys.readouterr().out, re.MULTILINE)
        assert [
            f"{group} {name}" for name in there_are if f"usage: gateway {group} {name} " not in told
        ] == []


def test_the_example_is_sound_and_has_every_setting():
    path = ROOT / "gateway.example.toml"
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    environ = {"BILLING_WEBHOOK_SECRET": secret, "PARTNER_WEBHOOK_SECRET": secret, "APP_KEY": "made-up"}
    environ |= {"PARTNER_NEW_SECRET": secret, "APP_SIGNING_SECRET": secret}
    config = load(path, environ=environ)
    assert isinstance(config, Config)
    text = path.read_text("utf-8")
    settings = [
        field.name
        for kind in (Server, StoreSettings, Source, Destination)
        for field in dataclasses.fields(kind)
    ]
    assert [name for name in settings if WRITTEN_OTHERWISE.get(name, name) not in text] == []
