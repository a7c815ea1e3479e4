"""The locks say what pyproject.toml asks for, and the same in each."""

import tomllib
from importlib.metadata import version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.locks import ROOT, pins

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
IMAGES = {"gateway": ("gateway", "otlp"), "transcriber": ("transcriber",)}
"""The extras that each one's image has."""


@pytest.mark.parametrize("service", IMAGES)
def test_a_service_lock_pins_what_its_image_asks_for(service: str) -> None:
    asked = [one for extra in IMAGES[service] for one in PROJECT["project"]["optional-dependencies"][extra]]
    assert _unmet(asked, pins(service)) == []


def test_the_dev_lock_pins_what_services_and_tools_ask_for() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    asked = [*(one for extra in extras.values() for one in extra), *PROJECT["dependency-groups"]["dev"]]
    assert _unmet(asked, pins("dev")) == []


def test_the_oracles_lock_pins_what_the_gateway_and_its_oracles_ask_for() -> None:
    asked = [
        *PROJECT["project"]["optional-dependencies"]["gateway"],
        *PROJECT["dependency-groups"]["oracles"],
    ]
    assert _unmet(asked, pins("oracles")) == []


def test_the_gateway_meets_its_oracles_with_the_versions_that_its_image_gets() -> None:
    assert pins("gateway").items() <= pins("oracles").items()


@pytest.mark.parametrize("service", IMAGES)
def test_a_service_is_tested_with_the_versions_that_its_image_gets(service: str) -> None:
    assert pins(service).items() <= pins("dev").items()


def test_the_fuzzer_runs_with_the_versions_that_the_gateway_gets() -> None:
    assert pins("gateway").items() <= pins("fuzz").items()
    assert _unmet(PROJECT["dependency-groups"]["fuzz"], pins("fuzz")) == []


def test_what_is_installed_is_what_the_dev_lock_says() -> None:
    assert {name: version(name) for name in pins("dev")} == pins("dev")


def _unmet(asked: list[str], pinned: dict[str, str]) -> list[str]:
    return [
        text
        for text in asked
        if not (requirement := Requirement(text)).specifier.contains(
            pinned.get(canonicalize_name(requirement.name), "0.dev0")
        )
        or canonicalize_name(requirement.name) not in pinned
    ]
