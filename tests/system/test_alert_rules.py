"""promtool runs the tests of the alert rules."""

import subprocess

import pytest

from tests.support.prometheus import tool
from tests.support.queries import DEPLOY

pytestmark = pytest.mark.system


def promtool(*arguments):
    return subprocess.run([tool("promtool"), *arguments], capture_output=True, text=True, check=False)


def test_the_alerts_fire_when_they_should_and_only_then():
    ran = promtool("test", "rules", *(DEPLOY / "prometheus/tests").glob("*.yml"))
    assert ran.returncode == 0, ran.stderr + ran.stdout


def test_an_alert_that_fires_too_late_is_noticed(tmp_path):
    for part in ("rules", "tests"):
        (tmp_path / part).mkdir()
        text = (DEPLOY / f"prometheus/{part}/transcriber.yml").read_text("utf-8")
        (tmp_path / part / "transcriber.yml").write_text(text.replace("for: 15m", "for: 16m"), "utf-8")
    ran = promtool("test", "rules", tmp_path / "tests/transcriber.yml")
    assert ran.returncode == 1
    assert "TranscriberEnginePaused" in ran.stderr


def test_the_configuration_is_sound():
    ran = promtool("check", "config", DEPLOY / "prometheus/prometheus.yml")
    assert ran.returncode == 0, ran.stderr
