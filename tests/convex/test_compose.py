"""compose.yaml against what the services are: their settings, their image, their routes, and the documentation."""

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
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
OF_CONVEX = {"convex", "dashboard"}
DOCKERFILE = (ROOT / "Dockerfile").read_text()
DOCUMENTATION = (ROOT / "docs/convex.md").read_text()
VARIABLE = re.compile(r"\$\{(\w+)(?::([-+])(.*?))?\}")
SECRET = re.compile(r"(KEY|SECRET|TOKEN|PASSWORD)$")
MOUNTED = "/run/secrets"
SECRETS = {
    "transcriber_webhook_secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "transcription_webhook_key": "made-up-key",
    "transcriber_api_key": "made-up-api-key",
    "gateway_admin_token": "made-up-token",
    "groq_api_key": "made-up-groq-key",
}
Environment = Callable[..., dict[str, str]]


def variables() -> list[str]:
    return [
        found[1]
        for service in SERVICES.values()
        for value in service.get("environment", {}).values()
        for found in VARIABLE.finditer(value)
    ]


@pytest.fixture
def environment_of(tmp_path: Path) -> Environment:
    """As Compose gives it to a service's container, over what the image sets; the service's secrets are files."""

    def made(service: str, **dotenv: str) -> dict[str, str]:
        def value(found: re.Match[str]) -> str:
            given = dotenv.get(found[1], "")
            return (given and found[3]) if found[2] == "+" else given or found[3]

        for name in SERVICES[service]["secrets"]:
            (tmp_path / name).write_text(f"{SECRETS[name]}\n")
        stage = DOCKERFILE.split(f" AS {service}\n")[1].split("\nFROM ")[0]
        image = dict(re.findall(r"(?:^ENV|\\\n) +(\w+)=(\S+)", stage, re.MULTILINE))
        written = SERVICES[service]["environment"].items()
        ours = {
            name: VARIABLE.sub(value, text).replace(MOUNTED, tmp_path.as_posix()) for name, text in written
        }
        return image | ours

    return made


def exposed(service: str) -> int:
    stage = DOCKERFILE.split(f" AS {service}\n")[1].split("\nFROM ")[0]
    (port,) = re.findall(r"^EXPOSE (\d+)$", stage, re.MULTILINE)
    return int(port)


def test_the_gateway_takes_its_environment_and_delivers_to_convex(environment_of: Environment) -> None:
    config = gateway_configuration(None, environ=environment_of("gateway"))
    (destination,) = config.destinations
    assert destination.url == "http://convex:3211/webhooks/transcription-jobs"
    assert destination.allow_private_address
    assert destination.bearer_token == SECRETS["transcription_webhook_key"]
    assert config.server.admin_token == SECRETS["gateway_admin_token"]


def test_every_variable_of_the_gateway_is_one_that_it_reads() -> None:
    read = "".join(path.read_text() for path in (ROOT / "gateway/config").glob("*.*") if path.is_file())
    names = [name.removesuffix("_FILE") for name in SERVICES["gateway"]["environment"]]
    assert [name for name in names if name not in read] == []


def test_the_transcriber_takes_its_environment(environment_of: Environment) -> None:
    settings = transcriber_settings(environment_of("transcriber"))  # an unknown variable is a fault
    assert [webhook.name for webhook in settings.webhooks] == ["default"]
    assert settings.host == "0.0.0.0"
    assert str(settings.data_dir) == "/data"
    assert settings.api_key == SECRETS["transcriber_api_key"]
    assert settings.engine == "local"


def test_groq_transcribes_once_the_file_of_its_key_is_named(environment_of: Environment) -> None:
    settings = transcriber_settings(environment_of("transcriber", GROQ_API_KEY_FILE="./secrets/groq_api_key"))
    assert (settings.engine, settings.groq_api_key) == ("groq", SECRETS["groq_api_key"])
    assert COMPOSE["secrets"]["groq_api_key"] == {"file": "${GROQ_API_KEY_FILE:-/dev/null}"}


def test_the_transcriber_sends_to_the_route_and_with_the_secret_of_the_gateways_source(
    environment_of: Environment,
) -> None:
    (webhook,) = transcriber_settings(environment_of("transcriber")).webhooks
    config = gateway_configuration(None, environ=environment_of("gateway"))
    (source,) = config.sources
    address = urlsplit(webhook.url)
    assert (address.hostname, address.port) == ("gateway", exposed("gateway"))
    assert address.path == f"/webhooks/{source.name}"
    assert webhook.secrets == (SECRETS["transcriber_webhook_secret"],)


