"""Asks PyPI and npm what is known against the packages that the locks name: `make audit`.

It ends with 0 where nothing is, 1 where something is, and 3 where somebody could not be asked: then nobody knows.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.locks import ROOT

CLEAN, VULNERABLE, UNKNOWN = 0, 1, 3
ASK_SECONDS = 120
PIP = (
    sys.executable,
    "-m",
    "pip_audit",
    "--no-deps",
    "--disable-pip",
    "--progress-spinner=off",
    "--format=json",
)
NPM = ("npm", "audit", "--json")
LOCKS = tuple(sorted((ROOT / "requirements").glob("*.lock")))
NPM_LOCKS = (ROOT / "convex", ROOT / "tests/oracles/npm")


@dataclass(frozen=True, slots=True)
class Audit:
    """Of one lock, or several."""

    what: str
    known: tuple[str, ...] = ()
    """A line for each vulnerability."""
    unasked: str = ""
    """Why it is not known whether there are (more)."""


def of_pip(what: str, output: str) -> Audit:
    """From pip-audit's JSON, which counts a package that PyPI says nothing of as one without vulnerabilities."""
    if (found := _parsed(output)) is None:
        return Audit(what, unasked=f"pip-audit said {output!r:.200}")
    packages = found["dependencies"]
    known = [_told(package, one) for package in packages for one in package.get("vulns", [])]
    skipped = [package for package in packages if "skip_reason" in package]
    unasked = f"{len(skipped)} of {len(packages)} packages: {skipped[0]['skip_reason']}" if skipped else ""
    return Audit(what, tuple(known), unasked)


def of_npm(what: str, output: str) -> Audit:
    """From npm's JSON, which is a message where its registry knows no advisories."""
    found = _parsed(output) or {}
    if "auditReportVersion" not in found:
        return Audit(what, unasked=str(found.get("message", f"npm said {output!r:.200}")))
    known = found["vulnerabilities"].values()
    return Audit(what, tuple(f"{one['name']} {one['range']}: {one['severity']}" for one in known))


def verdict(audits: Sequence[Audit]) -> int:
    if any(audit.known for audit in audits):
        return VULNERABLE
    return UNKNOWN if any(audit.unasked for audit in audits) else CLEAN


def said(audits: Sequence[Audit]) -> Iterator[str]:
    for audit in audits:
        yield from (f"VULNERABLE: {audit.what}: {one}" for one in audit.known)
        if audit.unasked:
            yield f"NOT AUDITED: {audit.what}: {audit.unasked}"
        elif not audit.known:
            yield f"{audit.what}: nothing is known against it"


def audits() -> Iterator[Audit]:
    yield of_pip(
        "Python", _asked([*PIP, *(f"--requirement={lock.relative_to(ROOT)}" for lock in LOCKS)], ROOT)
    )
    for folder in NPM_LOCKS:
        name = folder.relative_to(ROOT)
        yield of_npm(f"{name}, what is shipped", _asked([*NPM, "--omit=dev"], folder))
        yield of_npm(f"{name}, with its tools", _asked(NPM, folder))


def _told(package: dict[str, Any], vulnerability: dict[str, Any]) -> str:
    fixed = ", ".join(vulnerability["fix_versions"]) or "no version"
    return f"{package['name']} {package['version']}: {vulnerability['id']}, fixed in {fixed}"


def _asked(command: Sequence[str], folder: Path) -> str:
    """What it printed; where that is nothing, the end of what it complained of."""
    try:
        asked = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=ASK_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"nothing for {ASK_SECONDS} s"
    return asked.stdout or asked.stderr.strip().rpartition("\n")[2]


def _parsed(output: str) -> dict[str, Any] | None:
    try:
        found = json.loads(output)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


if __name__ == "__main__":
    made = list(audits())
    print(*said(made), sep="\n")  # noqa: T201 - a command
    sys.exit(verdict(made))
