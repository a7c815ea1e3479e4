"""Handshakes: each question answered, and whatever is not quite one left alone or refused."""

import json

import pytest

from gateway.model import Rejected, Webhook
from gateway.selector import Content
from gateway.verify import Secret
from gateway.verify.handshake import HANDSHAKES, NO_HANDSHAKE, Asked, Reply
from tests.support.verifying import in_base64, mac

SECRET = "shared"
LONGEST_CHALLENGE = 4096
ONE = (Secret(SECRET),)


def request(method="POST", query=b"", headers=(), body=b""):
    return Webhook(tuple(headers), query, body, method)


def before(name, *arguments, secrets=ONE, verify_token=None, **parts):
    return HANDSHAKES[name].before(Asked(request(*arguments, **parts), secrets, verify_token))


def after(name, body, *, headers=(), secret=SECRET):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HANDSHAKES[name].after(Content(request(body=raw, headers=headers)), secret)


def refusal(result):
    assert isinstance(result, Rejected), result
    return result.reason, result.detail


def test_a_question_is_asked_before_or_after_the_signature_is_checked():
    for name, handshake in HANDSHAKES.items():
        assert (handshake.before is None) != (handshake.after is None), name
    assert (NO_HANDSHAKE.before, NO_HANDSHAKE.after, NO_HANDSHAKE.methods) == (None, None, frozenset())


def test_an_answer_is_200_and_text_without_headers_where_nothing_else_is_said():
    reply = Reply()
    assert (reply.status, reply.body, reply.headers) == (200, b"", ())
    assert reply.content_type == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("name", "methods"),
    [
        *((name, {"GET"}) for name in ("crc", "meta", "okta", "dropbox", "nylas")),
        ("cloudevents", {"OPTIONS"}),
        *((name, set()) for name in ("asana", "graph", "ringcentral", "slack", "zoom", "discord", "twitch")),
    ],
)
def test_besides_post_only_the_methods_of_the_question_are_let_through(name, methods):
    assert HANDSHAKES[name].methods == methods


# With a signature.


def test_slack_is_told_its_challenge():
    question = {"type": "url_verification", "challenge": "c\N{EURO SIGN}"}
    assert after("slack", question) == Reply(200, "c\N{EURO SIGN}".encode())
    for body in (
        {**question, "type": "event_callback"},
        {**question, "challenge": None},
        {**question, "challenge": 7},
        {**question, "challenge": "a\nb"},
        {**question, "challenge": "\ud800"},
        {**question, "challenge": "x" * (LONGEST_CHALLENGE + 1)},
        {"type": "url_verification"},
        [question],
        b"no JSON",
    ):
        assert after("slack", body) is None
    longest = "x" * LONGEST_CHALLENGE
    assert after("slack", {**question, "challenge": longest}) == Reply(body=longest.encode())


def test_zooms_token_is_signed_by_the_secret_that_matched():
    question = {"event": "endpoint.url_validation", "payload": {"plainToken": "t"}}
    answer = b'{"plainToken":"t","encryptedToken":"%s"}' % mac(b"t", key=b"shared").hex().encode()
    assert after("zoom", question) == Reply(200, answer, "application/json")
    assert after("zoom", question, secret="other") != after("zoom", question)
    for body in (
        {**question, "event": "meeting.started"},
        {**question, "payload": {}},
        {**question, "payload": {"plainToken": 7}},
        {**question, "payload": "t"},
        {"event": "endpoint.url_validation"},
        [question],
        b"",
    ):
        assert after("zoom", body) is None


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"type": 1}, Reply(200, b'{"type":1}', "application/json")),
        ({"type": 0}, Reply(204)),
        ({"type": 2}, None),
        ({"type": True}, None),
        ({"type": False}, None),
        ({"type": "1"}, None),
        ({"type": None}, None),
        ({}, None),
        ({"type": 1, "event": {}}, None),
        ({"type": 0, "event": {}}, None),
        ([], None),
        (1, None),
        (b"", None),
    ],
)
def test_discords_ping_is_told_from_its_events(body, answer):
    assert after("discord", body) == answer


KIND = b"Twitch-Eventsub-Message-Type"


@pytest.mark.parametrize(
    ("kinds", "body", "answer"),
    [
        ([b"webhook_callback_verification"], {"challenge": "c"}, Reply(body=b"c")),
        ([b"webhook_callback_verification"], {}, None),
        ([b"webhook_callback_verification"], b"c", None),
        ([b"notification"], {"challenge": "c"}, None),
        ([b"webhook_callback_verification"] * 2, {"challenge": "c"}, None),
        ([], {"challenge": "c"}, None),
    ],
)
def test_twitch_is_told_its_challenge(kinds, body, answer):
    assert after("twitch", body, headers=[(KIND, kind) for kind in kinds]) == answer


# Without one.


def crc(token, **options):
    return before("crc", "GET", b"crc_token=" + token, **options)


def test_x_is_told_a_mac_of_its_token_by_the_first_secret_that_counts():
    answer = {"response_token": f"sha256={in_base64(mac(b'aZ09+/=_-', key=b'shared'))}"}
    both = (Secret(SECRET), Secret("other"))
    for reply in (crc(b"aZ09%2B/=_-"), crc(b"aZ09%2B/=_-", secrets=both)):
        assert reply == Reply(200, json.dumps(answer, separators=(",", ":")).encode(), "application/json")
    assert isinstance(crc(b"x" * 200), Reply)
    assert before("crc", "POST", b"crc_token=a") is None


