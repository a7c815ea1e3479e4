"""requirements/*.cdx.json: what each image carries, as the locks have it."""

import json
import re

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.support.bill_of_materials import SERVICES, bill, path
from tests.support.locks import ROOT

IDENTIFIER = re.compile(r"[\w.-]+")
WORDS = {"AND", "OR", "WITH"}

pytestmark = pytest.mark.parametrize("service", SERVICES)


def written(service):
    return json.loads(path(service).read_text("utf-8"))


def licenses(component):
    return [
        one.get("expression") or one["license"].get("id") or f"not SPDX: {one['license']['name']}"
        for one in component["licenses"]
    ]


def test_a_bill_is_up_to_date(service):
    assert path(service).read_text("utf-8") == bill(service), "run make bills"


def test_a_bill_is_sound_cyclonedx(service):
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(path(service).read_text("utf-8")) is None


def test_every_package_has_a_hash_for_each_of_its_files_and_a_licence(service):
    for component in written(service)["components"]:
        (files,) = component["externalReferences"]
        assert files["hashes"], component["name"]
        assert licenses(component), component["name"]


def test_the_label_of_an_image_names_every_licence_of_its_bill(service):
    stage = (ROOT / "Dockerfile").read_text().split(f" AS {service}\n")[1].split("\nFROM ")[0]
    label = set(IDENTIFIER.findall(stage.split("image.licenses=")[1]))
    said = {text for component in written(service)["components"] for text in licenses(component)}
    assert {name for text in said for name in IDENTIFIER.findall(text)} - WORDS - label == set()
