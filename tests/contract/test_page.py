"""The contracts as pages: whole, of the YAML as it is, and without anything from elsewhere."""

import copy
import re
from pathlib import Path

import pytest
import yaml

from openapi import build
from openapi.page import render

SOURCES = {name: Path(f"openapi/{name}.yaml") for name in ("gateway", "transcriber")}
DOCUMENTS = {name: yaml.safe_load(path.read_text("utf-8")) for name, path in SOURCES.items()}


@pytest.fixture(params=SOURCES)
def name(request):
    return request.param


@pytest.fixture
def document(name):
    return DOCUMENTS[name]


@pytest.fixture
def page(name):
    return SOURCES[name].with_suffix(".html").read_text("utf-8")


def test_what_is_served_is_what_the_yaml_says(name):
    written = {path: path.read_text("utf-8") for path in build.built(SOURCES[name])}
    assert written == build.built(SOURCES[name])


def test_what_is_no_longer_so_is_named_and_written_anew(tmp_path, capsys):
    for path in SOURCES.values():
        (tmp_path / path.name).write_text(path.read_text("utf-8"), "utf-8")
    assert build.main(["--check"], folder=tmp_path) == 1
    assert "openapi/gateway.html is not what its YAML says: run `make contract`" in capsys.readouterr().err
    assert build.main([], folder=tmp_path) == 0
    assert build.main(["--check"], folder=tmp_path) == 0


def test_every_operation_and_every_schema_has_its_place_and_is_in_the_contents(document, page):
    operations = {
        operation["operationId"]
        for item in (*document["paths"].values(), *document["webhooks"].values())
        for method, operation in item.items()
        if method != "parameters"
    }
    places = re.findall(r' id="([^"]+)"', page)
    named = operations | set(document["components"]["schemas"])
    assert named <= set(places)
    assert len(places) == len(set(places))
    contents = page[page.index("<nav") : page.index("</nav>")]
    assert named <= set(re.findall(r'href="#([^"]+)"', contents))


def test_every_link_within_the_page_leads_somewhere_and_nothing_is_loaded(page):
    links = set(re.findall(r'href="#([^"]+)"', page))
    assert links <= set(re.findall(r' id="([^"]+)"', page))
    assert re.findall(r"<(?:script|link|img|iframe)|\bsrc=|\son\w+=|url\(|@import", page) == []


def test_statuses_headers_credentials_bounds_and_examples_are_on_the_page(page):
    for said in (
        "Retry-After",
        "<code>503</code> Service Unavailable",
        "up to 200" if "gateway" in page else "1 to 100",
    ):
        assert said in page
    assert page.count("<pre") > 40
    assert "&quot;type&quot;: &quot;about:blank&quot;" in page
    assert "Authorization: Bearer …" in page


def test_a_value_is_on_the_page_as_it_is_sent(page):
    assert "default <code>false</code>" in page
    assert re.findall(r"<code>(?:True|False|None)</code>", page) == []


def test_what_the_document_says_is_text_and_no_markup(document):
    said = copy.deepcopy(document)
    said["info"] |= {
        "title": "<b>",
        "version": "&",
        "description": '`<i>` [x](javascript:1) [y](https://a"b)',
    }
    said["paths"] = {
        "/<u>": {
            "get": {
                "tags": [said["tags"][0]["name"]],
                "operationId": "<u>",
                "summary": "<u>",
                "parameters": [
                    {
                        "name": "<u>",
                        "in": "query",
                        "schema": {"enum": ["<u>"], "pattern": "<u>"},
                        "example": "<u>",
                    }
                ],
                "requestBody": {"content": {"text/<u>": {"schema": {"const": "<u>"}, "example": "<u>"}}},
                "responses": {
                    "200": {"description": "<u>", "headers": {"<u>": {"schema": {"default": "<u>"}}}}
                },
            }
        }
    }
    text = render(said)
    assert "<u>" not in text
    assert "<b>" not in text
    assert "<code>&lt;i&gt;</code>" in text
    assert 'href="javascript' not in text
    assert 'a"b' not in text
