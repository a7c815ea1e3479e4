"""Kind token: where a secret may stand, how it is compared, and that it is neither kept nor shown."""

import json

import pytest

from gateway.model import Webhook
from gateway.verify import compile_verifier
from tests.support.verifying import BODY, NOW, SENSITIVE, accepted, in_base64, refused, sha256, webhook

SECRET = "s3cret: value"


def token(place, *secrets, **parameters):
    return compile_verifier({"kind": "token", "from": place, **parameters}, secrets or (SECRET,))


def verify(verifier, headers, body=BODY, **request):
    return verifier.verify(webhook(headers, body, **request), now=NOW)


def detail(verifier, headers, body=BODY, **request):
    return refused(verify(verifier, headers, body, **request)).detail


BASIC = in_base64(SECRET.encode())
HEADERS = {
    "header:X-Token": ("x-token", SECRET),
    "bearer": ("authorization", f"Bearer {SECRET}"),
    "basic": ("authorization", f"Basic {BASIC}"),
}
each_header = pytest.mark.parametrize("place", HEADERS)


@each_header
def test_the_secret_in_its_header_is_accepted_and_says_nothing_of_the_body(place):
    verifier, (name, value) = token(place), HEADERS[place]
    result = accepted(verify(verifier, {name: value}))
    assert (result.secret, result.signature, result.body_authenticated) == (0, None, False)
    assert verifier.required_headers == (name.encode(),)
    assert verifier.credential_header == name.encode()
    assert (verifier.tolerance_seconds, verifier.unsignable, verifier.signs_method) == (0, None, False)


@each_header
def test_every_change_of_one_bit_of_the_secret_is_refused(place):
    verifier, (name, value) = token(place), HEADERS[place]
    start = 0 if place.startswith("header") else value.index(" ") + 1
    for index in range(start, len(value)):
        for bit in range(8):
            changed = bytearray(value.encode())
            changed[index] ^= 1 << bit
            request = Webhook(((name.encode(), bytes(changed)),), b"", BODY)
            assert refused(verifier.verify(request, now=NOW)).reason in {"bad_signature", "malformed"}


@each_header
def test_a_secret_that_is_longer_shorter_or_empty_is_refused(place):
    verifier, (name, value) = token(place), HEADERS[place]
    for text in (value + "x", value[:-1], value[:6], "", value + " ", " " + value, value.upper()):
        refused(verify(verifier, {name: text}))


@each_header
def test_a_missing_header_is_named_and_one_that_stands_twice_is_malformed(place):
    verifier, (name, value) = token(place), HEADERS[place]
    result = refused(verify(verifier, {}))
    assert (result.reason, result.detail) == ("missing_header", f"there is no {name} header")
    result = refused(verify(verifier, [(name, value), (name.title(), value)]))
    assert (result.reason, result.detail) == ("malformed", f"the {name} header stands more than once")


@each_header
def test_a_digest_takes_the_secrets_place_in_what_is_kept(place):
    name, value = HEADERS[place]
    request = Webhook(((name.title().encode(), value.encode()), (b"x", SECRET.encode())), b"q=1", BODY, "PUT")
    kept = accepted(token(place).verify(request, now=NOW)).webhook
    digest = f"sha256:{sha256(value.encode())[:8]}".encode()
    assert kept == Webhook(((name.title().encode(), digest), (b"x", SECRET.encode())), b"q=1", BODY, "PUT")


def test_the_name_of_a_scheme_is_the_same_in_any_case_and_a_prefix_is_not():
    for start in ("bearer", "BEARER", "bEaReR"):
        accepted(verify(token("bearer"), {"authorization": f"{start} {SECRET}"}))
    for start in ("basic", "BASIC"):
        accepted(verify(token("basic"), {"authorization": f"{start} {BASIC}"}))
    verifier = token("header:x-token", prefix="Token ")
    accepted(verify(verifier, {"x-token": f"Token {SECRET}"}))
    for text in (f"token {SECRET}", SECRET):
        result = refused(verify(verifier, {"x-token": text}))
        assert (result.reason, result.detail) == (
            "malformed",
            "the x-token header does not begin with 'Token '",
        )


def test_an_authorization_of_another_scheme_is_malformed():
    assert detail(token("bearer"), {"authorization": f"Basic {BASIC}"}) == (
        "the authorization header does not begin with 'Bearer '"
    )
    for text in (f"Bearer {SECRET}", f"Basic {BASIC[:-1]}", "Basic !", BASIC):
        assert detail(token("basic"), {"authorization": text}) == "the authorization header is not Basic"


def test_no_secret_of_several_is_enough_but_one_of_them():
    verifier = token("bearer", "first", "second")
    assert accepted(verify(verifier, {"authorization": "Bearer second"})).secret == 1
    result = refused(verify(verifier, {"authorization": "Bearer firstsecond"}))
    assert (result.reason, result.detail) == (
        "bad_signature",
        "what stands in bearer is no secret of this source",
    )


QUERY = "query:access_token"
WRITTEN = b"s3cret%3A+value"


def test_the_secret_in_the_query_is_accepted_however_it_is_escaped():
    for query in (b"a=1&access_token=" + WRITTEN, b"access%5Ftoken=s3cret:%20value"):
        result = accepted(verify(token(QUERY), {}, query=query))
        assert not result.body_authenticated
        assert SECRET.encode() not in result.webhook.query
        assert b"value" not in result.webhook.query
    assert (token(QUERY).required_headers, token(QUERY).credential_header) == ((), None)


