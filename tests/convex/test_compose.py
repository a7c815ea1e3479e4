"""compose.yaml against what the services are: their settings, their image, their routes, and the documentation."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from gateway.config import load as gateway_configuration
from transcriber.settings import parse as transcriber_settings

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: Mapping[str, Any] = COMPOSE["services"]
BUILT = ("gateway", "transcriber")
DOCKERFILE = (ROOT / "Dockerfile").read_text()
DOCUMENTATION = (ROOT / "docs/convex.md").read_text()
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])(.*?))?\}")
SECRET = re.compile(r"(KEY|SECRET|TOKEN)$")
DOTENV = {
    "TRANSCRIBER_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "TRANSCRIPTION_WEBHOOK_KEY": "made-up-key",
    "TRANSCRIBER_API_KEY": "made-up-api-key",
    "GATEWAY_ADMIN_TOKEN": "made-up-token",
}


def variables() -> list[tuple[str, str, str]]:
    """Name, `-` or `?`, and the default or what is said without it."""
    return [
        (found[1], found[2], found[3])
        for service in SERVICES.values()
        for value in service["environment"].values()
        for found in VARIABLE.finditer(value)
    ]


def environment_of(service: str) -> dict[str, str]:
    """As Compose gives it to the container, over what the image sets."""

    def value(found: re.Match[str]) -> str:
        return DOTENV.get(found[1]) or (found[3] if found[2] == "-" else "")

    stage = DOCKERFILE.split(f" AS {service}\n")[1].split("\nFROM ")[0]
    image = dict(re.findall(r"(?:^ENV|\\\n) +(\w+)=(\S+)", stage, re.MULTILINE))
    ours = {name: VARIABLE.sub(value, written) for name, written in SERVICES[service]["environment"].items()}
    return image | ours


def exposed(service: str) -> int:
    stage = DOCKERFILE.split(f" AS {service}\n")[1].split("\nFROM ")[0]
    (port,) = re.findall(r"^EXPOSE (\d+)$", stage, re.MULTILINE)
    return int(port)


def test_the_gateway_takes_its_environment_and_delivers_to_convex() -> None:
    config = gateway_configuration(None, environ=environment_of("gateway"))
    (destination,) = config.destinations
    assert destination.url == "http://convex:3211/webhooks/transcription-jobs"
    assert destination.allow_private_address


def test_every_variable_of_the_gateway_is_one_that_it_reads() -> None:
    read = "".join(path.read_text() for path in (ROOT / "gateway/config").glob("*.*") if path.is_file())
    assert [name for name in SERVICES["gateway"]["environment"] if name not in read] == []


def test_the_transcriber_takes_its_environment() -> None:
    settings = transcriber_settings(environment_of("transcriber"))  # an unknown variable is a fault
    assert [webhook.name for webhook in settings.webhooks] == ["default"]
    assert settings.host == "0.0.0.0"
    assert str(settings.data_dir) == "/data"


def test_the_transcriber_sends_to_the_route_and_with_the_secret_of_the_gateways_source() -> None:
    (webhook,) = transcriber_settings(environment_of("transcriber")).webhooks
    config = gateway_configuration(None, environ=environment_of("gateway"))
    (source,) = config.sources
    address = urlsplit(webhook.url)
    assert (address.hostname, address.port) == ("gateway", exposed("gateway"))
    assert address.path == f"/webhooks/{source.name}"
    assert webhook.secrets == (environment_of("gateway")["TRANSCRIBER_WEBHOOK_SECRET"],)


@pytest.mark.parametrize("service", BUILT)
def test_what_is_built_is_a_target_with_its_port_and_its_volume(service: str) -> None:
    described = SERVICES[service]
    assert described["build"] == {"context": ".", "target": service}
    assert re.search(rf"^FROM runtime AS {service}$", DOCKERFILE, re.MULTILINE)
    assert described["ports"] == [f"127.0.0.1:{exposed(service)}:{exposed(service)}"]
    assert described["volumes"] == [f"{service}:/data"]
    assert "\nVOLUME /data\n" in DOCKERFILE
    assert described["read_only"] is True


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_is_open_to_other_machines(service: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[service]["ports"])


def test_both_images_of_convex_are_the_same_release() -> None:
    tags = [SERVICES[name]["image"].split(":")[1] for name in ("convex", "dashboard")]
    assert tags[0] == tags[1]
    assert re.fullmatch("[0-9a-f]{40}", tags[0])


def test_every_volume_is_declared() -> None:
    mounted = {name.split(":")[0] for service in SERVICES.values() for name in service.get("volumes", [])}
    assert mounted == set(COMPOSE["volumes"])


def test_no_secret_has_a_value_here() -> None:
    secrets = [(name, kind, text) for name, kind, text in variables() if SECRET.search(name)]
    assert {name for name, kind, _ in secrets if kind == "?"} == set(DOTENV)
    assert {(name, text) for name, kind, text in secrets if kind == "-"} == {("GROQ_API_KEY", "")}


@pytest.mark.parametrize("name", sorted({name for name, _, _ in variables()}))
def test_every_variable_is_documented(name: str) -> None:
    assert f"`{name}`" in DOCUMENTATION or f"\n{name}=" in DOCUMENTATION
