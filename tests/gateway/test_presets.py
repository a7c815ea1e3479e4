"""The producers known by name: true to the vectors, safe against repeats, and all of them on their page."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from gateway.model import Webhook
from gateway.selector import Content, parse_selector
from gateway.verify import PRESETS
from gateway.verify.preset import Preset
from gateway.verify.presets import GROUPS, _merge
from tests.support.producers_page import PAGE, authenticates_body, needs_public_url, page

VECTORS = [
    vector for vector in json.loads(Path("tests/data/signatures.json").read_bytes()) if "config" in vector
]
TEXTS = ("title", "secret", "console", "safe")
SENTENCES = ("secret", "console", "safe")
each_preset = pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)


def content(body):
    return Content(Webhook(headers=(), query=b"", body=body))


def selectors(preset):
    """Those of a preset, with those in its parameters; not what stands for one, such as `body` or `bearer`."""
    verify = preset.verify
    found = [preset.event_type, preset.dedupe_key, *verify.get("vars", {}).values()]
    found += [verify.get("signature_from", "body"), verify.get("from", "body")]
    found.append(verify.get("timestamp", {}).get("from", "body"))
    return [text for text in found if text not in {"body", "none", "bearer", "basic"}]


def is_signed(selector, preset):
    """Whether what the selector finds is covered by the signature."""
    match selector.partition(":")[0]:
        case "header":
            return selector in preset.verify.get("vars", {}).values()
        case "query":
            return needs_public_url(preset)
        case _:
            return authenticates_body(preset)


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["id"] for vector in VECTORS])
def test_a_vector_is_verified_as_its_preset_says(vector):
    assert dict(PRESETS[vector["preset"]].verify) == {
        name: value for name, value in vector["config"].items() if value is not None
    }


@pytest.mark.parametrize("name", PRESETS)
def test_a_name_can_be_typed(name):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)


def test_a_name_in_two_groups_is_a_fault():
    preset = PRESETS["github"]
    with pytest.raises(ValueError, match="preset 'github' stands in two groups, the second is 'Work'"):
        _merge({"Code": {"github": preset}, "Work": {"github": preset}})


def test_every_preset_stands_in_one_group():
    assert sum(len(presets) for presets in GROUPS.values()) == len(PRESETS) == len(set(PRESETS))


def test_no_two_presets_have_one_title():
    titles = [preset.title for preset in PRESETS.values()]
    assert [title for title in titles if titles.count(title) > 1] == []


@each_preset
def test_every_text_is_there_in_plain_characters(preset):
    for field in TEXTS:
        text = getattr(preset, field)
        assert text
        assert text == text.strip()
        assert text.isascii()


@each_preset
def test_what_is_said_is_one_sentence(preset):
    for field in SENTENCES:
        text = getattr(preset, field)
        assert text.endswith(".")
        assert not re.search(r"[.!?] ", text), text


@each_preset
def test_every_selector_can_be_read(preset):
    for text in selectors(preset):
        form, _, name = text.partition(":")
        if form in {"claim", "field"}:
            assert name
        else:
            parse_selector(text)


@each_preset
def test_headers_are_named_in_lower_case(preset):
    headers = [text for text in selectors(preset) if text.startswith("header:")]
    headers.append(preset.verify.get("header", ""))
    assert [name for name in headers if name != name.lower()] == []


@each_preset
def test_a_signed_time_is_in_what_is_signed(preset):
    verify = preset.verify
    template = verify.get("template", "{body}")
    if verify.get("timestamp", {}).get("from", "").startswith(("json:", "form:")):
        assert "{timestamp}" in template or "{body}" in template
    else:
        assert ("{timestamp}" in template) == ("timestamp" in verify)


@each_preset
def test_every_placeholder_has_a_value(preset):
    known = {"body", "body_sha256", "timestamp", "method", "url", "form_sorted"}
    names = set(re.findall(r"\{(\w+)\}", preset.verify.get("template", "")))
    assert names - known == set(preset.verify.get("vars", {}))


@each_preset
def test_a_known_signature_is_a_duplicate_where_nothing_else_stops_a_repeat(preset):
    """A signature that covers neither a time nor the id can be sent again under another id, and one that does not
    cover the body with another body. Where nothing is taken for a duplicate, no signature is either.
    """
    signed = preset.verify["kind"] in {"hmac", "asymmetric"}
    timeless = "timestamp" not in preset.verify
    free_id = preset.dedupe_key not in {"body", "none"} and not is_signed(preset.dedupe_key, preset)
    assert preset.replay_guard == (signed and ((timeless and free_id) or not authenticates_body(preset)))


@each_preset
def test_a_body_that_changes_is_told_by_an_id_of_its_own(preset):
    if preset.same_id == "duplicate":
        assert preset.dedupe_key not in {"body", "none"}


def test_a_key_of_several_ids_is_not_made_of_missing_ones():
    for name in ("line", "hubspot-v1", "hubspot-v2", "hubspot-v3"):
        find = parse_selector(PRESETS[name].dedupe_key).find
        for body in (b"{}", b"[]", b"[{}]", b'{"events":[]}', b'{"events":[{}]}', b"no JSON"):
            assert find(content(body)) is None


def test_a_computed_type_and_key_are_what_they_should_be():
    def found(name, body):
        preset = PRESETS[name]
        read = content(json.dumps(body).encode())
        return tuple(parse_selector(text).find(read) for text in (preset.event_type, preset.dedupe_key))

    assert found("assemblyai", {"transcript_id": "t", "status": "completed"}) == ("completed", "t:completed")
    assert found("deepgram-basic", {"metadata": {"request_id": "r"}, "results": {"x": 1}}) == ("results", "r")
    assert found("deepgram-basic", {"err_code": "E", "err_msg": "m", "request_id": "r"}) == ("error", "r")
    assert found("elevenlabs", {"type": "a", "data": {"conversation_id": "c"}}) == ("a", "a:c")
    assert found("elevenlabs", {"type": "b", "data": {"request_id": "r"}}) == ("b", "b:r")
    assert found("retell", {"event": "call_ended", "call": {"call_id": "c"}}) == (
        "call_ended",
        "call_ended:c",
    )
    assert found("telegram", {"update_id": 7, "message": {}}) == ("message", 7)
    assert found("line", {"events": [{"type": "m", "webhookEventId": "e"}]}) == ("m", '["e"]')
    assert found("customerio", {"event_id": "e", "object_type": "email", "metric": "sent"}) == (
        "email.sent",
        "e",
    )
    assert found("cloudevents", {"type": "t", "source": "/s", "id": "1"}) == ("t", "/s 1")
    assert found("mailgun", {"event-data": {"event": "opened", "id": "i"}}) == ("opened", "i")
    batch = [{"eventId": 1, "subscriptionId": 2, "occurredAt": 3, "subscriptionType": "contact.creation"}]
    assert found("hubspot-v3", batch) == ("contact.creation", "[[1,2,3]]")
    meta = {"object": "page", "entry": [{"messaging": []}]}
    assert parse_selector(PRESETS["meta"].event_type).find(content(json.dumps(meta).encode())) == "page"


def test_the_page_is_what_the_data_says():
    assert PAGE.read_text("utf-8") == page(), "run python -m tests.support.producers_page"


def test_every_preset_has_a_snippet_that_says_all_it_needs():
    snippets = [tomllib.loads(text) for text in re.findall(r"```toml\n(.*?)```", page(), re.DOTALL)]
    sources = [snippet["sources"][0] for snippet in snippets]
    assert [source["preset"] for source in sources] == list(PRESETS)
    assert {source["preset"] for source in sources if "public_url" in source} == {
        name for name, preset in PRESETS.items() if needs_public_url(preset)
    }
    assert all(re.fullmatch(r"\$\{[A-Z0-9_]+\}", source["secrets"][0]) for source in sources)


def test_those_that_sign_the_url_are_said_to_need_public_url():
    intro = PAGE.read_text("utf-8").partition("\n- [")[0]
    named = set(re.findall(r"\[`([a-z0-9-]+)`\]", intro))
    assert named == {name for name, preset in PRESETS.items() if needs_public_url(preset)}
    assert named >= {name for name, preset in PRESETS.items() if "{url}" in preset.verify.get("template", "")}
    assert named >= {"square", "twilio-form", "twilio-json", "hubspot-v3"}


def test_every_link_of_the_page_leads_somewhere():
    text = PAGE.read_text("utf-8")
    headings = re.findall(r"^##+ (.+)$", text, re.MULTILINE)
    anchors = [re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings]
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r"\(#([^)]+)\)", text)) <= set(anchors)


def test_a_preset_cannot_be_changed():
    with pytest.raises(AttributeError):
        PRESETS["github"].replay_guard = False
    with pytest.raises(TypeError):
        PRESETS["new"] = Preset(title="", verify={}, secret="", console="", safe="")
