"""The two OpenAPI documents: valid, the same routes as the live applications, and examples that are true."""

import copy
from http import HTTPStatus
from pathlib import Path

import jsonschema_rs
import pytest
import schemathesis
import yaml

from gateway import app as gateway
from gateway.clock import SystemClock
from gateway.ingest import PATH
from gateway.metrics import Metrics
from openapi.document import examples as shown
from openapi.document import operations
from openapi.page import RENAMED
from tests.support.gateway_app import SOURCES, configuration, open_store
from transcriber.app import build
from transcriber.settings import parse

DOCUMENTS = {
    name: yaml.safe_load(Path(f"openapi/{name}.yaml").read_text("utf-8"))
    for name in ("gateway", "transcriber")
}


@pytest.fixture
async def gateway_routes(tmp_path):
    config, metrics = configuration(SOURCES, tmp_path), Metrics(version="test")
    store = open_store(config, tmp_path / "gateway.db", metrics)
    yield gateway.create(config, store=store, clock=SystemClock(), metrics=metrics).routes
    await store.close()


@pytest.fixture
def transcriber_routes(tmp_path):
    environ = {
        "TRANSCRIBER_DATA_DIR": str(tmp_path / "data"),
        "TRANSCRIBER_WEBHOOK_URL": "http://127.0.0.1:9/",
        "TRANSCRIBER_WEBHOOK_SECRET": "whsec_bWFkZSB1cCBzZWNyZXQgb2YgdGVzdHM=",
        "GROQ_API_KEY": "made-up",
    }
    return build(parse(environ)).routes


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document_is_valid_openapi_3_1(document):
    assert document["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(document).validate()


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_broken_document_would_be_noticed(document):
    broken = copy.deepcopy(document)
    del broken["paths"]["/healthz"]["get"]["responses"]["200"]["description"]
    with pytest.raises(jsonschema_rs.ValidationError):
        schemathesis.openapi.from_dict(broken).validate()


def test_the_gateway_has_the_routes_of_its_document_and_no_others(gateway_routes):
    webhooks = {(method, f"{PATH}{{source}}") for method in ("post", "get", "options")}
    assert served(gateway_routes) | webhooks == documented(DOCUMENTS["gateway"])


def test_the_transcriber_has_the_routes_of_its_document_and_no_others(transcriber_routes):
    assert served(transcriber_routes) == documented(DOCUMENTS["transcriber"])


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_no_comma_in_a_text_without_quotes_made_a_key_of_its_second_half(document):
    assert list(keys_without_a_value(document)) == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_key_stands_twice_in_one_place_where_the_second_would_silently_win(name):
    root = yaml.compose(Path(f"openapi/{name}.yaml").read_text("utf-8"), Loader=yaml.SafeLoader)
    assert list(repeated_keys(root)) == []


def repeated_keys(node):
    """(line, key), of nodes as YAML is read, before they become a dict."""
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        yield from ((node.start_mark.line, key) for key in set(keys) if keys.count(key) > 1)
        for _, value in node.value:
            yield from repeated_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from repeated_keys(item)


def keys_without_a_value(node):
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, item in items:
        if item is None and isinstance(node, dict):
            yield key
        if isinstance(item, dict | list) and key not in ("example", "examples"):
            yield from keys_without_a_value(item)


def documented(document):
    return {
        (method, path)
        for path, item in document["paths"].items()
        for method in item
        if method != "parameters"
    }


def served(routes):
    return {(method.lower(), route.path) for route in routes for method in route.methods if method != "HEAD"}


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_every_example_is_one_of_its_schema(document):
    for schema, example in examples(document):
        whole = {**schema, "components": document["components"]}
        jsonschema_rs.validator_for(whole).validate(example)


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_every_body_that_is_sent_or_answered_has_an_example(document):
    without = [
        (one.method, one.path, place, kind)
        for one in operations(document)
        for place, said in (("request", one.body), *one.responses.items())
        for kind, media in said.get("content", {}).items()
        if not list(shown(document, media))
    ]
    assert without == []


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_the_example_of_a_refusal_is_of_its_status_and_has_a_code_that_is_named_there(document):
    for one in operations(document):
        for status, response in one.responses.items():
            media = response.get("content", {}).get("application/problem+json")
            for _, problem in shown(document, media) if media else ():
                assert status in (str(problem["status"]), "default"), (one.path, status)
                if str(problem["status"]) not in RENAMED:
                    assert problem["title"] == HTTPStatus(problem["status"]).phrase
                if "code" in problem and "As at" not in response["description"]:
                    assert f"`{problem['code']}`" in response["description"], (one.path, status)


@pytest.mark.parametrize("document", DOCUMENTS.values(), ids=DOCUMENTS)
def test_every_refusal_is_a_problem_and_every_operation_has_an_id_of_its_own(document):
    ids = []
    for item in document["paths"].values():
        for method, operation in item.items():
            if method == "parameters":
                continue
            ids.append(operation["operationId"])
            for status, response in operation["responses"].items():
                content = resolve(document, response).get("content", {})
                refusal = status.startswith(("4", "5")) and operation["operationId"] != "getReadiness"
                assert not refusal or set(content) == {"application/problem+json"}, (method, status)
    assert len(set(ids)) == len(ids)


def resolve(document, node):
    if "$ref" not in node:
        return node
    for part in node["$ref"].removeprefix("#/").split("/"):
        document = document[part]
    return document


def examples(node):
    """(schema, example) wherever they stand together: parameters, media types, and schemas with their own."""
    if isinstance(node, list):
        for item in node:
            yield from examples(item)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("schema"), dict):
        if "example" in node:
            yield node["schema"], node["example"]
        if isinstance(node.get("examples"), dict):
            yield from ((node["schema"], one["value"]) for one in node["examples"].values())
    elif isinstance(node.get("examples"), list):
        yield from ((node, one) for one in node["examples"])
    for key, item in node.items():
        if key not in ("example", "examples"):
            yield from examples(item)
