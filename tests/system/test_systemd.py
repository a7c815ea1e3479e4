"""deploy/systemd as systemd itself reads it."""

import subprocess

import pytest

from tests.support.locks import ROOT

pytestmark = [pytest.mark.system, pytest.mark.parametrize("service", ["gateway", "transcriber"])]

MOST_EXPOSED = 15
"""Tenths of systemd's own measure, which begins at 96 for a unit that says nothing."""
IN_PLACE = """
set -e
mount -t tmpfs tmpfs /opt
mkdir -p "/opt/$1/.venv/bin"
ln -s /bin/true "/opt/$1/.venv/bin/python"
exec systemd-analyze verify "$2"
"""


def unit(service):
    return ROOT / f"deploy/systemd/{service}.service"


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_systemd_takes_every_directive(service):
    verified = run("unshare", "--mount", "sh", "-c", IN_PLACE, "sh", service, unit(service))
    assert (verified.returncode, verified.stderr) == (0, "")


def test_a_unit_is_hardly_exposed(service):
    judged = run(
        "systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED}", unit(service)
    )
    assert judged.returncode == 0, judged.stdout[-200:]
