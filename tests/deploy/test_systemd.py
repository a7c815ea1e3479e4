"""deploy/systemd against what the services are: their settings, their commands, their memory."""

import re

import pytest
import yaml

from gateway.config import Destination, Server
from gateway.config import load as gateway_configuration
from gateway.server import OWN_FILES
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


def environment(service):
    """What the process gets."""
    return dict(one.split("=", 1) for line in directives(service)["Environment"] for one in line.split())


def test_the_gateway_takes_its_environment_and_keeps_its_store_in_its_state_directory(tmp_path):
    environ = environment("gateway")
    assert environ["GATEWAY_CONFIG"] == "/etc/gateway/gateway.toml"
    (tmp_path / "gateway.toml").write_text(f"""
[[sources]]
name = "billing"
preset = "standard-webhooks"
secrets = ["{SECRET}"]
""")
    config = gateway_configuration(tmp_path / "gateway.toml", environ=environ)
    assert config.store.url == "sqlite:////var/lib/gateway/gateway.db"


def test_the_gateways_secrets_are_read_anew_at_a_reload():
    """Credentials would stay as they were at the start."""
    given = directives("gateway")
    assert given["ExecReload"] == ["kill -HUP $MAINPID"]
    assert "LoadCredential" not in given
    assert "DynamicUser" not in given
    assert (given["User"], given["Group"]) == (["gateway"], ["gateway"])


def test_the_transcriber_takes_its_environment_and_sends_to_the_gateway(tmp_path):
    for credential in directives("transcriber")["LoadCredential"]:
        (tmp_path / credential.split(":")[0]).write_text(f"{SECRET}\n")
    environ = {name: text.replace("%d", str(tmp_path)) for name, text in environment("transcriber").items()}
    settings = transcriber_settings(
        {name: text for name, text in environ.items() if name.startswith("TRANSCRIBER_")}
    )
    (webhook,) = settings.webhooks
    assert (webhook.url, webhook.secrets) == ("http://127.0.0.1:8080/webhooks/transcriber", (SECRET,))
    assert (settings.api_key, str(settings.data_dir)) == (SECRET, "/var/lib/transcriber")


def test_every_credential_is_read_and_every_one_read_is_given():
    given = directives("transcriber")
    read = re.findall(r"%d/(\w+)", " ".join(given["Environment"]))
    assert sorted(credential.split(":")[0] for credential in given["LoadCredential"]) == sorted(read)
    assert all(
        credential.startswith(f"{name}:/etc/transcriber/secrets/{name}")
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
    assert given["ProtectSystem"] == ["strict"]
    assert given["StateDirectory"] == [service]
    assert given["WorkingDirectory"] == [f"/var/lib/{service}"]
    assert "ReadWritePaths" not in given


@pytest.mark.parametrize("service", SERVICES)
def test_a_memory_bound_is_that_of_compose(service):
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"][service]["mem_limit"]
    assert directives(service)["MemoryMax"] == [compose.upper()]


def test_there_are_files_for_every_connection():
    (files,) = map(int, directives("gateway")["LimitNOFILE"])
    assert files > Server().max_connections + Destination(name="", url="").max_in_flight + OWN_FILES


@pytest.mark.parametrize("service", SERVICES)
def test_the_lock_that_a_unit_says_to_install_is_there(service):
    text = (ROOT / f"deploy/systemd/{service}.service").read_text("utf-8")
    (lock,) = re.findall(rf"/opt/{service}/(requirements/\S+)", text)
    assert (ROOT / lock).is_file()