@pytest.mark.parametrize(
    "token",
    [b"", b"{}", b"%7B%7D", b"a b", b"a.b", b"a:b", b"%C3%A9", b"x" * 201, b"a&crc_token=b", b"a%0A", b"%FF"],
)
def test_no_token_of_xs_is_signed_that_could_be_a_delivery(token):
    """The key is that of deliveries: what is signed here passes there."""
    sentence = "there is no crc_token, or it is none that may be signed"
    assert refusal(crc(token)) == ("malformed", sentence)
    assert refusal(before("crc", "GET")) == ("malformed", sentence)


def test_x_is_told_nothing_while_no_secret_counts():
    assert refusal(crc(b"a", secrets=()))[0] == "malformed"


def meta(query, **options):
    return before("meta", "GET", query, **options)


META = b"hub.mode=subscribe&hub.challenge=c%20d&hub.verify_token=shared"


def test_meta_is_told_its_challenge_for_a_secret_or_for_the_configured_token_alone():
    assert meta(META) == Reply(200, b"c d")
    assert meta(META + b"&x=1" * 97) == Reply(200, b"c d")
    assert meta(META, secrets=(Secret("other"), Secret(SECRET))) == Reply(200, b"c d")
    assert meta(META, secrets=(), verify_token=SECRET) == Reply(200, b"c d")
    sentence = "hub.verify_token is not the configured verify_token"
    for options in ({"verify_token": "other"}, {"secrets": (Secret("other"),)}, {"secrets": ()}):
        assert refusal(meta(META, **options)) == ("bad_signature", sentence)
    assert refusal(meta(META + b"x"))[0] == "bad_signature"
    assert refusal(meta(META.replace(b"shared", b"%C3%A9")))[0] == "bad_signature"
    assert before("meta", "POST", META) is None


@pytest.mark.parametrize(
    "query",
    [
        b"",
        META.replace(b"subscribe", b"unsubscribe"),
        META.replace(b"hub.mode=subscribe&", b""),
        META.replace(b"&hub.challenge=c%20d", b""),
        META.replace(b"&hub.verify_token=shared", b""),
        META + b"&hub.verify_token=shared",
        META + b"&hub.challenge=x",
        META + b"&x=1" * 98,
        META + b"\xff",
        META.replace(b"c%20d", b"x" * (LONGEST_CHALLENGE + 1)),
    ],
)
def test_a_question_of_metas_that_lacks_something_is_malformed(query):
    assert refusal(meta(query)) == ("malformed", "it has no hub.mode, hub.challenge and hub.verify_token")


def test_microsoft_graph_is_told_its_token_decoded_as_text():
    assert before("graph", "POST", b"validationToken=a%20%3Cb%3E") == Reply(200, b"a <b>")
    assert Reply().content_type == "text/plain; charset=utf-8"
    assert before("graph", "POST", b"validationToken=") == Reply(200, b"")
    longest = b"x" * LONGEST_CHALLENGE
    assert before("graph", "POST", b"validationToken=" + longest) == Reply(200, longest)
    for arguments in (
        ("GET", b"validationToken=a"),
        ("POST", b""),
        ("POST", b"validationtoken=a"),
        ("POST", b"validationToken=a&validationToken=b"),
        ("POST", b"validationToken=x" + longest),
        ("POST", b"validationToken=\xff"),
    ):
        assert before("graph", *arguments) is None


def test_a_cloudevents_producer_is_told_that_it_may_send():
    origin = (b"WebHook-Request-Origin", b"events.example")
    allowed = ((b"webhook-allowed-origin", b"events.example"), (b"allow", b"POST"))
    assert before("cloudevents", "OPTIONS", headers=[origin]) == Reply(headers=allowed)
    rate = (b"WebHook-Request-Rate", b"120")
    assert before("cloudevents", "OPTIONS", headers=[origin, rate]) == Reply(
        headers=(*allowed, (b"webhook-allowed-rate", b"*"))
    )
    assert before("cloudevents", "POST", headers=[origin]) is None
    for headers in ([], [origin, origin], [(origin[0], b"")]):
        assert refusal(before("cloudevents", "OPTIONS", headers=headers)) == (
            "malformed",
            "there is no WebHook-Request-Origin header",
        )


@pytest.mark.parametrize(
    ("name", "header"), [("asana", b"X-Hook-Secret"), ("ringcentral", b"Validation-Token")]
)
def test_a_header_is_given_back(name, header):
    assert before(name, headers=[(header, b"s3cret")]) == Reply(headers=((header.lower(), b"s3cret"),))
    assert before(name, headers=[(header, b"x" * 500)]) is not None
    for value in (b"", b"a b", b"a\r\nb", b"\x7f", b"\xe9", b"x" * 501):
        assert before(name, headers=[(header, value)]) is None
    assert before(name, headers=[(header, b"a"), (header, b"a")]) is None
    assert before(name) is None


def test_okta_is_told_its_challenge():
    header = (b"X-Okta-Verification-Challenge", b"c")
    assert before("okta", "GET", headers=[header]) == Reply(200, b'{"verification":"c"}', "application/json")
    assert before("okta", "POST", headers=[header]) is None
    for headers in ([], [header, header]):
        assert refusal(before("okta", "GET", headers=headers)) == (
            "malformed",
            "there is no X-Okta-Verification-Challenge header",
        )


@pytest.mark.parametrize("name", ["dropbox", "nylas"])
def test_a_challenge_in_the_query_is_given_back(name):
    assert before(name, "GET", b"challenge=c%2B") == Reply(200, b"c+")
    assert before(name, "POST", b"challenge=c") is None
    for query in (b"", b"challenge=a&challenge=b", b"Challenge=a"):
        assert refusal(before(name, "GET", query)) == ("malformed", "there is no challenge")
