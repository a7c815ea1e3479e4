"""The two images: built, looked into, and run with a read-only root file system."""

import json
from pathlib import Path

import httpx
import pytest

from tests.support.bill_of_materials import SERVICES
from tests.support.bill_of_materials import path as bill_path
from tests.support.contained import SETTINGS, contained
from tests.support.container import Image, build
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

SAMPLE = Path(__file__).parents[1] / "data" / "jfk.wav"
PORTS = {"gateway": 8080, "transcriber": 8000}
OTHER = {"gateway": "transcriber", "transcriber": "gateway"}
STOP_SECONDS = 10
"""What Docker leaves a container before it kills it."""
GATEWAY_BYTES = 120_000_000
"""Beyond its base."""
INSTALLED = """
import importlib.metadata, json
found = importlib.metadata.distributions(path=["/opt/venv/lib/python3.11/site-packages"])
print(json.dumps({one.name.lower().replace("_", "-"): one.version for one in found}))
"""


@pytest.fixture(scope="session", params=["gateway", "transcriber"])
def service(request) -> str:
    return request.param


@pytest.fixture
def image(images, service) -> Image:
    return images(service)


@pytest.fixture
def running(image, service, tmp_path):
    """The image's default command, with nothing writable but its volume."""
    with contained(image, service, tmp_path) as container:
        container.start()
        yield container


def test_an_image_says_who_runs_what_where(image, service):
    assert image.config["User"] == "10001:10001"
    assert image.config["Cmd"] == ["python", "-m", service, "serve"]
    assert list(image.config["Volumes"]) == ["/data"]
    assert list(image.config["ExposedPorts"]) == [f"{PORTS[service]}/tcp"]
    labels = {
        name.removeprefix("org.opencontainers.image."): text for name, text in image.config["Labels"].items()
    }
    assert {"title": service, "version": SERVICES[service].__version__}.items() <= labels.items()
    assert "Apache-2.0" in labels["licenses"]
    assert {"description", "revision", "created"} <= labels.keys()


def test_an_image_carries_exactly_what_its_bill_of_materials_says(image, service):
    carried = image.root / "usr/share/doc/app" / f"{service}.cdx.json"
    bill = json.loads(carried.read_text("utf-8"))
    assert bill == json.loads(bill_path(service).read_text("utf-8"))
    installed = json.loads(image.run("python", "-c", INSTALLED, environment={}).stdout)
    assert installed == {component["name"]: component["version"] for component in bill["components"]}


@pytest.mark.parametrize("service", ["gateway"], indirect=True)
def test_the_gateway_is_small(image):
    own = [path.lstat().st_size for part in ("opt", "app") for path in (image.root / part).rglob("*")]
    assert 10_000_000 < sum(own) < GATEWAY_BYTES


@pytest.mark.parametrize("service", ["gateway"], indirect=True)
def test_a_second_build_makes_the_same_files(image, service):
    again = build(service)
    try:
        assert again.tree() == image.tree()
    finally:
        again.remove()


def test_an_image_holds_its_own_service_and_no_tools(image, service):
    assert image.run("python", "-c", f"import {service}.cli", environment={}).returncode == 0
    assert image.run("python", "-c", f"import {OTHER[service]}", environment={}).returncode != 0
    assert image.run("sh", "-c", "command -v pip pip3 gcc cc make", environment={}).stdout == ""


def test_the_configuration_is_checked_in_the_image(image, service):
    checked = image.run("python", "-m", service, "check", environment=SETTINGS[service])
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_service_runs_on_a_read_only_root_and_ends_when_asked(running):
    assert httpx.get(f"{running.url}/healthz").status_code == 200
    running.process.terminate()
    assert running.process.wait(STOP_SECONDS) == 0, running.log.read_text()


def test_the_health_check_follows_the_service(image, running):
    (form, *command) = image.config["Healthcheck"]["Test"]
    assert form == "CMD"
    assert image.run(*command, environment=running.environment).returncode == 0
    running.process.kill()
    running.process.wait()
    assert image.run(*command, environment=running.environment).returncode != 0


@pytest.mark.parametrize("service", ["gateway"], indirect=True)
def test_the_gateway_refuses_an_unsigned_webhook_from_its_image(running):
    assert httpx.post(f"{running.url}/webhooks/transcriber", json={}).status_code == 401


@pytest.mark.parametrize("service", ["transcriber"], indirect=True)
def test_speech_becomes_text_in_the_image_with_nothing_but_its_volume_to_write_to(running):
    with SAMPLE.open("rb") as audio:
        posted = httpx.post(f"{running.url}/v1/jobs", files={"file": ("jfk.wav", audio)}, timeout=30)
    assert posted.status_code == 202, posted.text
    url = f"{running.url}/v1/jobs/{posted.json()['jobId']}"
    eventually(lambda: httpx.get(url).json()["timestamps"]["completedAt"], seconds=120)
    job = httpx.get(url).json()
    assert job["status"] == "completed", job
    assert "ask not what your country can do for you" in job["result"]["text"].lower()
