"""The page of the contract."""

import re
from pathlib import Path

import pytest
import yaml

from tests.transcriber.conftest import Api
from transcriber.api.page import render

DOCUMENT = yaml.safe_load(Path("openapi/transcriber.yaml").read_text("utf-8"))


@pytest.fixture
def page(shared_api: Api) -> str:
    answer = shared_api.http.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    return answer.text


def test_every_operation_and_every_schema_is_on_the_page(page: str) -> None:
    operations = {
        operation["operationId"]
        for item in (*DOCUMENT["paths"].values(), *DOCUMENT["webhooks"].values())
        for method, operation in item.items()
        if method != "parameters"
    }
    assert operations | set(DOCUMENT["components"]["schemas"]) == set(re.findall(r' id="(\w+)"', page))


def test_every_link_within_the_page_leads_somewhere_and_nothing_is_loaded(page: str) -> None:
    links = set(re.findall(r'href="([^"]+)"', page))
    assert {link[1:] for link in links if link.startswith("#")} <= set(re.findall(r' id="(\w+)"', page))
    assert re.findall(r"<(?:script|link|img|iframe)|\bsrc=|url\(|@import", page) == []


def test_what_the_document_says_is_text_and_no_markup() -> None:
    said = {**DOCUMENT, "info": {"title": "<b>", "version": "&", "description": "`<i>` [x](javascript:1)"}}
    text = render(said)
    assert "<b>" not in text
    assert "<code>&lt;i&gt;</code>" in text
    assert 'href="javascript' not in text
    assert "`" not in text
