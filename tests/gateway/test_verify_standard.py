"""Kind standard: an independent library as oracle, and every part of a valid request broken."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Rejected, VerifiedWebhook, Webhook
from gateway.verify import PRESETS, compile_verifier
from gateway.verify.timestamp import with_value
from tests.support.gateway_app import KEY, SECRET, signed
from tests.support.verifying import (
    BODY,
    NOW,
    SENSITIVE,
    accepted,
    ed25519,
    in_base64,
    refused,
    webhook,
    with_one_bit_changed,
)

PUBLIC_KEY = "whpk_" + in_base64(ed25519().public_key().public_bytes_raw())


def standard(*secrets, **parameters):
    return compile_verifier({"kind": "standard", **parameters}, secrets or (SECRET,))


def sign(verifier, id_header, body, *, now):
    signed = verifier.sign(webhook({id_header: "msg_1"}, body), now=now, url="")
    return {name.decode(): value.decode() for name, value in signed.headers}


def verify(request, *, now=NOW, verifier=None):
    return (verifier or standard()).verify(request, now=now)


def reason(request, **options):
    return refused(verify(request, **options)).reason


@pytest.mark.parametrize("part", ["id", "timestamp", "body", "signature"])
def test_every_change_of_one_bit_is_refused(part):
    headers = {
        name.removeprefix("webhook-"): value.encode()
        for name, value in signed(BODY, message_id="msg_1", at=NOW).items()
    }
    verifier = standard(tolerance=86_400)
    parts = {**headers, "body": BODY}
    for bit, changed in with_one_bit_changed(parts[part]):
        altered = {**parts, part: changed}
        request = Webhook(
            headers=tuple((f"webhook-{name}".encode(), altered[name]) for name in headers),
            query=b"",
            body=altered["body"],
        )
        assert isinstance(verifier.verify(request, now=NOW), Rejected), (part, bit)


@pytest.mark.parametrize(
    ("preset", "prefix"),
    [
        (name, preset.verify.get("prefix", "webhook-"))
        for name, preset in PRESETS.items()
        if preset.verify["kind"] == "standard"
    ],
)
def test_a_preset_takes_what_its_producer_signs_and_is_told_apart_by_the_signed_id(preset, prefix):
    verifier = compile_verifier(PRESETS[preset].verify, [SECRET])
    headers = sign(verifier, f"{prefix}id", BODY, now=NOW)
    assert set(headers) == {f"{prefix}{part}" for part in ("id", "timestamp", "signature")}
    assert isinstance(verifier.verify(webhook(headers), now=NOW), VerifiedWebhook)
    assert PRESETS[preset].dedupe_key == f"header:{prefix}id"


@given(body=st.binary(max_size=500), message_id=st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True))
def test_what_the_public_library_signs_is_verified(body, message_id):
    body = body.decode("latin-1").encode()  # the library signs text
    at = datetime.fromtimestamp(NOW, UTC)
    signature = standardwebhooks.Webhook(SECRET).sign(message_id, at, body.decode())
    headers = {"webhook-id": message_id, "webhook-timestamp": str(NOW), "webhook-signature": signature}
    assert isinstance(verify(webhook(headers, body)), VerifiedWebhook)


@given(data=st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=4))
def test_what_the_gateway_signs_is_verified_by_the_public_library(data):
    body = json.dumps(data).encode()
    now = int(datetime.now(UTC).timestamp())  # the library asks the clock itself
    headers = sign(standard(), "webhook-id", body, now=now)
    assert standardwebhooks.Webhook(SECRET).verify(body, headers) == data


header_names = st.sampled_from([b"webhook-id", b"webhook-timestamp", b"webhook-signature", b"x"])


@given(
    headers=st.lists(st.tuples(header_names, st.binary(max_size=60)), max_size=6), body=st.binary(max_size=50)
)
def test_no_bytes_in_headers_or_body_make_it_raise_or_pass(headers, body):
    request = Webhook(headers=tuple(headers), query=b"", body=body)
    assert isinstance(verify(request), Rejected)


@given(signature=st.binary(max_size=120), version=st.sampled_from([b"v1,", b"v1a,", b"v1a,", b""]))
def test_no_bytes_in_a_signature_make_it_raise_or_pass(signature, version):
    verifier = standard(SECRET, PUBLIC_KEY)
    headers = (
        (b"webhook-id", b"m"),
        (b"webhook-timestamp", b"%d" % NOW),
        (b"webhook-signature", version + signature),
    )
    assert reason(Webhook(headers=headers, query=b"", body=BODY), verifier=verifier) == "bad_signature"


@pytest.mark.parametrize(
    ("offset", "expected"),
    [(0, None), (300, None), (-300, None), (301, "too_old"), (-301, "too_new"), (10**9, "too_old")],
)
def test_the_time_may_be_off_by_the_tolerance_and_no_more(offset, expected):
    result = verify(webhook(signed(BODY, at=NOW)), now=NOW + offset)
    assert (result.reason if isinstance(result, Rejected) else None) == expected


def test_a_forged_request_is_not_told_about_the_clock():
    headers = {**signed(BODY, at=NOW - 10_000), "webhook-signature": "v1,AAAA"}
    assert reason(webhook(headers)) == "bad_signature"


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_named(name):
    headers = signed(BODY, at=NOW)
    del headers[name]
    result = verify(webhook(headers))
    assert isinstance(result, Rejected)
    assert (result.reason, result.detail) == ("missing_header", f"there is no {name} header")


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_header_that_stands_twice_is_malformed_even_with_the_same_value(name):
    headers = signed(BODY, at=NOW)
    result = refused(verify(webhook([*headers.items(), (name, headers[name])])))
    assert (result.reason, result.detail) == ("malformed", f"the {name} header stands more than once")


@pytest.mark.parametrize(
    "timestamp", ["", " ", "1.5", "1_0", "+1", "-1", "0x10", "1e9", "٣", "²", "9" * 13, f" {NOW}", f"{NOW}\n"]
)
def test_a_timestamp_that_is_no_plain_number_is_malformed_though_rightly_signed(timestamp):
    result = refused(verify(webhook(signed(BODY, at=timestamp))))
    assert (result.reason, result.detail) == (
        "malformed",
        "the webhook-timestamp is not a whole number of Unix seconds",
    )


def test_a_dot_cannot_move_from_the_body_into_the_id():
    """`a` + `1.b` and `a.1` + `b` are the same signed bytes."""
    headers = signed(b"1." + BODY, message_id="a", at=NOW)
    moved = {**headers, "webhook-id": f"a.{NOW}", "webhook-timestamp": "1"}
    assert reason(webhook(moved)) == "malformed"


def test_signatures_beyond_the_sixteenth_are_not_looked_at():
    headers = signed(BODY, at=NOW)
    right = headers["webhook-signature"]
    fifteen = {**headers, "webhook-signature": " ".join(["v1,AAAA"] * 15 + [right])}
    sixteen = {**headers, "webhook-signature": " ".join(["v1,AAAA"] * 16 + [right])}
    assert isinstance(verify(webhook(fifteen)), VerifiedWebhook)
    assert reason(webhook(sixteen)) == "bad_signature"


def signed_by_private_key(body=BODY):
    content = b".".join((b"msg_1", str(NOW).encode(), body))
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(NOW),
        "webhook-signature": "v1a," + in_base64(ed25519().sign(content)),
    }


def test_a_public_key_checks_v1a_and_nothing_else():
    verifier = standard(PUBLIC_KEY)
    confused = signed(BODY, at=NOW, key=ed25519().public_key().public_bytes_raw())
    accepted(verify(webhook(signed_by_private_key()), verifier=verifier))
    assert reason(webhook(confused), verifier=verifier) == "bad_signature"
    relabelled = {**signed_by_private_key()}
    relabelled["webhook-signature"] = relabelled["webhook-signature"].replace("v1a,", "v1,")
    assert reason(webhook(relabelled), verifier=verifier) == "bad_signature"


def test_a_shared_secret_checks_no_v1a():
    headers = signed(BODY, at=NOW)
    headers["webhook-signature"] = headers["webhook-signature"].replace("v1,", "v1a,")
    assert reason(webhook(headers)) == "bad_signature"


def test_a_public_key_cannot_sign_and_a_secret_beside_it_does():
    alone, beside = standard(PUBLIC_KEY), standard(PUBLIC_KEY, SECRET)
    assert alone.unsignable == "it has only public keys, which cannot sign"
    with pytest.raises(ValueError, match="it has only public keys, which cannot sign"):
        sign(alone, "webhook-id", BODY, now=NOW)
    with pytest.raises(ValueError, match=r"^this source has a public key \(whpk_…\), which cannot sign$"):
        alone.scheme.sign(webhook({"webhook-id": "a"}), alone.keys[0].key, now=NOW, url="")
    assert beside.unsignable is None
    assert accepted(verify(webhook(sign(beside, "webhook-id", BODY, now=NOW)))).secret == 0


@pytest.mark.parametrize(
    ("message_id", "complaint"),
    [
        ("", "a webhook of this kind needs its id in webhook-id"),
        ("a.b", "without a dot"),
        ("é", "printable ASCII"),
        ("a\tb", "webhook-id: printable ASCII, not empty, and without a dot$"),
    ],
)
def test_an_id_that_could_not_be_verified_is_not_signed(message_id, complaint):
    with pytest.raises(ValueError, match=complaint):
        standard().sign(webhook({"webhook-id": message_id}), now=NOW, url="")


def test_a_webhook_with_two_ids_is_not_signed():
    with pytest.raises(ValueError, match="needs its id in webhook-id"):
        standard().sign(webhook([("webhook-id", "a"), ("webhook-id", "b")]), now=NOW, url="")


@pytest.mark.parametrize(("now", "is_signed"), [(-1, False), (0, True), (10**12 - 1, True), (10**12, False)])
def test_a_time_is_signed_that_can_be_verified_and_no_other(now, is_signed):
    request = webhook({"webhook-id": "a"})
    if is_signed:
        signed = standard().sign(request, now=now, url="")
        accepted(verify(replace(request, headers=signed.headers), now=now))
    else:
        with pytest.raises(ValueError, match=r"^the time must be Unix seconds$"):
            standard().sign(request, now=now, url="")


@pytest.mark.parametrize("message_id", ["", "a.b", "é"])
def test_an_id_that_is_empty_dotted_or_not_ascii_is_malformed_though_rightly_signed(message_id):
    result = refused(
        verify(webhook(signed(BODY, message_id=message_id or " ", at=NOW) | {"webhook-id": message_id}))
    )
    assert (result.reason, result.detail) == (
        "malformed",
        "the webhook-id is empty, not ASCII, or has a dot in it",
    )


@pytest.mark.parametrize(
    ("signature", "detail"),
    [
        ("", "the signature header has no entry of the form VERSION,BASE64"),
        ("v1", "the signature header has no entry of the form VERSION,BASE64"),
        ("v2,AAAA v3,AAAA", "the request carries neither a v1 nor a v1a signature"),
        ("v2,AAAA " * 16 + "v1,AAAA", "the request carries neither a v1 nor a v1a signature"),
        (
            "v2,AAAA v1,AAAA",
            "no secret of this source made a signature of this request: another secret, or a changed body",
        ),
        (
            "v1,AAAA",
            "no secret of this source made a signature of this request: another secret, or a changed body",
        ),
        (
            "v1a,AAAA",
            "no secret of this source made a signature of this request: another secret, or a changed body",
        ),
    ],
)
def test_a_signature_that_does_not_match_is_explained(signature, detail):
    result = refused(verify(webhook({**signed(BODY, at=NOW), "webhook-signature": signature})))
    assert (result.reason, result.detail) == ("bad_signature", detail)


def test_an_empty_signature_is_none():
    """As of a library that compared only as many bytes as there were."""
    assert reason(webhook({**signed(BODY, at=NOW), "webhook-signature": "v1,"})) == "bad_signature"


@pytest.mark.parametrize("junk", ["{}=", "{}\n", "{}!", " {}", "!{}"])
def test_a_signature_with_junk_around_it_is_none(junk):
    headers = signed(BODY, at=NOW)
    version, _, encoded = headers["webhook-signature"].partition(",")
    assert reason(webhook({**headers, "webhook-signature": f"{version},{junk.format(encoded)}"})) == (
        "bad_signature"
    )


def test_the_second_of_two_signatures_is_enough():
    headers = signed(BODY, at=NOW)
    both = {**headers, "webhook-signature": f"v1,AAAA {headers['webhook-signature']}"}
    accepted(verify(webhook(both)))


@pytest.mark.parametrize("form", ["{}", "whsec_{}", "v1,whsec_{}"])
@pytest.mark.parametrize("key", [b"1", b"22", b"333"])
def test_a_secret_is_the_same_with_and_without_what_producers_write_around_it(form, key):
    for encoded in (in_base64(key), in_base64(key).rstrip("=")):
        accepted(verify(webhook(signed(BODY, at=NOW, key=key)), verifier=standard(form.format(encoded))))


def test_headers_are_named_by_the_prefix_in_any_case():
    verifier = standard(prefix="SVIX-")
    headers = {name.replace("webhook-", "Svix-"): value for name, value in signed(BODY, at=NOW).items()}
    assert verifier.required_headers == (b"svix-id", b"svix-timestamp", b"svix-signature")
    request = Webhook(tuple((name.encode(), value.encode()) for name, value in headers.items()), b"", BODY)
    accepted(verify(request, verifier=verifier))
    assert reason(webhook(signed(BODY, at=NOW)), verifier=verifier) == "missing_header"


def test_the_configured_tolerance_counts():
    verifier = standard(tolerance=10)
    request = webhook(signed(BODY, at=NOW))
    accepted(verify(request, verifier=verifier, now=NOW + 10))
    result = refused(verify(request, verifier=verifier, now=NOW + 11))
    assert (result.reason, result.detail) == ("too_old", "sent 11 s ago; 10 s are allowed")
    result = refused(verify(request, verifier=verifier, now=NOW - 11))
    assert (result.reason, result.detail) == ("too_new", "sent 11 s in the future; 10 s are allowed")


def test_what_is_verified_says_what_was_signed():
    headers = signed(BODY, at=NOW)
    result = accepted(verify(webhook(headers)))
    signature = base64.b64decode(headers["webhook-signature"].removeprefix("v1,"))
    assert result.signature == signature
    assert result.body_authenticated
    assert result.webhook == webhook(headers)
    assert (standard().credential_header, standard().signs_method) == (None, False)


NOT_BASE64 = 'a secret is not base64 (whsec_…); if the producer uses it as text, set secret_encoding = "utf8"'


@pytest.mark.parametrize(
    ("secret", "complaint"),
    [
        (f"whsec_{SENSITIVE}!", NOT_BASE64),
        (f"whsec_é{SENSITIVE}", NOT_BASE64),
        (f" {SECRET}", "a secret has white space around it: it was probably pasted with a line end"),
        (f"{SECRET}\n", "a secret has white space around it: it was probably pasted with a line end"),
        (
            f"whsk_{SENSITIVE}",
            "a secret is a private key (whsk_…): the receiver needs the public one (whpk_…)",
        ),
        (f"whpk_{SENSITIVE}", "a public key (whpk_…) is not the base64 of 32 bytes"),
        ("whsec_", "a secret is empty: anybody could sign with it"),
        ("", "a secret is empty: anybody could sign with it"),
        ("v1,whsec_", "a secret is empty: anybody could sign with it"),
        ("====", NOT_BASE64),
    ],
)
def test_a_secret_of_the_wrong_form_is_refused_without_being_quoted(secret, complaint):
    with pytest.raises(ValueError, match=r".") as fault:
        standard(secret)
    assert str(fault.value) == complaint


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"prefx": "svix-"}, "no parameter 'prefx'"),
        ({"prefix": "a b"}, "^prefix must be the start of a header's name, such as webhook- or svix-$"),
        ({"prefix": 3}, "prefix"),
        ({"secret_encoding": "hex"}, "secret_encoding 'hex' is none of base64, utf8"),
        ({"prefix": ""}, "kind standard: prefix must be a text"),
        ({"prefix": "svix_"}, "prefix must be the start of a header's name, such as webhook- or svix-"),
        ({"tolerance": 0}, "kind standard: tolerance must be a whole number of seconds from 1 to 86400"),
        ({"tolerance": 86_401}, "tolerance"),
        ({"tolerance": True}, "tolerance"),
        ({"tolerance": "300"}, "tolerance"),
    ],
)
def test_a_parameter_of_the_wrong_form_is_refused(parameters, complaint):
    with pytest.raises(ValueError, match=complaint):
        standard(SECRET, **parameters)


def test_a_secret_can_be_used_as_text():
    verifier = standard("plain text", secret_encoding="utf8")
    request = webhook(signed(BODY, at=NOW, key=b"plain text"))
    assert isinstance(verify(request, verifier=verifier), VerifiedWebhook)


def test_a_verifier_does_not_show_its_keys():
    assert KEY.decode() not in repr(standard())


def test_the_query_is_not_part_of_what_is_signed():
    request = replace(webhook(signed(BODY, at=NOW)), query=b"added=1")
    assert isinstance(verify(request), VerifiedWebhook)


@pytest.mark.parametrize(
    ("body", "path", "expected"),
    [
        (b'{"a":1e400, "t" : 12 ,"b":"\\ud800","t":13}', "t", b'{"a":1e400, "t" : 12 ,"b":"\\ud800","t":99}'),
        (b' {"s":{"t":"1","l":[1,{"t":2}]},"u":"t"}', "s.t", b' {"s":{"t":"99","l":[1,{"t":2}]},"u":"t"}'),
        (b'{"n":' + b"9" * 5000 + b',"t":null}', "t", b'{"n":' + b"9" * 5000 + b',"t":"99"}'),
        (b'{"\\u0074":1}', "t", b'{"\\u0074":99}'),
    ],
)
def test_a_value_within_json_is_replaced_and_all_else_stays_as_it_was_written(body, path, expected):
    assert with_value(body, path, "99") == expected


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"t"', b'{"t":', b'{"s":{"t":}}', b'{"s":1}', b"\xff", b"[" * 9000, b'{"s":[{"t":1}]}'],
)
def test_a_body_without_the_place_is_refused(body):
    with pytest.raises(ValueError, match=r"the body has no s\.t"):
        with_value(body, "s.t", "99")
