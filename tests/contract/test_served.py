"""Both services serve their contract as it is in the repository: as YAML, as JSON, and as a page."""

import contextlib
from pathlib import Path

import httpx
import pytest

from tests.support.gateway_app import running_gateway
from tests.support.live_server import live_server
from transcriber.app import build
from transcriber.settings import parse

SERVED = {
    "/openapi.yaml": (".yaml", "application/yaml"),
    "/openapi.json": (".json", "application/json"),
    "/docs": (".html", "text/html; charset=utf-8"),
}


@contextlib.contextmanager
def transcribing(folder):
    with live_server(build(parse({"TRANSCRIBER_DATA_DIR": str(folder), "GROQ_API_KEY": "made-up"}))) as url:
        yield url


@contextlib.contextmanager
def receiving(folder):
    with running_gateway(folder) as gateway:
        yield gateway.url


@pytest.fixture(
    scope="module", params=[("gateway", receiving), ("transcriber", transcribing)], ids=lambda one: one[0]
)
def service(request, tmp_path_factory):
    name, serve = request.param
    with serve(tmp_path_factory.mktemp(name)) as url, httpx.Client(base_url=url, trust_env=False) as client:
        yield name, client


@pytest.mark.parametrize("path", SERVED)
def test_the_contract_is_served_as_it_is_in_the_repository(service, path):
    (name, client), (suffix, media_type) = service, SERVED[path]
    answer = client.get(path)
    assert answer.content == Path("openapi", f"{name}{suffix}").read_bytes()
    assert answer.headers["content-type"] == media_type


@pytest.mark.parametrize("path", SERVED)
def test_who_has_it_is_not_sent_it_again(service, path):
    _, client = service
    first = client.get(path)
    assert first.headers["cache-control"] == "no-cache"
    for known in (first.headers["etag"], f'"other", W/{first.headers["etag"]}'):
        again = client.get(path, headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert client.get(path, headers={"if-none-match": '"other"'}).status_code == 200


@pytest.mark.parametrize("path", SERVED)
def test_its_headers_alone_can_be_asked_for(service, path):
    _, client = service
    head, whole = client.head(path), client.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.content))


def test_the_page_may_load_and_run_nothing(service):
    _, client = service
    policy = client.get("/docs").headers["content-security-policy"].split("; ")
    assert policy[:2] == ["default-src 'none'", "style-src 'unsafe-inline'"]
    assert "frame-ancestors 'none'" in policy
