"""What a lock file of requirements/ says."""

import re
from collections.abc import Mapping
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]


def pins(name: str, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return package → version of requirements/NAME.lock, without those whose markers rule this Python out, or the one
    that `environment` describes.
    """
    requirements = [
        Requirement(line) for line in re.findall(r"^([a-z0-9].*?) *\\$", _text(name), re.MULTILINE)
    ]
    return {
        canonicalize_name(requirement.name): requirement.specifier.__str__().removeprefix("==")
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate(environment)
    }


def hashes(name: str, package: str, version: str) -> list[str]:
    """Return the SHA-256 of each file that requirements/NAME.lock allows for the package."""
    (block,) = re.findall(
        rf"^{package}=={re.escape(version)}(?: ;.*)? \\\n((?: .*\n)+)", _text(name), re.MULTILINE
    )
    return re.findall(r"--hash=sha256:([0-9a-f]{64})", block)


def _text(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.lock").read_text()
