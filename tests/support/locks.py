"""What a lock file of requirements/ says for the Python that runs the tests."""

import re
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]


def pins(name: str) -> dict[str, str]:
    """Return package → version of requirements/NAME.lock, without those whose markers rule this Python out."""
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    requirements = [Requirement(line) for line in re.findall(r"^([a-z0-9].*?) *\\$", text, re.MULTILINE)]
    return {
        canonicalize_name(requirement.name): requirement.specifier.__str__().removeprefix("==")
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate()
    }
