"""deploy/systemd against what the services are: their settings, their commands, their memory."""

import re

import pytest
import yaml

from gateway.config import load as gateway_configuration
from tests.support.locks import ROOT
from transcriber.settings import parse as transcriber_settings

SERVICES = ("gateway", "transcriber")
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def directives(service):
    """Name → values, in the order of the file."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / f"deploy/systemd/{service}.service").read_text("utf-8").splitlines():
        name, _, value = line.partition("=")
        if not line.startswith(("#", "[")) and name:
            found.setdefault(name, []).append(value)
    return found


@pytest.fixture
def environment_of(tmp_path):
    """What the process gets; its credentials are files that hold a secret."""

    def made(service):
        given = directives(service)
        for credential in given["LoadCredential"]:
            (tmp_path / credential.split(":")[0]).write_text(f"{SECRET}\n")
        variables = dict(one.split("=", 1) for line in given["Environment"] for one in line.split())
        return {name: text.replace("%d", str(tmp_path)) for name, text in variables.items()}

    return made


def test_the_gateway_takes_its_environment_and_keeps_its_store_in_its_state_directory(environment_of):
    environ = environment_of("gateway") | {"CONVEX_SITE_URL": "http://127.0.0.1:9"}
    assert environ.pop("GATEWAY_CONFIG") == "/etc/gateway/gateway.toml"
    config = gateway_configuration(None, environ=environ)
    (destination,) = config.destinations
    assert (config.server.admin_token, destination.bearer_token) == (SECRET, SECRET)
    assert config.store.url == "sqlite:////var/lib/gateway/gateway.db"


def test_the_transcriber_takes_its_environment_and_sends_to_the_gateway(environment_of):
    environ = environment_of("transcriber")
    settings = transcriber_settings(
        {name: text for name, text in environ.items() if name.startswith("TRANSCRIBER_")}
    )
    (webhook,) = settings.webhooks
    assert (webhook.url, webhook.secrets) == ("http://127.0.0.1:8080/webhooks/transcriber", (SECRET,))
    assert (settings.api_key, str(settings.data_dir)) == (SECRET, "/var/lib/transcriber")


@pytest.mark.parametrize("service", SERVICES)
def test_every_credential_is_read_and_every_one_read_is_given(service):
    given = directives(service)
    read = re.findall(r"%d/(\w+)", " ".join(given["Environment"]))
    assert sorted(credential.split(":")[0] for credential in given["LoadCredential"]) == sorted(read)
    assert all(
        credential.startswith(f"{name}:/etc/{service}/secrets/{name}")
        for name, credential in ((one.split(":")[0], one) for one in given["LoadCredential"])
    )


@pytest.mark.parametrize("service", SERVICES)
def test_a_unit_starts_its_service_again_however_it_ended(service):
    given = directives(service)
    assert given["ExecStart"] == [f"/opt/{service}/.venv/bin/python -m {service} serve"]
    assert f"PYTHONPATH=/opt/{service}" in given["Environment"][0]
    assert (given["Restart"], given["StartLimitIntervalSec"]) == (["always"], ["0"])
    assert int(given["TimeoutStopSec"][0]) > 10


@pytest.mark.parametrize("service", SERVICES)
def test_a_unit_writes_to_its_state_directory_alone(service):
    given = directives(service)
    assert (given["ProtectSystem"], given["DynamicUser"]) == (["strict"], ["yes"])
    assert given["StateDirectory"] == [service]
    assert given["WorkingDirectory"] == [f"/var/lib/{service}"]
    assert "ReadWritePaths" not in given


@pytest.mark.parametrize("service", SERVICES)
def test_a_memory_bound_is_that_of_compose(service):
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"][service]["mem_limit"]
    assert directives(service)["MemoryMax"] == [compose.upper()]


@pytest.mark.parametrize("service", SERVICES)
def test_the_lock_that_a_unit_says_to_install_is_there(service):
    text = (ROOT / f"deploy/systemd/{service}.service").read_text("utf-8")
    (lock,) = re.findall(rf"/opt/{service}/(requirements/\S+)", text)
    assert (ROOT / lock).is_file()