def test_a_digest_takes_the_place_of_the_field_of_the_query_alone():
    query = b"a=b&&access_token=" + WRITTEN + b"&c=d=e&access_token2=f"
    kept = accepted(verify(token(QUERY), {}, query=query)).webhook.query
    digest = b"sha256:" + sha256(WRITTEN)[:8].encode()
    assert kept == b"a=b&&access_token=" + digest + b"&c=d=e&access_token2=f"


def test_what_is_read_afterwards_does_not_find_the_secret_either():
    result = accepted(verify(token(QUERY), {}, query=b"access_token=" + WRITTEN))
    assert SECRET not in repr(result.content.query)
    assert result.content.json["data"] == {"jobId": "j1"}


@pytest.mark.parametrize(
    "query",
    [b"", b"access_token", b"Access_Token=" + WRITTEN, b"access_token=a&access_token=" + WRITTEN, b"\xff"],
)
def test_a_query_without_one_token_is_refused(query):
    refused(verify(token(QUERY), {}, query=query))
    both = b"access_token=%s&access_token=%s" % (WRITTEN, WRITTEN)
    result = refused(verify(token(QUERY), {}, query=both))
    assert (result.reason, result.detail) == ("malformed", f"there is no {QUERY}, or more than one")


def test_every_item_of_a_list_has_to_carry_the_secret():
    verifier = token("json:value[].clientState")

    def states(*found):
        return json.dumps({"value": [{"clientState": state} for state in found]}).encode()

    accepted(verify(verifier, {}, states(SECRET)))
    accepted(verify(verifier, {}, states(*[SECRET] * 1000)))
    for body in (states(), states("x"), states(SECRET, "x"), states("x", SECRET), states(SECRET, 7)):
        refused(verify(verifier, {}, body))
    result = refused(verify(verifier, {}, states(SECRET, "x")))
    assert (result.reason, result.detail) == (
        "malformed",
        "there is no json:value[].clientState, or there are several",
    )
    for body in (states(), states(7), states(SECRET, {}), states(*[SECRET] * 1001), b"no JSON", b"{}"):
        result = refused(verify(verifier, {}, body))
        assert (result.reason, result.detail) == (
            "malformed",
            "there is no token in json:value[].clientState",
        )


def test_a_secret_in_the_body_is_a_text():
    verifier = token("json:secret")
    body = json.dumps({"secret": SECRET}).encode()
    assert accepted(verify(verifier, {}, body)).webhook == webhook({}, body)
    for value in (None, True, 7, {}, [], [7], "\ud800"):
        refused(verify(verifier, {}, json.dumps({"secret": value}).encode()))


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({}, "kind token: from is missing"),
        ({"from": 7}, "kind token: from must be a text"),
        *(
            (
                {"from": place},
                f"kind token: from {place!r} is none of header:NAME, bearer, basic, query:NAME, json:PATH",
            )
            for place in (
                "x-token",
                "header:",
                "header:a b",
                "query:",
                "json:",
                "form:a",
                "claim:a",
                "Bearer",
                "bearer:",
            )
        ),
        ({"from": "query:a", "prefix": "x"}, "kind token: prefix has a meaning only with a header"),
        ({"from": "bearer", "prefix": "x"}, "kind token: prefix has a meaning only with a header"),
        ({"from": "bearer", "prefx": "x"}, "kind token has no parameter 'prefx'; did you mean 'prefix'?"),
        (
            {"from": "bearer", "algorithm": "x"},
            "kind token has no parameter 'algorithm'; it has from, kind, prefix",
        ),
    ],
)
def test_a_parameter_that_does_not_fit_is_a_fault(parameters, sentence):
    with pytest.raises(ValueError, match=r".") as fault:
        compile_verifier({"kind": "token", **parameters}, [SECRET])
    assert str(fault.value) == sentence


def test_an_expression_that_is_none_is_a_fault():
    with pytest.raises(ValueError, match=r"^kind token: from: 'a\[' is not a JMESPath expression: "):
        token("json:a[")


@pytest.mark.parametrize(
    ("place", "secret", "sentence"),
    [
        ("bearer", "", "a secret is empty: anybody could sign with it"),
        (
            "bearer",
            f"{SENSITIVE} ",
            "a secret has white space around it: it was probably pasted with a line end",
        ),
        (
            "bearer",
            f"{SENSITIVE}\N{EURO SIGN}",
            "a secret has a character that is not printable ASCII: no request could carry it",
        ),
        (
            "query:t",
            f"{SENSITIVE}\tx",
            "a secret has a character that is not printable ASCII: no request could carry it",
        ),
        ("basic", SENSITIVE, "a secret is not of the form USER:PASSWORD, which basic needs"),
    ],
)
def test_a_secret_that_no_request_could_carry_is_a_fault_that_does_not_quote_it(place, secret, sentence):
    with pytest.raises(ValueError, match=r".") as fault:
        token(place, secret)
    assert str(fault.value) == sentence


@pytest.mark.parametrize(
    ("place", "parameters", "headers", "query"),
    [
        ("header:X-Token", {}, ((b"x-token", SECRET.encode()),), ()),
        ("header:x-token", {"prefix": "Token "}, ((b"x-token", b"Token " + SECRET.encode()),), ()),
        ("bearer", {}, ((b"authorization", b"Bearer " + SECRET.encode()),), ()),
        ("basic", {}, ((b"authorization", b"Basic " + BASIC.encode()),), ()),
        ("query:t", {}, (), (("t", SECRET),)),
        ("json:t", {}, (), ()),
    ],
)
def test_what_is_signed_anew_carries_the_secret_where_the_producer_puts_it(place, parameters, headers, query):
    signed = token(place, **parameters).sign(webhook({}), now=NOW, url="")
    assert (signed.headers, signed.query, signed.body) == (headers, query, BODY)