@pytest.mark.parametrize("service", BUILT)
def test_what_is_built_is_a_target_with_its_port_and_its_volume(service: str) -> None:
    described = SERVICES[service]
    assert described["build"] == {"context": ".", "target": service}
    assert re.search(rf"^FROM runtime AS {service}$", DOCKERFILE, re.MULTILINE)
    assert described["ports"][0] == f"127.0.0.1:{exposed(service)}:{exposed(service)}"
    assert described["volumes"] == [f"{service}:/data"]
    assert "\nVOLUME /data\n" in DOCKERFILE
    assert described["stop_grace_period"] == "15s"


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_can_gain_rights_or_take_the_machine(service: str) -> None:
    described = SERVICES[service]
    assert described["security_opt"] == ["no-new-privileges:true"]
    assert described["pids_limit"]
    assert described["mem_limit"]
    assert described["logging"]["options"].keys() == {"max-size", "max-file"}


@pytest.mark.parametrize("service", sorted(SERVICES.keys() - OF_CONVEX))
def test_nothing_but_volumes_can_be_written_to(service: str) -> None:
    described = SERVICES[service]
    assert described["read_only"] is True
    assert described["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("service", sorted(SERVICES.keys() - set(BUILT)))
def test_what_is_not_built_here_is_of_one_release(service: str) -> None:
    assert re.search(r":(v?\d+\.\d+\.\d+|[0-9a-f]{40})$", SERVICES[service]["image"])


def test_compose_knows_every_key() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    checked = subprocess.run([*command, ROOT / "compose.yaml"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("service", SERVICES)
def test_nothing_is_open_to_other_machines(service: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[service]["ports"])


def test_both_images_of_convex_are_the_same_release() -> None:
    tags = [SERVICES[name]["image"].split(":")[1] for name in ("convex", "dashboard")]
    assert tags[0] == tags[1]
    assert re.fullmatch("[0-9a-f]{40}", tags[0])


def test_every_volume_is_declared() -> None:
    mounted = {name.split(":")[0] for service in SERVICES.values() for name in service.get("volumes", [])}
    assert {name for name in mounted if not name.startswith("./")} == set(COMPOSE["volumes"])


def test_prometheus_asks_where_the_services_tell_of_themselves(environment_of: Environment) -> None:
    server = gateway_configuration(None, environ=environment_of("gateway")).server
    assert server.admin_listen is not None
    where = {"gateway": server.admin_listen[1], "transcriber": exposed("transcriber")}
    assert SERVICES["gateway"]["ports"][1] == f"127.0.0.1:{where['gateway']}:{where['gateway']}"
    asked = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    assert {job["job_name"]: job["static_configs"] for job in asked} == {
        name: [{"targets": [f"{name}:{port}"]}] for name, port in where.items()
    }


def test_every_file_that_is_mounted_is_there() -> None:
    mounts = [
        mount.split(":")
        for service in SERVICES.values()
        for mount in service.get("volumes", [])
        if mount.startswith("./")
    ]
    assert len(mounts) == 3
    for path, _, rights in mounts:
        assert any(file.is_file() for file in (ROOT / path).rglob("*")), path
        assert rights == "ro"


def mounts_of(service: str) -> dict[str, Path]:
    """Of this repository, by where it is in the container."""
    mounts = [mount.split(":") for mount in SERVICES[service]["volumes"]]
    return {inside: ROOT / path for path, inside, *_ in mounts if path.startswith("./")}


def test_prometheus_reads_its_configuration_and_its_rules_from_what_is_mounted() -> None:
    (config,) = [
        Path(word.removeprefix("--config.file="))
        for word in SERVICES["prometheus"]["command"]
        if word.startswith("--config.file=")
    ]
    folder = mounts_of("prometheus")[str(config.parent)]
    (pattern,) = yaml.safe_load((folder / config.name).read_text())["rule_files"]
    assert [path.name for path in sorted(folder.glob(pattern))] == ["gateway.yml", "transcriber.yml"]


def test_grafana_reads_its_dashboards_from_what_is_mounted_and_asks_prometheus() -> None:
    folders = mounts_of("grafana")
    provisioning = folders["/etc/grafana/provisioning"]
    (provider,) = yaml.safe_load((provisioning / "dashboards/dashboards.yml").read_text())["providers"]
    assert list(folders[provider["options"]["path"]].glob("*.json"))
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    address = urlsplit(source["url"])
    assert SERVICES[address.hostname]["ports"] == [f"127.0.0.1:{address.port}:{address.port}"]


def test_every_secret_is_a_file_that_a_service_is_given_and_reads() -> None:
    given = {name for service in SERVICES.values() for name in service.get("secrets", [])}
    assert given == set(COMPOSE["secrets"])
    for service in SERVICES.values():
        text = " ".join(service.get("environment", {}).values())
        assert set(re.findall(rf"{MOUNTED}/(\w+)", text)) == set(service.get("secrets", []))
    assert [name for name in variables() if SECRET.search(name)] == []


def test_every_secret_is_made_by_the_documentation() -> None:
    assert [name for name in COMPOSE["secrets"] if name not in DOCUMENTATION] == []
    assert "/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize("name", sorted(set(variables())))
def test_every_variable_is_documented(name: str) -> None:
    assert f"`{name}`" in DOCUMENTATION
