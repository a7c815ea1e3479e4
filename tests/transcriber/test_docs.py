"""docs/transcriber.md names what the code has, and nothing else that looks like it."""

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import get_args

import jsonschema_rs
import pytest
import yaml

from tests.bench.gateway import free_port
from tests.support.webhook_receiver import SECRET
from transcriber import states
from transcriber.cli import main
from transcriber.metrics import RunOutcome
from transcriber.model import Step

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs/transcriber.md").read_text("utf-8")
OPENAPI = yaml.safe_load((ROOT / "openapi/transcriber.yaml").read_text("utf-8"))
CODE = "\n".join(path.read_text("utf-8") for path in (ROOT / "transcriber").rglob("*.py"))


def listed(header: str) -> list[str]:
    """What stands in backticks in the first column of every table whose first column is called so."""
    tables = re.findall(r"^\|.+\|\n\| ---.+\n(?:\|.+\n)+", DOCS, re.MULTILINE)
    cells = [
        row.split(" | ")[0]
        for table in tables
        if table.split("|")[1].strip(" `") == header
        for row in table.splitlines()[2:]
    ]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def documented(header: str) -> set[str]:
    return set(listed(header))


def block(language: str) -> str:
    """The page's first block of this language."""
    return re.search(rf"^```{language}\n(.+?)^```$", DOCS, re.MULTILINE | re.DOTALL)[1]


def raised(*by: str) -> set[str]:
    """The codes of problems and of jobs' errors, by who is called with them."""
    return set(re.findall(rf'\b(?:{"|".join(by)})\(\s*(?:\w+,\s*)?"([a-z_]+)"', CODE))


def mapped() -> set[str]:
    """The codes that stand for statuses of HTTP."""
    return set(re.findall(r'(?:\b[45]\d\d: |_CODES\.get\(\w+, )"([a-z_]+)"', CODE))


def test_every_setting_is_documented_and_every_documented_setting_exists():
    names = set(re.findall(r'"((?:GROQ|TRANSCRIBER)_[A-Z_]+)"', CODE))
    assert names
    assert documented("variable") == names


def test_every_metric_is_documented_and_every_documented_metric_exists(shared_api):
    families = re.findall(r"^# TYPE (\w+) ", shared_api.http.get("/metrics").text, re.MULTILINE)
    assert documented("metric") == {name for name in families if not name.endswith("_created")}


def test_every_log_event_is_documented_and_every_documented_event_exists():
    emitted = set(re.findall(r'log\.(?:info|warning|error)\(\s*f?"([a-z.{}_]+)"', CODE))
    emitted |= set(re.findall(r'else "([a-z]+\.[a-z_]+)"', CODE))
    emitted.remove("job.{ended.outcome}")
    ends = {f"job.{outcome}" for outcome in get_args(RunOutcome)}
    assert documented("event") == emitted | ends


def test_every_route_is_documented_and_every_documented_route_exists():
    routes = {
        f"{method.upper()} {path}"
        for path, item in OPENAPI["paths"].items()
        for method in item
        if method != "parameters"
    }
    assert documented("route") == routes


def test_every_code_is_documented_and_every_documented_code_exists():
    refusals, errors = documented("code"), documented("error code")
    unseen = {"weights_unusable"}  # an engine that cannot be used says why in words, in /readyz
    ends = {"job_cancelled", "job_deleted"}  # made of a status
    assert raised("RequestError", "problem") <= refusals
    there_are = raised("RequestError", "problem", "SpeechError", "AudioError", "Failure") | mapped()
    assert refusals | errors == there_are - unseen | ends


@pytest.mark.parametrize("header", ["variable", "metric", "event", "route", "code", "error code", "command"])
def test_nothing_is_described_in_two_places(header):
    names = listed(header)
    assert names
    assert sorted(names) == sorted(set(names))


def test_the_codes_of_the_page_are_those_of_the_api():
    said = OPENAPI["components"]["schemas"]["Error"]["properties"]["code"]["description"]
    assert set(re.findall(r"`(\w+)`", said)) == documented("error code")
    text = (ROOT / "openapi/transcriber.yaml").read_text("utf-8")
    assert [code for code in documented("code") if f"`{code}`" not in text] == []


def test_the_states_are_drawn_as_in_the_code_and_every_step_is_named():
    drawing = "\n".join(line for line in states.__doc__.splitlines() if line.startswith("    "))
    assert textwrap.dedent(drawing) in DOCS
    assert [step for step in get_args(Step) if f"`{step}`" not in DOCS] == []


def test_every_event_shown_is_one_of_the_api():
    shown = re.findall(r"^```json\n(.+?)^```$", DOCS, re.MULTILINE | re.DOTALL)
    schema = {**OPENAPI["components"]["schemas"]["Event"], "components": OPENAPI["components"]}
    assert shown
    for event in shown:
        jsonschema_rs.validator_for(schema).validate(json.loads(event))


def test_every_command_is_documented_and_every_documented_command_exists(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    there_are = set(re.findall(r"^    ([a-z]+) ", capsys.readouterr().out, re.MULTILINE))
    assert {command.split()[1] for command in documented("command")} == there_are


def test_every_setting_that_the_help_names_exists(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    named = set(re.findall(r"\b(?:GROQ|TRANSCRIBER)_[A-Z_]+", capsys.readouterr().out))
    assert named
    assert named <= documented("variable")


def test_the_receiver_that_is_shown_takes_what_is_signed_and_prints_what_is_shown(start, tmp_path):
    port = free_port()
    hook = tmp_path / "hook.py"
    hook.write_text(block("python").replace("9000", str(port)), "utf-8")
    with subprocess.Popen(
        [sys.executable, "-u", str(hook)],
        env={"PATH": os.environ["PATH"], "TRANSCRIBER_WEBHOOK_SECRET": SECRET},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as receiver:
        try:
            api = start(TRANSCRIBER_WEBHOOK_URL=f"http://127.0.0.1:{port}/")
            api.post()
            lines = [receiver.stdout.readline().split() for _ in range(3)]
        finally:
            receiver.kill()
    shown = [line.split() for line in re.findall(r"^\d transcription\.job\..+$", DOCS, re.MULTILINE)]
    assert [line[:2] for line in lines] == [line[:2] for line in shown]
