"""The two images: built, looked into, and run with a read-only root file system."""

import os
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest

from stack.ports import ANY, HOST, choose
from tests.support.container import Image, build
from tests.support.waiting import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]

SAMPLE = Path(__file__).parents[1] / "data" / "jfk.wav"
ENVIRONMENT = {
    "gateway": {
        "TRANSCRIBER_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "CONVEX_SITE_URL": "http://127.0.0.1:9",
        "CONVEX_WEBHOOK_KEY": "made-up-key",
    },
    "transcriber": {},
}
PORTS = {"gateway": 8080, "transcriber": 8000}
OTHER = {"gateway": "transcriber", "transcriber": "gateway"}


@pytest.fixture(scope="session", params=["gateway", "transcriber"])
def service(request) -> str:
    return request.param


@pytest.fixture(scope="session")
def images():
    built: dict[str, Image] = {}
    yield built
    for image in built.values():
        image.remove()


@pytest.fixture
def image(images, service) -> Image:
    if service not in images:
        images[service] = build(service)
    return images[service]


@dataclass(frozen=True, slots=True)
class Running:
    url: str
    process: "subprocess.Popen[bytes]"
    environment: dict[str, str]
    log: Path


@pytest.fixture
def running(image, service, tmp_path):
    """The image's default command, with nothing writable but its volume."""
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, 10001, 10001)
    ports = choose(ANY)
    port = {"gateway": ports.gateway, "transcriber": ports.transcriber}[service]
    environment = {**ENVIRONMENT[service], f"{service.upper()}_PORT": str(port)}
    log = tmp_path / "log"
    process = image.start(image.config["Cmd"], data=data, environment=environment, log=log)
    url = f"http://{HOST}:{port}"
    try:
        eventually(partial(_answers, f"{url}/readyz", process, log))
        yield Running(url=url, process=process, environment=environment, log=log)
    finally:
        process.kill()
        process.wait()


def _answers(url: str, process: "subprocess.Popen[bytes]", log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def test_an_image_says_who_runs_what_where(image, service):
    assert image.config["User"] == "10001:10001"
    assert image.config["Cmd"] == ["python", "-m", service, "serve"]
    assert list(image.config["Volumes"]) == ["/data"]
    assert list(image.config["ExposedPorts"]) == [f"{PORTS[service]}/tcp"]
    assert "Apache-2.0" in image.config["Labels"]["org.opencontainers.image.licenses"]


def test_an_image_holds_its_own_service_and_no_tools(image, service):
    assert image.run("python", "-c", f"import {service}.cli", environment={}).returncode == 0
    assert image.run("python", "-c", f"import {OTHER[service]}", environment={}).returncode != 0
    assert image.run("sh", "-c", "command -v pip pip3 gcc cc make", environment={}).stdout == ""


def test_the_configuration_is_checked_in_the_image(image, service):
    checked = image.run("python", "-m", service, "check", environment=ENVIRONMENT[service])
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_service_runs_on_a_read_only_root_and_ends_when_asked(running):
    assert httpx.get(f"{running.url}/healthz").status_code == 200
    running.process.terminate()
    assert running.process.wait(20) == 0, running.log.read_text()


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
