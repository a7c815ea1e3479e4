"""Small rules of verification, each of which a mutant has shown to be untried elsewhere."""

import pytest

from gateway.model import Webhook
from gateway.verify import PRESETS, NoVerifier, compile_verifier
from gateway.verify.handshake import HANDSHAKES
from gateway.verify.timestamp import with_value
from gateway.verify.token import is_redacted
from tests.support.verifying import BODY, NOW, accepted, mac


def verified(parameters, secret, *, headers=(), query=b"", body=BODY):
    return accepted(compile_verifier(parameters, [secret]).verify(Webhook(headers, query, body), now=NOW))


@pytest.mark.parametrize(("secret", "is_replaced"), [("1234567", False), ("12345678", True)])
def test_a_token_of_eight_characters_is_looked_for_in_the_headers_that_proxies_add(secret, is_replaced):
    uri = f"/in?access_token={secret}".encode()
    headers = ((b"x-original-uri", uri),)
    query = f"access_token={secret}".encode()
    kept = verified(PRESETS["url-token"].verify, secret, headers=headers, query=query).webhook.headers
    assert (kept != headers) == is_replaced
    assert (secret.encode() in kept[0][1]) != is_replaced


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"sha256:01234567", True), (b"sha256:0123456789", False), (b"sha512:01234567", False), (b"", False)],
)
def test_what_stands_for_a_secret_is_known_by_its_form(value, expected):
    assert is_redacted(value) == expected


def test_a_list_of_tokens_themselves_is_read_and_one_that_may_lack_items_is_a_fault():
    verified({"kind": "token", "from": "json:tokens[]"}, "made-up", body=b'{"tokens":["made-up","made-up"]}')
    for path in ("a[?b].c", "a[].b[].c"):
        with pytest.raises(ValueError, match=r".") as raised:
            compile_verifier({"kind": "token", "from": f"json:{path}"}, ["made-up"])
        assert str(raised.value) == (
            f"kind token: from json:{path} may leave out items of a list; only LIST[].KEY is known to leave out none"
        )


@pytest.mark.parametrize("place", ["json:a b", "json:["])
def test_a_path_that_is_none_is_a_fault_of_from(place):
    with pytest.raises(ValueError, match=r"^kind token: from: "):
        compile_verifier({"kind": "token", "from": place}, ["made-up"])


@pytest.mark.parametrize("secret", ["whpk_AAAA", "ssh-rsa AAAA"])
def test_a_public_key_is_no_shared_secret(secret):
    with pytest.raises(ValueError, match=r".") as raised:
        compile_verifier(PRESETS["github"].verify, [secret])
    assert str(raised.value) == (
        "a secret is a key of a pair, and this scheme needs one that is shared with the producer"
    )


def test_what_carries_no_secret_is_kept_as_it_is():
    webhook = Webhook(((b"x", b"y"),), b"q", BODY)
    assert NoVerifier().without_credential(webhook) is webhook
    assert compile_verifier(PRESETS["github"].verify, ["made-up"]).without_credential(webhook) is webhook


def test_an_array_is_no_place_for_a_key():
    with pytest.raises(ValueError, match=r"the body has no t$"):
        with_value(b'["t",1]', "t", "9")


HMAC = {"kind": "hmac", "header": "x-signature", "algorithm": "sha256"}


def test_a_variable_may_not_be_called_as_the_method_is():
    with pytest.raises(ValueError, match=r"^vars has 'method', which \{method\} stands for already"):
        compile_verifier({**HMAC, "template": "{method}{body}", "vars": {"method": "header:x"}}, ["shared"])


def test_a_signed_header_keeps_its_value_however_it_is_written():
    verifier = compile_verifier(
        {**HMAC, "template": "{one}.{body}", "vars": {"one": "header:X-One"}}, ["shared"]
    )
    signed = verifier.sign(Webhook(((b"x-oNe", b"1"),), b"", BODY), now=NOW, url="")
    assert signed.headers == ((b"x-one", b"1"), (b"x-signature", mac(b"1." + BODY).hex().encode()))


@pytest.mark.parametrize(
    ("template", "beside"),
    [
        ("{one}.{two}{body}", {"two"}),
        ("{one}{body}.{two}", {"one"}),
        ("{body}{one}.{two}.", {"one"}),
        ("{one}.{body}{two}", {"two"}),
        ("{one}.{body}.{two}", set()),
        ("{one}{body}{two}", {"one", "two"}),
        ("{one}.{method}.{two}{body}!", {"two"}),
    ],
)
def test_of_several_variables_those_beside_a_part_alone_are_held_to_the_form_of_an_id(template, beside):
    parameters = {**HMAC, "template": template, "vars": {"one": "header:x-one", "two": "header:x-two"}}
    verifier = compile_verifier(parameters, ["shared"])
    for odd in ("one", "two"):
        values = {"one": "1", "two": "2", odd: "a b"}
        message = template.format(**values, method="POST", body=BODY.decode()).encode()
        headers = [(b"x-one", values["one"].encode()), (b"x-two", values["two"].encode())]
        webhook = Webhook((*headers, (b"x-signature", mac(message).hex().encode())), b"", BODY)
        result = verifier.verify(webhook, now=NOW)
        assert hasattr(result, "reason") == (odd in beside), (odd, result)


def test_what_was_signed_for_a_stranger_is_no_webhook_and_what_only_begins_so_may_be_one():
    crc = HANDSHAKES["crc"]
    refused = crc.refused(b"abc123")
    assert refused is not None
    assert (refused.reason, refused.detail) == (
        "bad_signature",
        "the body may be a token of the handshake, which is signed for anybody",
    )
    assert crc.refused(b'abc123{"a":1}') is None
    assert HANDSHAKES["slack"].refused(b"abc123") is None
