"""deploy/kubernetes against Kubernetes' own schemas, and against what the images and the services are."""

import re

import kubernetes_validate
import pytest
import yaml

from gateway.config import load as gateway_configuration
from tests.support.locks import ROOT
from transcriber.settings import parse as transcriber_settings

FOLDER = ROOT / "deploy/kubernetes"
FILES = sorted(FOLDER.iterdir())
SERVICES = ("gateway", "transcriber")
OBJECTS = [one for path in FILES for one in yaml.safe_load_all(path.read_text("utf-8"))]
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
OLDEST = "1.29"
"""Where ReadWriteOncePod is no longer a trial."""


def the(kind, name):
    (found,) = [one for one in OBJECTS if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    return found


def pod(service):
    return the("StatefulSet", service)["spec"]["template"]["spec"]


def container(service):
    (only,) = pod(service)["containers"]
    return only


def exposed(service):
    stage = DOCKERFILE.split(f" AS {service}\n")[1].split("\nFROM ")[0]
    (port,) = re.findall(r"^EXPOSE (\d+)$", stage, re.MULTILINE)
    return int(port)


def ports(service):
    """Of the container, by name."""
    return {port["name"]: port["containerPort"] for port in container(service)["ports"]}


@pytest.fixture
def environment_of(tmp_path):
    """What the container gets, with the example's secrets in files."""

    def made(service):
        folder = tmp_path / service
        folder.mkdir()
        for name, text in the("Secret", service)["stringData"].items():
            (folder / name).write_text(text)
        written = {one["name"]: one["value"] for one in container(service)["env"]}
        mounted = f"/run/secrets/{service}"
        return {name: text.replace(mounted, str(folder)) for name, text in written.items()}

    return made


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
@pytest.mark.parametrize(
    "described", OBJECTS, ids=[f"{one['kind']}-{one['metadata']['name']}" for one in OBJECTS]
)
def test_kubernetes_knows_every_field(described, version):
    kubernetes_validate.validate(described, version, strict=True)


def test_the_secrets_are_not_applied_with_the_folder():
    assert [path.name for path in FILES if path.suffix != ".yaml"] == ["secrets.yaml.example"]
    assert "kind: Secret" not in "".join(path.read_text("utf-8") for path in FOLDER.glob("*.yaml"))


def test_the_gateway_takes_its_configuration_and_its_secrets(environment_of, tmp_path):
    environ = environment_of("gateway")
    secrets = the("Secret", "gateway")["stringData"]
    (name, text) = next(iter(the("ConfigMap", "gateway")["data"].items()))
    assert environ.pop("GATEWAY_CONFIG") == f"/etc/gateway/{name}"
    (tmp_path / name).write_text(text)
    config = gateway_configuration(tmp_path / name, environ=environ)
    (destination,) = config.destinations
    assert config.server.admin_token == secrets["admin_token"]
    assert destination.bearer_token == secrets["convex_webhook_key"]
    assert config.server.port == exposed("gateway")
    assert config.server.admin_listen == ("0.0.0.0", ports("gateway")["admin"])


def test_the_transcriber_takes_its_settings_and_sends_to_the_gateways_source(environment_of):
    settings = transcriber_settings({**environment_of("transcriber"), "TRANSCRIBER_HOST": "0.0.0.0"})
    (webhook,) = settings.webhooks
    assert webhook.url == f"http://gateway:{exposed('gateway')}/webhooks/transcriber"
    assert webhook.secrets == (the("Secret", "gateway")["stringData"]["transcriber_webhook_secret"],)
    assert settings.api_key == the("Secret", "transcriber")["stringData"]["api_key"]


@pytest.mark.parametrize(("service", "scraped"), [("gateway", "admin"), ("transcriber", "http")])
def test_ports_are_those_of_the_image_and_a_service_leads_to_no_other(service, scraped):
    assert ports(service).keys() == {"http", scraped}
    assert ports(service)["http"] == exposed(service)
    assert [port["targetPort"] for port in the("Service", service)["spec"]["ports"]] == ["http"]
    annotations = the("StatefulSet", service)["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(ports(service)[scraped])


def test_the_gateways_admin_port_is_open_to_the_monitoring_alone():
    rules = the("NetworkPolicy", "gateway")["spec"]["ingress"]
    (admitted,) = [rule["from"] for rule in rules if {"protocol": "TCP", "port": "admin"} in rule["ports"]]
    assert [one["namespaceSelector"]["matchExpressions"][0]["values"] for one in admitted] == [["monitoring"]]


@pytest.mark.parametrize("service", SERVICES)
def test_every_path_that_is_asked_is_a_route(service):
    contract = (ROOT / f"openapi/{service}.yaml").read_text("utf-8")
    asked = {
        container(service)[name]["httpGet"]["path"]
        for name in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    asked.add(
        the("StatefulSet", service)["spec"]["template"]["metadata"]["annotations"]["prometheus.io/path"]
    )
    assert asked == {"/healthz", "/readyz", "/metrics"}
    assert [path for path in asked if f"\n  {path}:" not in contract] == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_pod_has_the_user_of_the_image_and_no_rights(service):
    assert "\nUSER 10001:10001\n" in DOCKERFILE
    rights = pod(service)["securityContext"]
    assert {rights[name] for name in ("runAsUser", "runAsGroup", "fsGroup")} == {10001}
    assert rights["runAsNonRoot"] is True
    assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(service)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod(service)["automountServiceAccountToken"] is False


@pytest.mark.parametrize("service", SERVICES)
def test_one_process_owns_the_volume_of_the_image(service):
    described = the("StatefulSet", service)["spec"]
    (claim,) = described["volumeClaimTemplates"]
    assert described["replicas"] == 1
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
    mounts = {mount["name"]: mount for mount in container(service)["volumeMounts"]}
    assert mounts[claim["metadata"]["name"]]["mountPath"] == "/data"
    assert "\nVOLUME /data\n" in DOCKERFILE
    assert all(mount["readOnly"] for name, mount in mounts.items() if name != claim["metadata"]["name"])


@pytest.mark.parametrize("service", SERVICES)
def test_no_variable_comes_from_a_service_of_the_same_name(service):
    """Kubernetes would set GATEWAY_PORT and TRANSCRIBER_PORT to addresses."""
    assert pod(service)["enableServiceLinks"] is False


@pytest.mark.parametrize("service", SERVICES)
def test_a_memory_bound_is_that_of_compose(service):
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"][service]["mem_limit"]
    assert container(service)["resources"]["limits"] == {"memory": compose.upper() + "i"}


@pytest.mark.parametrize("service", SERVICES)
def test_there_is_time_to_stop(service):
    assert pod(service)["terminationGracePeriodSeconds"] > 10
