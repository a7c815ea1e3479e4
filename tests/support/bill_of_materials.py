"""Writes what the images carry, as CycloneDX: `make bills` after a change of the locks."""

import re
from collections.abc import Iterator
from importlib.metadata import PackageMetadata, metadata
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import gateway
import transcriber
from tests.support.locks import ROOT, hashes, pins

SERVICES = {"gateway": gateway, "transcriber": transcriber}
IMAGE = {"python_version": "3.11", "python_full_version": "3.11.0", "implementation_name": "cpython"}
IMAGE |= {"platform_python_implementation": "CPython", "sys_platform": "linux", "platform_system": "Linux"}
IMAGE |= {"os_name": "posix", "platform_machine": "x86_64", "extra": ""}
"""What the markers of a lock ask of a Python, answered for the images'."""
LICENSES = LicenseFactory()
SPDX = {"MIT License": "MIT", "3-Clause BSD License": "BSD-3-Clause", "Apache Software License": "Apache-2.0"}
SPDX |= {"Apache 2.0": "Apache-2.0", "Apache License, Version 2.0": "Apache-2.0"}
"""What packages write in place of an identifier."""


def path(service: str) -> Path:
    return ROOT / "requirements" / f"{service}.cdx.json"


def bill(service: str) -> str:
    """JSON, the same at any time: no date and no number of its own. Licences are as the packages themselves say."""
    module = SERVICES[service]
    root = Component(
        type=ComponentType.APPLICATION,
        name=service,
        version=module.__version__,
        description=module.__doc__,
        bom_ref=service,
        licenses=[LICENSES.make_from_string("Apache-2.0")],
    )
    components = {name: _component(service, name, version) for name, version in pins(service, IMAGE).items()}
    bom = Bom(components=components.values())
    bom.metadata.component = root
    bom.metadata.timestamp = None
    bom.serial_number = None
    bom.register_dependency(root, components.values())
    for name, component in components.items():
        bom.register_dependency(
            component, [components[other] for other in _needs(name) if other in components]
        )
    outputter = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6)
    return outputter.output_as_string(indent=1) + "\n"


def _component(service: str, name: str, version: str) -> Component:
    """A package; its hashes are those of every file that the lock lets pip install."""
    url = PackageURL(type="pypi", name=name, version=version)
    found = [HashType(alg=HashAlgorithm.SHA_256, content=one) for one in hashes(service, name, version)]
    files = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION, url=XsUri(url.to_string()), hashes=found
    )
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        bom_ref=url.to_string(),
        purl=url,
        licenses=_licenses(metadata(name)),
        external_references=[files],
    )


def _licenses(said: PackageMetadata) -> list[License]:
    """Its expression, else its one line, else its classifiers."""
    classifiers = [
        one.rpartition(" :: ")[2] for one in said.get_all("Classifier") or [] if "License ::" in one
    ]
    lines = [
        text for name in ("License-Expression", "License") if (text := said.get(name)) and "\n" not in text
    ]
    return [LICENSES.make_from_string(SPDX.get(name, name)) for name in lines[:1] or classifiers]


def _needs(name: str) -> Iterator[str]:
    for line in metadata(name).get_all("Requires-Dist") or []:
        needed = Requirement(re.sub(r"\s+", " ", line))
        if needed.marker is None or needed.marker.evaluate(IMAGE):
            yield canonicalize_name(needed.name)


if __name__ == "__main__":
    for service in SERVICES:
        path(service).write_text(bill(service), "utf-8")
