"""Verification: the vectors of many producers, an independent library as oracle, and input made to break it."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import standardwebhooks
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Rejected, VerifiedWebhook, Webhook
from gateway.verify import PRESETS, NoVerifier, compile_verifier, default_dedupe_key
from gateway.verify.timestamp import with_value
from tests.support.gateway_app import KEY, SECRET, signed

NOW = 1_795_341_600
BODY = b'{"type":"thing.happened","data":{"jobId":"j1"}}'
VECTORS = [
    vector for vector in json.loads(Path("tests/data/signatures.json").read_bytes()) if "config" in vector
]


def named(vector):
    return vector["id"]


def webhook(headers, body=BODY):
    pairs = headers.items() if isinstance(headers, dict) else headers
    return Webhook(
        headers=tuple((name.lower().encode(), value.encode()) for name, value in pairs), query=b"", body=body
    )


def standard(*secrets, **parameters):
    return compile_verifier({"kind": "standard", **parameters}, secrets or (SECRET,))


def sign(verifier, id_header, body, *, now):
    signed = verifier.sign(webhook({id_header: "msg_1"}, body), now=now, url="")
    return {name.decode(): value.decode() for name, value in signed.headers}


def verify(request, *, now=NOW, verifier=None):
    return (verifier or standard()).verify(request, now=now)


def reason(request, **options):
    result = verify(request, **options)
    assert isinstance(result, Rejected)
    return result.reason


def request_of(vector):
    headers = vector.get("headers_list") or vector["headers"].items()
    body = base64.b64decode(vector["body_base64"]) if "body_base64" in vector else vector["body"].encode()
    return Webhook(
        headers=tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers),
        query=vector["url"].partition("?")[2].encode(),
        body=body,
        method=vector["method"],
    )


def judged(vector):
    """A secret that is refused when it is configured lets nothing in either."""
    secrets = vector.get("secrets") or [vector["secret"]]
    try:
        verifier = compile_verifier(vector["config"], secrets, public_url=vector["url"])
    except ValueError as refused:
        return Rejected("bad_signature", str(refused))
    return verifier.verify(request_of(vector), now=vector["timestamp_now"])


@pytest.mark.parametrize("vector", VECTORS, ids=named)
def test_a_vector_is_judged_as_its_source_says(vector):
    result = judged(vector)
    assert isinstance(result, VerifiedWebhook) == (vector["expect"] == "valid"), result


def test_the_vectors_are_as_many_as_they_were():
    assert len(VECTORS) == 123


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


@pytest.mark.parametrize("part", ["id", "timestamp", "body", "signature"])
def test_every_change_of_one_bit_is_refused(part):
    headers = {
        name.removeprefix("webhook-"): value.encode()
        for name, value in signed(BODY, message_id="msg_1", at=NOW).items()
    }
    verifier = standard(tolerance=86_400)
    parts = {**headers, "body": BODY}
    for bit in range(len(parts[part]) * 8):
        changed = bytearray(parts[part])
        changed[bit // 8] ^= 1 << bit % 8
        altered = {**parts, part: bytes(changed)}
        request = Webhook(
            headers=tuple((f"webhook-{name}".encode(), altered[name]) for name in headers),
            query=b"",
            body=altered["body"],
        )
        assert isinstance(verifier.verify(request, now=NOW), Rejected), (part, bit)


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
    public = Ed25519PrivateKey.from_private_bytes(KEY).public_key().public_bytes_raw()
    verifier = standard(SECRET, "whpk_" + base64.b64encode(public).decode())
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
    assert (result.reason, name in result.detail) == ("missing_header", True)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_header_that_stands_twice_is_malformed_even_with_the_same_value(name):
    headers = signed(BODY, at=NOW)
    assert reason(webhook([*headers.items(), (name, headers[name])])) == "malformed"


@pytest.mark.parametrize(
    "timestamp", ["", " ", "1.5", "1_0", "+1", "-1", "0x10", "1e9", "٣", "²", "9" * 13, f" {NOW}", f"{NOW}\n"]
)
def test_a_timestamp_that_is_no_plain_number_is_malformed_though_rightly_signed(timestamp):
    assert reason(webhook(signed(BODY, at=timestamp))) == "malformed"


def test_a_dot_cannot_move_from_the_body_into_the_id():
    """`a` + `1.b` and `a.1` + `b` are the same signed bytes."""
    headers = signed(b"1." + BODY, message_id="a", at=NOW)
    moved = {**headers, "webhook-id": f"a.{NOW}", "webhook-timestamp": "1"}
    assert reason(webhook(moved)) == "malformed"


def test_the_index_of_the_secret_that_matched_is_told():
    old, new = "whsec_" + base64.b64encode(b"old").decode(), SECRET
    result = verify(webhook(signed(BODY, at=NOW)), verifier=standard(old, new))
    assert isinstance(result, VerifiedWebhook)
    assert result.secret == 1


def test_signatures_beyond_the_sixteenth_are_not_looked_at():
    headers = signed(BODY, at=NOW)
    right = headers["webhook-signature"]
    fifteen = {**headers, "webhook-signature": " ".join(["v1,AAAA"] * 15 + [right])}
    sixteen = {**headers, "webhook-signature": " ".join(["v1,AAAA"] * 16 + [right])}
    assert isinstance(verify(webhook(fifteen)), VerifiedWebhook)
    assert reason(webhook(sixteen)) == "bad_signature"


def test_a_public_key_checks_v1a_and_nothing_else_and_cannot_sign():
    private = Ed25519PrivateKey.from_private_bytes(KEY)
    public = private.public_key().public_bytes_raw()
    verifier = standard("whpk_" + base64.b64encode(public).decode())
    content = b".".join((b"m", str(NOW).encode(), BODY))
    headers = {"webhook-id": "m", "webhook-timestamp": str(NOW)}
    v1a = "v1a," + base64.b64encode(private.sign(content)).decode()
    confused = signed(BODY, message_id="m", at=NOW, key=public)
    assert isinstance(
        verify(webhook({**headers, "webhook-signature": v1a}), verifier=verifier), VerifiedWebhook
    )
    assert reason(webhook(confused), verifier=verifier) == "bad_signature"
    with pytest.raises(ValueError, match="cannot sign"):
        sign(verifier, "webhook-id", BODY, now=NOW)


SENSITIVE = "do-not-print-me"


@pytest.mark.parametrize(
    ("secret", "complaint"),
    [
        (f"whsec_{SENSITIVE}!", "not base64"),
        (f"whsec_é{SENSITIVE}", "not base64"),
        (f" {SECRET}", "white space"),
        (f"{SECRET}\n", "white space"),
        (f"whsk_{SENSITIVE}", "private key"),
        (f"whpk_{SENSITIVE}", "not the base64 of 32 bytes"),
        ("whsec_", "empty"),
        ("", "empty"),
        ("v1,whsec_", "empty"),
    ],
)
def test_a_secret_of_the_wrong_form_is_refused_without_being_quoted(secret, complaint):
    with pytest.raises(ValueError, match=complaint) as refused:
        standard(secret)
    assert SENSITIVE not in str(refused.value)


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"prefx": "svix-"}, "no parameter 'prefx'"),
        ({"prefix": "a b"}, "prefix"),
        ({"prefix": 3}, "prefix"),
        ({"secret_encoding": "hex"}, "secret_encoding 'hex' is none of base64, utf8"),
        ({"tolerance": 0}, "tolerance"),
        ({"tolerance": 86_401}, "tolerance"),
        ({"tolerance": True}, "tolerance"),
        ({"tolerance": "300"}, "tolerance"),
    ],
)
def test_a_parameter_of_the_wrong_form_is_refused(parameters, complaint):
    with pytest.raises(ValueError, match=complaint):
        standard(SECRET, **parameters)


def test_no_secret_at_all_is_refused():
    with pytest.raises(ValueError, match="at least one secret"):
        compile_verifier({"kind": "standard"}, [])


def test_a_secret_can_be_used_as_text():
    verifier = standard("plain text", secret_encoding="utf8")
    request = webhook(signed(BODY, at=NOW, key=b"plain text"))
    assert isinstance(verify(request, verifier=verifier), VerifiedWebhook)


def test_a_verifier_does_not_show_its_keys():
    assert KEY.decode() not in repr(standard())


def test_nothing_is_asked_where_the_source_is_open_and_a_secret_there_is_a_mistake():
    verifier = compile_verifier({"kind": "none"}, [])
    assert isinstance(verifier, NoVerifier)
    assert verifier.verify(webhook({}), now=NOW).secret == -1
    with pytest.raises(ValueError, match="uses no secret"):
        compile_verifier({"kind": "none"}, [SECRET])
    with pytest.raises(ValueError, match="no further parameter"):
        compile_verifier({"kind": "none", "prefix": "x"}, [])


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"kind": "standard"}, "header:webhook-id"),
        ({"kind": "standard", "prefix": "svix-"}, "header:svix-id"),
        ({"kind": "none"}, "body"),
    ],
)
def test_a_scheme_that_is_no_preset_is_told_apart_by_its_signed_id_else_by_the_body(parameters, expected):
    assert default_dedupe_key(parameters) == expected


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
