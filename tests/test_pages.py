"""What the pages lead to is there, and what they say to type can be typed."""

import re

import pytest

from gateway.cli.parser import parser
from gateway.config import load
from tests.support.pages import PAGES, ROOT, anchors, commands, fenced, links, read
from transcriber.cli import main as transcriber

WITH_CONFIGURATIONS = [ROOT / "README.md", ROOT / "docs/gateway.md", ROOT / "docs/operations.md"]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def named(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_within_the_repository_leads_somewhere(page):
    lost = []
    for link in links(read(page)):
        place, _, anchor = link.partition("#")
        if "://" in place:
            continue
        target = (page.parent / place).resolve() if place else page
        if not target.exists() or (anchor and anchor not in anchors(read(target))):
            lost.append(link)
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_of_the_gateway_can_be_given(page, capsys):
    for arguments in commands(read(page), "gateway"):
        try:
            parser().parse_args(arguments)
        except SystemExit:
            pytest.fail(f"gateway {' '.join(arguments)}: {capsys.readouterr().err}")


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_of_the_transcriber_can_be_given(page, monkeypatch, capsys):
    monkeypatch.setenv("TRANSCRIBER_PORT", "none, so that no command goes on once it is read")
    for arguments in commands(read(page), "transcriber"):
        try:
            assert transcriber(arguments) == 1
        except SystemExit:
            pytest.fail(f"transcriber {' '.join(arguments)}: {capsys.readouterr().err}")


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_target_of_make_exists(page):
    targets = set(re.findall(r"^([a-z-]+):", read(ROOT / "Makefile"), re.MULTILINE))
    assert {arguments[0] for arguments in commands(read(page), "make")} <= targets


@pytest.mark.parametrize("page", WITH_CONFIGURATIONS, ids=named)
def test_every_configuration_of_the_gateway_is_sound(page, tmp_path):
    """Those that are whole: of a setting alone there is nothing to judge."""
    path = tmp_path / "gateway.toml"
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    for text in fenced(read(page), "toml"):
        if "[[sources]]" in text:
            path.write_text(re.sub(r"\$\{file:[^}]+\}", f"${{file:{secret}}}", text))
            load(path, environ=dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), SECRET))


def test_there_is_something_to_judge():
    text = {page.name: read(page) for page in PAGES if page.parent != ROOT / "convex/react"}
    assert set(WITH_CONFIGURATIONS) < set(PAGES)
    assert len(links(text["README.md"])) > 10
    assert ["sign", "--source", "billing", "--id", "msg_1"] in list(commands(text["README.md"], "gateway"))
    assert ["serve"] in list(commands(text["transcriber.md"], "transcriber"))
    assert ["demo", "AUDIO=tests/data/jfk.wav"] in list(commands(text["README.md"], "make"))
    assert "where-to-look" in anchors(text["ARCHITECTURE.md"])


def test_every_claim_of_the_threat_model_names_code_and_a_test_of_it():
    rows = re.findall(r"^\| (?!threat|---)(.+) \|$", read(ROOT / "docs/threat-model.md"), re.MULTILINE)
    assert len(rows) > 20
    for row in rows:
        _, _, where, shown_by = row.split(" | ")
        assert all(re.match(r"\.\./(gateway|transcriber)/", link) for link in links(where)), row
        assert links(where), row
        assert all(re.match(r"\.\./tests/\w+/.*test_\w+\.py$", link) for link in links(shown_by)), row
        assert links(shown_by), row
