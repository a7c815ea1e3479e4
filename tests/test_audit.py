"""`make audit`: what its tools say is never taken for more than it is."""

import json

import pytest

from tests.support.audit import (
    CLEAN,
    LOCKS,
    NPM_LOCKS,
    UNKNOWN,
    VULNERABLE,
    Audit,
    of_npm,
    of_pip,
    said,
    verdict,
)
from tests.support.locks import ROOT

SOUND = {"name": "anyio", "version": "4.16.0", "vulns": []}
SKIPPED = {
    "name": "h11",
    "skip_reason": "Dependency not found on PyPI and could not be audited: h11 (0.16.0)",
}
BAD = {
    "name": "h11",
    "version": "0.14.0",
    "vulns": [{"id": "PYSEC-2025-1", "fix_versions": ["0.16.0"], "aliases": [], "description": "…"}],
}
NPM_SOUND = {"auditReportVersion": 2, "vulnerabilities": {}, "metadata": {}}
NPM_BAD = {
    "auditReportVersion": 2,
    "vulnerabilities": {
        "vite": {"name": "vite", "severity": "high", "range": "<7.0.1", "via": [], "nodes": []}
    },
}


def pip(*packages):
    return of_pip("Python", json.dumps({"dependencies": packages, "fixes": []}))


def npm(report):
    return of_npm("page", json.dumps(report))


def test_what_nothing_is_known_against_is_clean():
    audits = [pip(SOUND), npm(NPM_SOUND)]
    assert verdict(audits) == CLEAN
    assert all(line.endswith("nothing is known against it") for line in said(audits))


def test_a_known_vulnerability_is_named_with_what_mends_it():
    assert list(said([pip(SOUND, BAD)])) == ["VULNERABLE: Python: h11 0.14.0: PYSEC-2025-1, fixed in 0.16.0"]
    assert list(said([npm(NPM_BAD)])) == ["VULNERABLE: page: vite <7.0.1: high"]


@pytest.mark.parametrize("bad", [pip(SOUND, BAD), npm(NPM_BAD)])
def test_one_vulnerability_fails_whoever_else_could_not_be_asked(bad):
    assert verdict([bad, npm(NPM_SOUND), Audit("other", unasked="no answer")]) == VULNERABLE


def test_a_package_that_pypi_says_nothing_of_was_not_audited():
    assert verdict([pip(SOUND, SKIPPED)]) == UNKNOWN
    assert list(said([pip(SOUND, SKIPPED)])) == [
        f"NOT AUDITED: Python: 1 of 2 packages: {SKIPPED['skip_reason']}"
    ]


def test_a_registry_without_advisories_audits_nothing():
    assert verdict([npm({"message": "405 Method Not Allowed", "statusCode": 405})]) == UNKNOWN


@pytest.mark.parametrize("output", ["", "Traceback (most recent call last):", "[]"])
def test_a_tool_that_fails_audits_nothing(output):
    assert verdict([of_pip("Python", output)]) == verdict([of_npm("page", output)]) == UNKNOWN


def test_every_lock_is_asked_about():
    assert {"gateway.lock", "transcriber.lock", "dev.lock"} <= {lock.name for lock in LOCKS}
    locks = {path.parent for path in ROOT.rglob("package-lock.json") if "node_modules" not in path.parts}
    assert locks == set(NPM_LOCKS)
