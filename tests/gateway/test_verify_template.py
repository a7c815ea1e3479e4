"""Kinds hmac and asymmetric: each parameter used, each broken, and what is signed broken in one part."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding

from gateway.verify import compile_verifier
from tests.support.verifying import (
    BODY,
    NOW,
    SENSITIVE,
    accepted,
    ed25519,
    in_base64,
    in_base64url,
    mac,
    p256,
    private_pem,
    public_der,
    public_pem,
    refused,
    rsa_key,
    sha256,
    webhook,
)

URL = "https://gateway.example/webhooks/partner"
HEADER = {"kind": "hmac", "algorithm": "sha256", "header": "X-Signature"}
TIMED = {"template": "{timestamp}.{body}", "timestamp": {"from": "header:x-time"}}


def partner(secret="shared", *, public_url="", **parameters):
    """An hmac verifier; a parameter that is None is left out."""
    return compile_verifier({**HEADER, **parameters}, [secret], public_url=public_url)


def fault(secret="shared", *, public_url="", **parameters):
    with pytest.raises(ValueError, match=r".") as raised:
        partner(secret, public_url=public_url, **parameters)
    return str(raised.value)


def asymmetric(secret, **parameters):
    return compile_verifier({"kind": "asymmetric", "header": "x-signature", **parameters}, [secret])


def verify(verifier, headers, body=BODY, *, now=NOW, **request):
    return verifier.verify(webhook(headers, body, **request), now=now)


def reason(verifier, headers, body=BODY, **options):
    return refused(verify(verifier, headers, body, **options)).reason


def detail(verifier, headers, body=BODY, **options):
    return refused(verify(verifier, headers, body, **options)).detail


# The algorithm and the secret.


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
def test_a_mac_of_the_configured_algorithm_is_verified_and_of_no_other(algorithm):
    verifier = partner(algorithm=algorithm)
    accepted(verify(verifier, {"x-signature": mac(BODY, algorithm=algorithm).hex()}))
    for other in {"sha1", "sha256", "sha512"} - {algorithm}:
        assert reason(verifier, {"x-signature": mac(BODY, algorithm=other).hex()}) == "bad_signature"


def test_a_plain_hash_is_of_the_secret_then_the_message():
    verifier = partner(algorithm="plain-sha256")
    accepted(verify(verifier, {"x-signature": sha256(b"shared" + BODY)}))
    assert reason(verifier, {"x-signature": sha256(BODY + b"shared")}) == "bad_signature"
    assert reason(verifier, {"x-signature": mac(BODY).hex()}) == "bad_signature"


@pytest.mark.parametrize(
    ("encoding", "secret"),
    [
        ("utf8", "s\N{EURO SIGN}"),
        ("hex", "73e282ac"),
        ("hex", "73E282AC"),
        ("base64", "c+KCrA=="),
        ("base64", "c+KCrA"),
    ],
)
def test_a_secret_is_decoded_as_configured(encoding, secret):
    verifier = partner(secret, secret_encoding=encoding)
    accepted(verify(verifier, {"x-signature": mac(BODY, key=b"s\xe2\x82\xac").hex()}))


def test_a_prefix_of_the_secret_that_is_no_part_of_the_key_is_left_out():
    verifier = partner("key_shared", secret_strip="key_")
    accepted(verify(verifier, {"x-signature": mac(BODY).hex()}))
    accepted(verify(partner("shared", secret_strip="key_"), {"x-signature": mac(BODY).hex()}))


@pytest.mark.parametrize(
    ("secret", "parameters", "sentence"),
    [
        ("", {}, "a secret is empty: anybody could sign with it"),
        (f" {SENSITIVE}", {}, "a secret has white space around it: it was probably pasted with a line end"),
        (f"{SENSITIVE}\n", {}, "a secret has white space around it: it was probably pasted with a line end"),
        (
            SENSITIVE,
            {"secret_encoding": "hex"},
            "a secret is not hex; if the producer uses it as text, leave secret_encoding out",
        ),
        (
            SENSITIVE,
            {"secret_encoding": "base64"},
            "a secret is not base64; if the producer uses it as text, leave secret_encoding out",
        ),
        ("key_", {"secret_strip": "key_"}, "a secret is empty: anybody could sign with it"),
        (
            "key_",
            {"secret_strip": "key_", "secret_encoding": "hex"},
            "a secret is empty: anybody could sign with it",
        ),
    ],
)
def test_a_secret_of_the_wrong_form_is_a_fault_that_does_not_quote_it(secret, parameters, sentence):
    assert fault(secret, **parameters) == sentence


# Asymmetric.


def signature_of(algorithm, message):
    match algorithm:
        case "ed25519":
            return ed25519().sign(message)
        case "ecdsa-p256-sha256":
            return p256().sign(message, ec.ECDSA(hashes.SHA256()))
        case _:
            return rsa_key().sign(message, padding.PKCS1v15(), hashes.SHA256())


PRIVATE = {"ed25519": ed25519, "ecdsa-p256-sha256": p256, "rsa-sha256": rsa_key}


@pytest.mark.parametrize("algorithm", PRIVATE)
@pytest.mark.parametrize("encoding", ["pem", "spki-b64"])
def test_a_signature_is_verified_by_the_public_key_and_refused_with_another_body(algorithm, encoding):
    private = PRIVATE[algorithm]()
    key = public_pem(private) if encoding == "pem" else in_base64(public_der(private))
    verifier = asymmetric(key, algorithm=algorithm, key_encoding=encoding)
    signature = signature_of(algorithm, BODY)
    result = accepted(verify(verifier, {"x-signature": signature.hex()}))
    assert (result.signature, result.body_authenticated) == (
        BODY,
        True,
    )  # a curve's key makes several of one message
    assert reason(verifier, {"x-signature": signature.hex()}, BODY + b" ") == "bad_signature"
    for broken in (signature[:-1], signature + b"\0", b"\0", bytes(len(signature))):
        assert reason(verifier, {"x-signature": broken.hex()}) == "bad_signature"


def test_a_raw_key_is_that_of_ed25519_in_hex_or_base64():
    raw = ed25519().public_key().public_bytes_raw()
    for key, encoding in ((raw.hex(), "raw-hex"), (in_base64(raw), "raw-b64")):
        verifier = asymmetric(key, algorithm="ed25519", key_encoding=encoding)
        accepted(verify(verifier, {"x-signature": ed25519().sign(BODY).hex()}))


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_a_public_key_cannot_sign(algorithm):
    verifier = asymmetric(public_pem(PRIVATE[algorithm]()), algorithm=algorithm)
    sentence = "the gateway has only this producer's public key, which cannot sign"
    assert verifier.unsignable == sentence
    with pytest.raises(ValueError, match=sentence):
        verifier.sign(webhook({}), now=NOW, url="")


def unknown_curve():
    """A well-formed key on a curve that no library knows."""
    return public_der(p256()).replace(bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d030155"))


def in_pem(der):
    return f"-----BEGIN PUBLIC KEY-----\n{in_base64(der)}\n-----END PUBLIC KEY-----\n"


NOT_A_KEY = {
    "ed25519": "a secret is a public key, but ed25519 needs an Ed25519 key",
    "ecdsa-p256-sha256": "a secret is a public key, but ecdsa-p256-sha256 needs an elliptic curve key on P-256",
    "rsa-sha256": "a secret is a public key, but rsa-sha256 needs an RSA key of 2048 bits or more",
}


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_a_key_of_another_algorithm_is_a_fault(algorithm):
    others = [make() for name, make in PRIVATE.items() if name != algorithm]
    for private in (*others, ec.generate_private_key(ec.SECP384R1()), rsa_key(1024)):
        with pytest.raises(ValueError, match=r".") as raised:
            asymmetric(public_pem(private), algorithm=algorithm)
        assert str(raised.value) == NOT_A_KEY[algorithm]


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_a_private_key_is_a_fault(algorithm):
    with pytest.raises(ValueError, match=r".") as raised:
        asymmetric(private_pem(PRIVATE[algorithm]()), algorithm=algorithm)
    assert str(raised.value) == (
        "a secret is a private key: only the producer may have it, here belongs the public one"
    )


@pytest.mark.parametrize(
    ("algorithm", "encoding", "secret"),
    [
        ("ed25519", "pem", SENSITIVE),
        ("ed25519", "raw-hex", SENSITIVE),
        ("ed25519", "raw-b64", SENSITIVE),
        ("ed25519", "spki-b64", SENSITIVE),
        ("ed25519", "raw-hex", "00" * 31),
        ("ed25519", "raw-b64", "AAAA"),
        ("ed25519", "spki-b64", "AAAA"),
        ("rsa-sha256", "raw-hex", "00" * 32),
        ("ecdsa-p256-sha256", "raw-b64", in_base64(bytes(32))),
        ("ecdsa-p256-sha256", "pem", in_pem(unknown_curve())),
        ("ecdsa-p256-sha256", "spki-b64", in_base64(unknown_curve())),
    ],
)
def test_what_is_no_key_is_a_fault_that_does_not_quote_it(algorithm, encoding, secret):
    with pytest.raises(ValueError, match=r".") as raised:
        asymmetric(secret, algorithm=algorithm, key_encoding=encoding)
    assert str(raised.value) == f"a secret is not a public key in the form {encoding}"


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({}, "kind asymmetric: algorithm is missing"),
        (
            {"algorithm": "rsa"},
            "kind asymmetric: algorithm 'rsa' is none of ed25519, ecdsa-p256-sha256, rsa-sha256",
        ),
        (
            {"algorithm": "ed25519", "key_encoding": "der"},
            "kind asymmetric: key_encoding 'der' is none of pem, raw-hex, raw-b64, spki-b64",
        ),
        (
            {"algorithm": "ed25519", "key_encodng": "pem"},
            "kind asymmetric has no parameter 'key_encodng'; did you mean 'key_encoding'?",
        ),
    ],
)
def test_a_parameter_of_asymmetric_that_does_not_fit_is_a_fault(parameters, sentence):
    with pytest.raises(ValueError, match=r".") as raised:
        asymmetric("x", **parameters)
    assert str(raised.value) == sentence


# Where signatures stand, and how they are written.


def test_hexadecimal_digits_are_the_same_in_either_case_and_nothing_else_is():
    signature = mac(BODY).hex()
    results = [accepted(verify(partner(), {"x-signature": text})) for text in (signature, signature.upper())]
    assert results[0].signature == results[1].signature == mac(BODY)
    for text in (signature + "\n", " " + signature, signature[:-1], signature[:-2], signature + "00", ""):
        assert reason(partner(), {"x-signature": text}) == "bad_signature"
    for text in ("0x" + signature, signature[:2] + " " + signature[2:], in_base64(mac(BODY))):
        assert detail(partner(), {"x-signature": text}) == (
            "there is no signature in x-signature that can be read: hex"
        )


def test_base64_is_read_in_its_one_form_alone():
    verifier = partner(encoding="base64")
    signature = in_base64(mac(BODY))
    accepted(verify(verifier, {"x-signature": signature}))
    wrong = [signature.rstrip("="), signature + "=", signature + "\n", f"!{signature}", mac(BODY).hex()]
    wrong.append(signature[:-2] + chr(ord(signature[-2]) + 1) + "=")  # bits that are no part of it
    for text in wrong:
        assert reason(verifier, {"x-signature": text}) == "bad_signature"


def message_whose_mac_has(characters):
    """A body of which the base64 of the signature has these characters."""
    bodies = (b"%d" % number for number in range(10_000))
    return next(body for body in bodies if set(characters) <= set(in_base64(mac(body))))


def test_base64url_is_read_with_and_without_padding_and_not_as_base64():
    verifier = partner(encoding="base64url")
    body = message_whose_mac_has("+/")
    signature = in_base64url(mac(body))
    accepted(verify(verifier, {"x-signature": signature}, body))
    accepted(verify(verifier, {"x-signature": signature + "="}, body))
    for text in (in_base64(mac(body)), in_base64(mac(body)).rstrip("="), signature + "=="):
        assert reason(verifier, {"x-signature": text}, body) == "bad_signature"
    half = in_base64(mac(body)).translate(str.maketrans("+", "-"))
    assert reason(verifier, {"x-signature": half}, body) == "bad_signature"


def test_a_signature_after_a_prefix_is_verified_and_without_it_refused():
    verifier = partner(parse="prefix", prefix="sha256=")
    signature = mac(BODY).hex()
    accepted(verify(verifier, {"x-signature": f"sha256={signature}"}))
    for text in (signature, f"sha1={signature}", f"SHA256={signature}", f" sha256={signature}", "sha256="):
        assert detail(verifier, {"x-signature": text}) == (
            "there is no signature in x-signature that can be read: 'sha256=' and hex"
        )


def test_one_signature_of_a_list_is_enough_up_to_the_sixteenth():
    verifier = partner(parse="list", prefix="v1=")
    right = f"v1={mac(BODY).hex()}"
    for text in (right, f"v0=00,{right}", f"v1=00, {right} ,v1=11", ",".join(["v1=00"] * 15 + [right])):
        accepted(verify(verifier, {"x-signature": text}))
    for text in (",".join(["v1=00"] * 16 + [right]), right.replace(",", ";") + ";", right[3:]):
        assert reason(verifier, {"x-signature": text}) == "bad_signature"


def test_a_list_is_separated_as_configured():
    verifier = partner(parse="list", item_sep="; ")
    accepted(verify(verifier, {"x-signature": f"00; {mac(BODY).hex()}"}))
    assert reason(verifier, {"x-signature": f"00,{mac(BODY).hex()}"}) == "bad_signature"


def fields(*, at=NOW, signature=None):
    return f"t={at},v1={signature or mac(b'%d.' % at + BODY).hex()}"


STRIPE = {"parse": "kv", "field": "v1", "template": "{timestamp}.{body}", "timestamp": {"from": "field:t"}}


def test_a_signature_and_a_time_among_fields_are_verified_in_any_order():
    verifier = partner(**STRIPE)
    time, signature = fields().split(",")
    others = (
        f"{signature},{time}",
        f"v0=x,{time},{signature}",
        f"{time}, {signature}",
        f"{time},v1=00,{signature}",
    )
    for text in (fields(), *others):
        accepted(verify(verifier, {"x-signature": text}))


def test_of_fields_the_sixteenth_signature_is_the_last_that_is_looked_at():
    time, signature = fields().split(",")
    accepted(verify(partner(**STRIPE), {"x-signature": ",".join([time, *["v1=00"] * 15, signature])}))
    text = ",".join([time, *["v1=00"] * 16, signature])
    assert reason(partner(**STRIPE), {"x-signature": text}) == "bad_signature"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the x-signature header is not v1= and hex, between ','"),
        ("nonsense", "the x-signature header is not v1= and hex, between ','"),
        (f"{fields()},", "the x-signature header is not v1= and hex, between ','"),
        (f"{fields()},t={NOW}", "a field of the x-signature header stands more than once"),
        (f"{fields()},x=1,x=2", "a field of the x-signature header stands more than once"),
        (fields().partition(",")[2], "there is no time in field:t, or more than one"),
        (fields().replace("t=", "T="), "there is no time in field:t, or more than one"),
        (f"t=,{fields()[13:]}", "the time in field:t is not a whole number of 10 digits (seconds)"),
    ],
)
def test_fields_that_are_none_are_malformed(text, expected):
    result = refused(verify(partner(**STRIPE), {"x-signature": text}))
    assert (result.reason, result.detail) == ("malformed", expected)


def test_fields_without_a_signature_say_so():
    result = refused(verify(partner(**STRIPE), {"x-signature": f"t={NOW},v0=00"}))
    assert (result.reason, result.detail) == (
        "bad_signature",
        "there is no signature in x-signature that can be read: v1= and hex, between ','",
    )


def test_a_missing_header_is_named_and_one_that_stands_twice_is_malformed():
    signature = mac(BODY).hex()
    result = refused(verify(partner(), {}))
    assert (result.reason, result.detail) == ("missing_header", "there is no x-signature header")
    result = refused(verify(partner(), [("x-signature", signature), ("X-Signature", signature)]))
    assert (result.reason, result.detail) == (
        "malformed",
        "the x-signature header stands more than once",
    )
    assert partner().required_headers == (b"x-signature",)


def test_a_signature_is_found_in_a_body_a_query_or_a_form():
    def signed(place, **parts):
        verifier = partner(header=None, signature_from=place, template="{id}", vars={"id": "header:id"})
        assert verifier.required_headers == ()
        result = accepted(verify(verifier, {"id": "7"}, **parts))
        assert not result.body_authenticated
        return verifier

    signature = mac(b"7").hex()
    in_body = json.dumps({"security": {"signature": signature}}).encode()
    signed("json:security.signature", body=in_body)
    signed("query:s", query=f"s={signature}".encode())
    verifier = signed("form:s", body=f"s={signature}".encode())
    for body in (b"", b"s=", f"s={signature}&s={signature}".encode(), b"s=\xff", b"\xff"):
        assert reason(verifier, {"id": "7"}, body) in {"malformed", "bad_signature"}
    assert detail(verifier, {"id": "7"}, b"") == "there is no signature in form:s, or more than one"


@pytest.mark.parametrize("found", ["1", "null", "true", "[]", "{}", '["{}"]'])
def test_a_signature_that_is_no_text_is_malformed(found):
    verifier = partner(header=None, signature_from="json:s", template="{id}", vars={"id": "header:id"})
    assert reason(verifier, {"id": "7"}, b'{"s":%s}' % found.encode()) == "malformed"


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"header": None}, "either header or signature_from must say where the signature is"),
        ({"signature_from": "json:s"}, "either header or signature_from must say where the signature is"),
        ({"header": ""}, "kind hmac: header must be a text"),
        ({"header": 7}, "kind hmac: header must be a text"),
        ({"header": "a b"}, "kind hmac: header 'a b' is not a header's name"),
        ({"header": "a:"}, "kind hmac: header 'a:' is not a header's name"),
        ({"header": "\N{LATIN SMALL LETTER E WITH ACUTE}"}, "kind hmac: header 'é' is not a header's name"),
        (
            {"header": None, "signature_from": "s"},
            "kind hmac: signature_from: 's' is not json:PATH, header:NAME, query:NAME, form:NAME or claim:NAME",
        ),
        ({"header": None, "signature_from": 7}, "kind hmac: signature_from must be a text"),
        ({"parse": "regex"}, "kind hmac: parse 'regex' is none of bare, prefix, kv, list"),
        ({"parse": "prefix"}, 'parse = "prefix" needs prefix'),
        ({"parse": "prefix", "prefix": ""}, "kind hmac: prefix must be a text"),
        ({"parse": "kv"}, 'parse = "kv" needs field: the name of the signature'),
        ({"parse": "kv", "field": ""}, "kind hmac: field must be a text"),
        ({"prefix": "x"}, 'prefix has no meaning with parse = "bare"'),
        ({"parse": "kv", "field": "v1", "prefix": "x"}, 'prefix has no meaning with parse = "kv"'),
        ({"field": "v1"}, 'field has no meaning with parse = "bare"'),
        ({"parse": "list", "field": "v1"}, 'field has no meaning with parse = "list"'),
        ({"item_sep": ";"}, 'item_sep has no meaning with parse = "bare"'),
        (
            {"parse": "prefix", "prefix": "x", "item_sep": ";"},
            'item_sep has no meaning with parse = "prefix"',
        ),
        ({"parse": "list", "item_sep": ""}, "kind hmac: item_sep must be a text"),
        ({"encoding": "base32"}, "kind hmac: encoding 'base32' is none of hex, base64, base64url"),
        ({"algorithm": None}, "kind hmac: algorithm is missing"),
        (
            {"algorithm": "md5"},
            "kind hmac: algorithm 'md5' is none of sha1, sha256, sha512, plain-sha256",
        ),
        ({"secret_encoding": "b64"}, "kind hmac: secret_encoding 'b64' is none of utf8, base64, hex"),
        ({"secret_strip": 7}, "kind hmac: secret_strip must be a text"),
        ({"tolerance": 300}, "kind hmac has no parameter 'tolerance'"),
        ({"algoritm": "sha1"}, "kind hmac has no parameter 'algoritm'; did you mean 'algorithm'?"),
    ],
)
def test_a_parameter_that_does_not_fit_is_a_fault(parameters, sentence):
    found = fault(**parameters)
    assert found == sentence or (found.startswith(sentence) and "tolerance" in parameters)


# What is signed.


def test_each_placeholder_stands_for_its_part_of_the_request():
    template = "{method} {url} {body} {body_sha256} {timestamp} {id} {n}"
    verifier = partner(
        template=template,
        timestamp={"from": "header:x-time"},
        vars={"id": "header:event-id", "n": "json:n"},
        public_url=URL,
    )
    body = b'{"n":7}'
    message = f"PUT {URL}?q=1 {body.decode()} {sha256(body)} {NOW} a\xe9 7".encode("latin-1")
    headers = (
        (b"x-signature", mac(message).hex().encode()),
        (b"x-time", b"%d" % NOW),
        (b"event-id", "a\xe9".encode("latin-1")),
    )
    request = replace(webhook({}, body, query=b"q=1", method="PUT"), headers=headers)
    assert accepted(verifier.verify(request, now=NOW)).body_authenticated
    assert verifier.signs_method
    for changed in (
        replace(request, method="POST"),
        replace(request, query=b"q=2"),
        replace(request, query=b""),
        replace(request, body=b'{"n": 7}'),
        replace(request, headers=(*headers[:1], (b"x-time", b"%d" % (NOW + 1)), *headers[2:])),
        replace(request, headers=(*headers[:2], (b"event-id", b"b"))),
    ):
        assert refused(verifier.verify(changed, now=NOW)).reason == "bad_signature"


def test_a_digest_of_the_body_in_what_is_signed_makes_the_body_authentic():
    verifier = partner(template="{body_sha256}")
    headers = {"x-signature": mac(sha256(BODY).encode()).hex()}
    result = accepted(verify(verifier, headers))
    assert (result.body_authenticated, verifier.signs_method) == (True, False)
    assert reason(verifier, headers, b"{}") == "bad_signature"


@pytest.mark.parametrize(
    ("value", "signed"),
    [("7", b"7"), ("-1", b"-1"), ('"x"', b"x"), ('"\\u20ac"', "\N{EURO SIGN}".encode()), ('"\\ud800"', b"?")],
)
def test_a_variable_is_a_text_or_a_whole_number(value, signed):
    verifier = partner(template="{v}", vars={"v": "json:v"})
    body = b'{"v":%s}' % value.encode()
    result = accepted(verify(verifier, {"x-signature": mac(signed).hex()}, body))
    assert not result.body_authenticated


@pytest.mark.parametrize("value", ["true", "null", "1.0", "[]", "{}"])
def test_a_variable_that_is_anything_else_is_malformed(value):
    verifier = partner(template="{v}", vars={"v": "json:v"})
    result = refused(verify(verifier, {"x-signature": "00"}, b'{"v":%s}' % value.encode()))
    assert (result.reason, result.detail) == ("malformed", "there is no json:v, or more than one")


def test_a_variable_of_a_header_that_stands_twice_is_malformed():
    verifier = partner(template="{v}{body}", vars={"v": "header:event-id"})
    headers = [("x-signature", mac(b"1" + BODY).hex()), ("event-id", "1"), ("event-id", "1")]
    assert detail(verifier, headers) == "there is no header:event-id, or more than one"


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"template": ""}, "kind hmac: template must be a text"),
        ({"template": "text"}, "template 'text' has no placeholder, or a brace that begins none"),
        ({"template": "{body}{"}, "template '{body}{' has no placeholder, or a brace that begins none"),
        ({"template": "{Body}"}, "template '{Body}' has no placeholder, or a brace that begins none"),
        (
            {"template": "{id}.{body}"},
            "template has {id}, which is none of body, body_sha256, form_sorted, method, url",
        ),
        (
            {"template": "{timestamp}.{body}"},
            "template has {timestamp}, which is none of body, body_sha256, form_sorted, method, url",
        ),
        ({"vars": {"id": "header:event-id"}}, "vars has 'id', which does not stand in template"),
        ({"vars": "id"}, "kind hmac: vars must be a table of texts"),
        ({"vars": {"id": 7}, "template": "{id}"}, "kind hmac: vars must be a table of texts"),
        (
            {"vars": {"id": "x-id"}, "template": "{id}"},
            "kind hmac: vars: 'x-id' is not json:PATH, header:NAME, query:NAME, form:NAME or claim:NAME",
        ),
        (
            {"vars": {"body": "header:x-body"}},
            "vars has 'body', which {body} stands for already: choose another name",
        ),
        (
            {"vars": {"timestamp": "header:a"}, **TIMED},
            "vars has 'timestamp', which {timestamp} stands for already: choose another name",
        ),
        (
            {"template": "{url}"},
            "this producer signs the URL: set public_url to the one that it calls",
        ),
        ({"url_decode": "all"}, "url_decode 'all' is not known; hubspot is"),
        ({"max_url_variants": 0}, "kind hmac: max_url_variants must be a whole number from 1 to 2"),
        ({"max_url_variants": 3}, "kind hmac: max_url_variants must be a whole number from 1 to 2"),
        ({"max_url_variants": True}, "kind hmac: max_url_variants must be a whole number from 1 to 2"),
        (
            {"body_sha256_query": "d", "template": "{method}"},
            "body_sha256_query is not signed: anybody could change it. template must have {url}",
        ),
    ],
)
def test_a_template_that_cannot_be_put_together_is_a_fault(parameters, sentence):
    assert fault(**parameters) == sentence


# The time.


def at(seconds, unit):
    if unit == "rfc3339":
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(seconds * 1000 if unit == "ms" else seconds)


@pytest.mark.parametrize("unit", ["s", "ms", "rfc3339"])
@pytest.mark.parametrize(
    ("offset", "expected"),
    [(0, None), (60, None), (-60, None), (61, "too_old"), (-61, "too_new"), (10**9, "too_old")],
)
def test_a_signed_time_may_be_off_by_the_tolerance_and_no_more(unit, offset, expected):
    timestamp = {"from": "header:x-time", "unit": unit, "tolerance": 60}
    verifier = partner(template="{timestamp}{body}", timestamp=timestamp)
    written = at(NOW, unit)
    headers = {"x-signature": mac(written.encode() + BODY).hex(), "x-time": written}
    result = verify(verifier, headers, now=NOW + offset)
    assert getattr(result, "reason", None) == expected
    assert verifier.tolerance_seconds == 60


def test_a_time_counts_for_five_minutes_where_nothing_else_is_said():
    assert (partner(**TIMED).tolerance_seconds, partner().tolerance_seconds) == (300, 0)
    assert partner(**TIMED).required_headers == (b"x-signature", b"x-time")


def test_a_time_that_is_not_signed_by_any_secret_is_not_judged():
    headers = {"x-signature": mac(b"other").hex(), "x-time": str(NOW - 10_000)}
    assert reason(partner(**TIMED), headers) == "bad_signature"


@pytest.mark.parametrize(
    ("unit", "written"),
    [
        *(("s", text) for text in ("", "179534160", "17953416000", "1_79534160", "+179534160", " 179534160")),
        *(
            ("s", text)
            for text in ("1795341600\n", "1795341600.0", "1e9", "\N{ARABIC-INDIC DIGIT THREE}" * 5)
        ),
        *(("ms", text) for text in ("1795341600", "179534160000", "17953416000000", "179534160000\n")),
        *(("rfc3339", text) for text in ("1795341600", "2026-11-22", "2026-11-22T10:00:00")),
        *(
            ("rfc3339", text)
            for text in ("2026-11-22 10:00:00Z", "2026-11-22t10:00:00z", "2026-13-22T10:00:00Z")
        ),
        *(
            ("rfc3339", text)
            for text in (
                "2026-02-30T10:00:00Z",
                "2026-11-22T25:00:00Z",
                "2026-11-22T10:00:00+99:99",
                "2026-11-22T10:00:00+02:30:15",
            )
        ),
        *(
            ("rfc3339", text)
            for text in ("2026-11-22T10:00:00.Z", "2026-11-22T10:00:00.1234567890Z", "2026-11-22T10:00:00Z\n")
        ),
    ],
)
def test_a_time_that_is_not_written_as_configured_is_malformed_though_rightly_signed(unit, written):
    timestamp = {"from": "header:x-time", "unit": unit, "tolerance": 86_400}
    verifier = partner(template="{timestamp}{body}", timestamp=timestamp)
    headers = {"x-signature": mac(written.encode() + BODY).hex(), "x-time": written}
    form = {
        "s": "a whole number of 10 digits (seconds)",
        "ms": "a whole number of 13 digits (milliseconds)",
        "rfc3339": "of the form 2026-01-31T12:00:00Z",
    }
    result = refused(verify(verifier, headers))
    assert (result.reason, result.detail) == ("malformed", f"the time in header:x-time is not {form[unit]}")


@pytest.mark.parametrize(
    "written",
    [
        "2026-11-22T10:00:00Z",
        "2026-11-22T10:00:00.999999999Z",
        "2026-11-22T12:30:00+02:30",
        "2026-11-22T09:00:00.1-01:00",
    ],
)
def test_a_written_time_is_read_to_the_second_in_its_own_zone(written):
    timestamp = {"from": "header:x-time", "unit": "rfc3339", "tolerance": 1}
    verifier = partner(template="{timestamp}{body}", timestamp=timestamp)
    headers = {"x-signature": mac(written.encode() + BODY).hex(), "x-time": written}
    now = int(datetime(2026, 11, 22, 10, tzinfo=UTC).timestamp())
    for offset in (-1, 0, 1):
        accepted(verify(verifier, headers, now=now + offset))
    assert reason(verifier, headers, now=now + 2) == "too_old"
    assert reason(verifier, headers, now=now - 2) == "too_new"


def test_a_digit_cannot_move_between_the_time_and_a_body_beside_it():
    """`1795341600` + `1{}` and `17953416001` + `{}` are the same signed bytes."""
    verifier = partner(template="{timestamp}{body}", timestamp={"from": "header:x-time"})
    headers = {"x-signature": mac(b"%d1{}" % NOW).hex(), "x-time": str(NOW)}
    accepted(verify(verifier, headers, b"1{}"))
    assert reason(verifier, {**headers, "x-time": f"{NOW}1"}, b"{}") == "malformed"
    assert reason(verifier, {**headers, "x-time": str(NOW)[:-1]}, b"01{}") == "malformed"


@pytest.mark.parametrize("times", [[], ["x"], [str(NOW)] * 2])
def test_a_time_that_is_missing_or_stands_twice_is_malformed(times):
    headers = [("x-signature", mac(f"{NOW}.".encode() + BODY).hex()), *(("x-time", time) for time in times)]
    assert reason(partner(**TIMED), headers) == "malformed"


@pytest.mark.parametrize("written", ["1795341600", '"1795341600"'])
def test_a_time_in_the_body_is_read_from_a_body_that_is_signed(written):
    verifier = partner(timestamp={"from": "json:sent.at", "tolerance": 60})
    body = b'{"sent":{"at":%s}}' % written.encode()
    headers = {"x-signature": mac(body).hex()}
    accepted(verify(verifier, headers, body, now=NOW + 60))
    assert reason(verifier, headers, body, now=NOW + 61) == "too_old"
    assert reason(verifier, headers, body.replace(b"6", b"7"), now=NOW) == "bad_signature"


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"text", b'{"at":true}', b'{"at":1.0}', b'{"at":"1"}', b'{"at":[1]}']
)
def test_a_signed_body_without_its_time_is_malformed(body):
    verifier = partner(timestamp={"from": "json:at"})
    assert reason(verifier, {"x-signature": mac(body).hex()}, body) == "malformed"
    assert reason(verifier, {"x-signature": mac(b"other").hex()}, body) == "bad_signature"


def test_a_time_in_a_form_or_a_query_is_read_where_it_is_signed():
    body = b"at=%d&x=1" % NOW
    in_form = partner(timestamp={"from": "form:at"})
    accepted(verify(in_form, {"x-signature": mac(body).hex()}, body))
    assert reason(in_form, {"x-signature": mac(body).hex()}, body, now=NOW + 301) == "too_old"
    in_query = partner(template="{timestamp}.{body}", timestamp={"from": "query:at"})
    headers = {"x-signature": mac(b"%d." % NOW + BODY).hex()}
    accepted(verify(in_query, headers, query=b"at=%d" % NOW))
    assert reason(in_query, headers, query=b"at=%d" % (NOW + 1)) == "bad_signature"
    assert reason(in_query, headers, query=b"at=%d&at=%d" % (NOW, NOW)) == "malformed"
    assert reason(in_query, headers) == "malformed"


@pytest.mark.parametrize(
    ("timestamp", "sentence"),
    [
        ("header:x", "kind hmac: timestamp must be a table"),
        ({}, "kind hmac, timestamp: from is missing"),
        (
            {"from": "x-time"},
            "timestamp.from 'x-time' is none of header:NAME, field:NAME, json:NAME, query:NAME, form:NAME",
        ),
        (
            {"from": "claim:iat"},
            "timestamp.from 'claim:iat' is none of header:NAME, field:NAME, json:NAME, query:NAME, form:NAME",
        ),
        (
            {"from": "header:"},
            "timestamp.from 'header:' is none of header:NAME, field:NAME, json:NAME, query:NAME, form:NAME",
        ),
        ({"from": "header:x", "unit": "us"}, "kind hmac, timestamp: unit 'us' is none of s, ms, rfc3339"),
        (
            {"from": "header:x", "tolerance": 0},
            "kind hmac, timestamp: tolerance must be a whole number of seconds from 1 to 86400",
        ),
        (
            {"from": "header:x", "tolerance": 86_401},
            "kind hmac, timestamp: tolerance must be a whole number of seconds from 1 to 86400",
        ),
        (
            {"from": "header:x", "unt": "s"},
            "kind hmac, timestamp has no parameter 'unt'; did you mean 'unit'?",
        ),
        (
            {"from": "field:t"},
            "timestamp.from 'field:t' needs parse = \"kv\", and another field than the signature's",
        ),
    ],
)
def test_a_time_that_cannot_be_read_is_a_fault(timestamp, sentence):
    assert fault(template="{timestamp}.{body}", timestamp=timestamp) == sentence


def test_the_field_of_the_time_is_not_that_of_the_signature():
    assert "another field than the signature's" in fault(**{**STRIPE, "timestamp": {"from": "field:v1"}})


@pytest.mark.parametrize(
    ("template", "place"),
    [("{body}", "header:x-time"), ("{body}", "query:t"), ("{method}", "json:t"), ("{form_sorted}", "form:t")],
)
def test_a_time_that_is_not_signed_is_a_fault(template, place):
    assert fault(template=template, timestamp={"from": place}) == (
        "timestamp is not signed: anybody could change it. It must stand in template as {timestamp}, "
        "or in a body that is signed"
    )


# URLs and forms.


def url_signature(url):
    return {"x-signature": mac(url.encode() + BODY).hex()}


def test_the_configured_url_counts_with_the_query_that_came():
    verifier = partner(template="{url}{body}", public_url=URL)
    accepted(verify(verifier, url_signature(URL)))
    accepted(verify(verifier, url_signature(f"{URL}?a=%20"), query=b"a=%20"))
    assert detail(verifier, {**url_signature(URL), "host": "other"}, query=b"a=1") == (
        "no secret of this source made a signature of this request: another secret, or a changed body, "
        "or the URL that the producer calls is not public_url"
    )
    with_query = partner(template="{url}{body}", public_url=f"{URL}?configured=1")
    accepted(verify(with_query, url_signature(f"{URL}?came=1"), query=b"came=1"))


@pytest.mark.parametrize(
    ("public_url", "signed"),
    [
        ("https://p/x", "https://p:443/x"),
        ("https://p:443/x", "https://p/x"),
        ("http://p/x", "http://p:80/x"),
        ("https://p:8443/x", "https://p/x"),
        ("https://[::1]/x", "https://[::1]:443/x"),
        ("https://[::1]:443/x", "https://[::1]/x"),
    ],
)
def test_a_url_may_be_signed_with_or_without_its_port_where_two_variants_are_allowed(public_url, signed):
    two = partner(template="{url}{body}", public_url=public_url, max_url_variants=2)
    for url in (public_url, signed):
        accepted(verify(two, url_signature(url)))
    one = partner(template="{url}{body}", public_url=public_url)
    accepted(verify(one, url_signature(public_url)))
    assert reason(one, url_signature(signed)) == "bad_signature"


def test_hubspots_escapes_are_undone_in_the_url_alone_and_only_its_own():
    verifier = partner(template="{url}{body}", public_url=URL, url_decode="hubspot")
    query = b"a=%3A%2f%3F%40%21%24%27%28%29%2A%2C%3b&b=%20%26"
    accepted(verify(verifier, url_signature(f"{URL}?a=:/?@!$'()*,;&b=%20%26"), query=query))
    assert reason(verifier, url_signature(f"{URL}?{query.decode()}"), query=query) == "bad_signature"
    plain = partner(template="{url}{body}", public_url=URL)
    accepted(verify(plain, url_signature(f"{URL}?{query.decode()}"), query=query))


FORM = {"template": "{form_sorted}"}


@pytest.mark.parametrize(
    ("body", "signed"),
    [
        (b"", b""),
        (b"a=1", b"a1"),
        (b"b=2&a=1", b"a1b2"),
        (b"a=2&a=1&a=2", b"a1a2"),
        (b"a=1&A=2", b"A2a1"),
        (b"a=", b"a"),
        (b"a", b"a"),
        (b"a=b=c", b"ab=c"),
        (b"a=x+y%20z", b"ax y z"),
        (urlencode({"a": "\N{EURO SIGN}&="}).encode(), "a\N{EURO SIGN}&=".encode()),
    ],
)
def test_a_form_is_signed_by_its_sorted_names_and_values(body, signed):
    assert accepted(verify(partner(**FORM), {"x-signature": mac(signed).hex()}, body)).body_authenticated


@pytest.mark.parametrize(
    "body", [b"a=%2f", b"a=%", b"a=%4", b"a=%GG", b"a=x y", b"%2f=a", b"a b=1", b"a=1&b=%c3"]
)
def test_a_form_that_no_producer_writes_is_malformed(body):
    """What could be written in two ways: the same signed bytes would be of several bodies."""
    assert detail(partner(**FORM), {"x-signature": "00"}, body) == (
        "the body is not a form as this producer writes it"
    )


TWILIO = {"template": "{url}", "body_sha256_query": "bodySHA256"}


def test_a_digest_of_the_body_in_a_signed_url_makes_the_body_authentic():
    verifier = partner(public_url=URL, **TWILIO)
    query = f"a=1&bodySHA256={sha256(BODY)}".encode()
    headers = {"x-signature": mac(f"{URL}?{query.decode()}".encode()).hex()}
    assert accepted(verify(verifier, headers, query=query)).body_authenticated
    assert detail(verifier, headers, b"{}", query=query) == (
        "bodySHA256 in the URL is not the body's SHA-256"
    )


@pytest.mark.parametrize(
    "query",
    ["", "bodySHA256=", "bodySHA256=00", "bodySHA256=%C3%A9", f"bodySHA256={sha256(BODY)}&bodySHA256=1"],
)
def test_a_signed_url_without_one_digest_of_the_body_is_refused(query):
    verifier = partner(public_url=URL, **TWILIO)
    came = query.encode("latin-1")
    headers = {"x-signature": mac((f"{URL}?{query}" if query else URL).encode()).hex()}
    assert reason(verifier, headers, query=came) == "bad_signature"


def test_the_digest_in_a_url_is_hexadecimal_of_either_case():
    verifier = partner(public_url=URL, **TWILIO)
    query = f"bodySHA256={sha256(BODY).upper()}"
    headers = {"x-signature": mac(f"{URL}?{query}".encode()).hex()}
    accepted(verify(verifier, headers, query=query.encode()))


# Signed anew.


def sign(verifier, body=BODY, *, url=URL, now=NOW, headers=(), **request):
    return verifier.sign(webhook(headers, body, **request), now=now, url=url)


def test_a_signature_and_its_time_are_written_as_the_producer_writes_them():
    message = b"%d." % NOW + BODY
    cases = [
        ({}, ((b"x-signature", mac(BODY).hex().encode()),)),
        ({"encoding": "base64"}, ((b"x-signature", in_base64(mac(BODY)).encode()),)),
        ({"encoding": "base64url"}, ((b"x-signature", in_base64url(mac(BODY)).encode()),)),
        (
            {"parse": "prefix", "prefix": "sha256="},
            ((b"x-signature", b"sha256=" + mac(BODY).hex().encode()),),
        ),
        ({"parse": "list", "prefix": "v1="}, ((b"x-signature", b"v1=" + mac(BODY).hex().encode()),)),
        ({"parse": "kv", "field": "v1"}, ((b"x-signature", b"v1=" + mac(BODY).hex().encode()),)),
        (STRIPE, ((b"x-signature", b"t=%d,v1=%s" % (NOW, mac(message).hex().encode())),)),
        (
            {**STRIPE, "item_sep": "; "},
            ((b"x-signature", b"t=%d; v1=%s" % (NOW, mac(message).hex().encode())),),
        ),
        (TIMED, ((b"x-signature", mac(message).hex().encode()), (b"x-time", b"%d" % NOW))),
    ]
    for parameters, headers in cases:
        signed = sign(partner(**parameters))
        assert (signed.headers, signed.query, signed.body) == (headers, (), BODY)


@pytest.mark.parametrize("unit", ["s", "ms", "rfc3339"])
def test_the_time_is_written_in_its_unit(unit):
    timestamp = {"from": "header:x-time", "unit": unit}
    signed = sign(partner(template="{timestamp}{body}", timestamp=timestamp))
    assert dict(signed.headers)[b"x-time"] == at(NOW, unit).encode()


@pytest.mark.parametrize(
    ("unit", "now"),
    [("s", 0), ("s", 10**10), ("ms", 10**9 - 1), ("ms", 10**10), ("rfc3339", 10**20), ("rfc3339", 10**30)],
)
def test_a_time_that_could_not_be_read_again_is_not_signed(unit, now):
    timestamp = {"from": "header:x-time", "unit": unit}
    with pytest.raises(
        ValueError, match=r"^the time must be Unix seconds of (ten digits|a year up to 9999)$"
    ):
        sign(partner(template="{timestamp}{body}", timestamp=timestamp), now=now)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"a":{"at":1},"b":"\\u20ac"}', b'{"a":{"at":%d},"b":"\\u20ac"}' % NOW),
        (b'{"a": {"at": "x"}}', b'{"a": {"at": "%d"}}' % NOW),
        (b'{"a": {"at": null}}', b'{"a": {"at": "%d"}}' % NOW),
        (b'{"a": {"at": true}}', b'{"a": {"at": "%d"}}' % NOW),
        (b'{"a":{"at":"","c":"\\ud800"}}', b'{"a":{"at":"%d","c":"\\ud800"}}' % NOW),
    ],
)
def test_a_time_in_the_body_is_written_there_as_a_number_where_one_stood(body, expected):
    verifier = partner(timestamp={"from": "json:a.at"})
    signed = sign(verifier, body)
    assert signed.body == expected
    assert signed.headers == ((b"x-signature", mac(expected).hex().encode()),)


def test_a_signature_in_the_body_is_written_there():
    verifier = partner(
        header=None, signature_from="json:s.signature", template="{token}", vars={"token": "json:s.token"}
    )
    signed = sign(verifier, b'{"s":{"signature":"old","token":"t"}}')
    assert signed.body == b'{"s":{"signature":"%s","token":"t"}}' % mac(b"t").hex().encode()
    assert signed.headers == ()


@pytest.mark.parametrize("body", [b"text", b"\xff", b"[" * 100_000, b"[]", b'{"a":1}', b'{"a":{}}'])
def test_a_body_without_the_place_for_a_time_is_not_signed(body):
    with pytest.raises(
        ValueError, match=r"^this scheme signs within a JSON body, and the body has no a\.at$"
    ):
        sign(partner(timestamp={"from": "json:a.at"}), body)


def test_the_url_that_is_signed_is_the_destinations_with_the_digest_of_the_body():
    verifier = partner(public_url=URL, **TWILIO)
    for url, separator in (("https://d.example/x", "?"), ("https://d.example/x?a=1", "&")):
        signed = sign(verifier, url=url)
        assert signed.query == (("bodySHA256", sha256(BODY)),)
        message = f"{url}{separator}bodySHA256={sha256(BODY)}".encode()
        assert signed.headers == ((b"x-signature", mac(message).hex().encode()),)


def test_what_cannot_be_put_together_is_not_signed():
    verifier = partner(template="{id}{body}", vars={"id": "header:event-id"})
    with pytest.raises(ValueError, match="there is no header:event-id, or more than one"):
        sign(verifier)
    with pytest.raises(ValueError, match="the body is not a form as this producer writes it"):
        sign(partner(**FORM), b"a b")


def test_a_scheme_that_signs_in_a_query_or_a_form_cannot_be_signed_for():
    signature = "this scheme has its signature in the query or a form, where the gateway writes none"
    time = "this scheme has its time in the query or a form, where the gateway writes none"
    for place in ("query:s", "form:s"):
        assert partner(header=None, signature_from=place).unsignable == signature
        assert partner(template="{timestamp}{body}", timestamp={"from": place}).unsignable == time
    with pytest.raises(ValueError, match=time):
        sign(partner(template="{timestamp}{body}", timestamp={"from": "form:s"}))
    assert partner(header=None, signature_from="json:s").unsignable is None
    assert partner(**TIMED).unsignable is None


def test_what_cannot_be_signed_for_is_not_signed_by_the_scheme_itself_either():
    verifier = partner(template="{timestamp}{body}", timestamp={"from": "form:s"})
    with pytest.raises(ValueError, match="where the gateway writes none"):
        verifier.scheme.sign(webhook({}), verifier.keys[0].key, now=NOW, url=URL)


def test_a_secret_is_not_shortened_where_nothing_is_to_be_left_out():
    accepted(verify(partner("xshared"), {"x-signature": mac(BODY, key=b"xshared").hex()}))


def test_what_stands_beside_one_signature_is_part_of_it():
    signature = mac(BODY).hex()
    for text in (f"{signature},00", f"{signature} ", f" {signature}"):
        assert reason(partner(), {"x-signature": text}) == "bad_signature"
    for text in (f"{signature}x", f"x{signature}"):
        assert reason(partner(parse="list"), {"x-signature": text}) == "bad_signature"
    for text in (f"{fields()}x", fields().replace("t=", "xt=")):
        refused(verify(partner(**STRIPE), {"x-signature": text}))


def test_a_signature_or_a_time_of_other_characters_is_refused():
    verifier = partner(header=None, signature_from="json:s", template="{id}", vars={"id": "header:id"})
    assert reason(verifier, {"id": "7"}, b'{"s":"\\ud800"}') == "bad_signature"
    for value in (b'"\xc3\xa9"', b'"\\ud800"'):
        body = b'{"at":%s}' % value
        assert detail(partner(timestamp={"from": "json:at"}), {"x-signature": mac(body).hex()}, body) == (
            "the time in json:at is not a whole number of 10 digits (seconds)"
        )


def test_what_is_neither_text_nor_number_is_no_time():
    for value in (b"true", b"null", b"1.0"):
        body = b'{"at":%s}' % value
        assert detail(partner(timestamp={"from": "json:at"}), {"x-signature": mac(body).hex()}, body) == (
            "there is no time in json:at, or more than one"
        )


def test_names_of_headers_are_the_same_in_any_case_and_names_of_fields_are_not():
    verifier = partner(template="{timestamp}.{body}", timestamp={"from": "header:X-Time"})
    headers = {"x-signature": mac(f"{NOW}.".encode() + BODY).hex(), "x-time": str(NOW)}
    accepted(verify(verifier, headers))
    assert verifier.required_headers == (b"x-signature", b"x-time")
    verifier = partner(**{**STRIPE, "timestamp": {"from": "field:T"}})
    accepted(verify(verifier, {"x-signature": fields().replace("t=", "T=")}))
    assert reason(verifier, {"x-signature": fields()}) == "malformed"
    assert dict(sign(verifier).headers)[b"x-signature"].startswith(b"T=")


def test_a_place_of_the_time_that_is_none_is_a_fault():
    assert (
        fault(**{**TIMED, "timestamp": {"from": "header:a b"}})
        == "timestamp.from: 'a b' is not a header's name"
    )
    assert fault(timestamp={"from": "json:a["}).startswith(
        "kind hmac, timestamp: from: 'a[' is not a JMESPath expression: "
    )


def test_a_url_that_is_not_signed_is_not_spoken_of():
    verifier = partner(public_url=URL)
    assert detail(verifier, {"x-signature": "00"}) == (
        "no secret of this source made a signature of this request: another secret, or a changed body"
    )
    assert detail(partner(), {"x-signature": "00"}) == detail(verifier, {"x-signature": "00"})


def test_a_host_is_told_from_the_same_name_in_the_path():
    verifier = partner(template="{url}{body}", public_url="https://p/x//p/y", max_url_variants=2)
    accepted(verify(verifier, url_signature("https://p:443/x//p/y")))


# What stands beside each other in a template.


@pytest.mark.parametrize(
    "template", ["{one}{two}{body}", "{body}.{one}{two}", "x{one}{two}", "{body}.{one}{two}."]
)
def test_variables_with_nothing_between_them_are_a_fault(template):
    with pytest.raises(ValueError, match=r".") as raised:
        partner(template=template, vars={"one": "header:x-one", "two": "header:x-two"})
    assert str(raised.value) == (
        "template has nothing between {one} and {two}: one could be taken for the other"
    )


@pytest.mark.parametrize("template", ["{one}.{two}.{body}", "{one}{body}{two}", "{body}{one} {two}"])
def test_variables_with_something_between_them_are_none(template):
    partner(template=template, vars={"one": "header:x-one", "two": "header:x-two"})


@pytest.mark.parametrize(
    ("template", "is_beside"),
    [
        ("{one}{body}", True),
        ("{body}{one}", True),
        ("a{one}{body}b", True),
        ("{method}.{body}{one}.", True),
        ("{one}.{body}", False),
        ("{body}.{one}", False),
        (".{one}.{method}{body}", False),
    ],
)
def test_a_variable_beside_another_part_has_the_characters_of_an_id_alone(template, is_beside):
    verifier = partner(template=template, vars={"one": "header:x-one"})

    def result(one):
        message = template.format(one=one, body=BODY.decode(), method="POST").encode()
        return verify(verifier, {"x-signature": mac(message).hex(), "x-one": one})

    accepted(result("id_1"))
    for one in ("id 1", 'a{"'):
        if is_beside:
            assert refused(result(one)).detail == (
                "header:x-one has a character that could belong to what is signed beside it"
            )
        else:
            accepted(result(one))


def test_a_field_of_the_query_that_is_signed_cannot_be_signed_anew():
    verifier = partner(template="{one}.{body}", vars={"one": "query:one"})
    assert verifier.unsignable == "this scheme signs a field of the query, where the gateway writes none"


def test_a_query_with_what_no_url_has_is_refused_where_the_url_is_signed():
    verifier = partner(template="{url}{body}", public_url=URL)
    for query in (b'a="', b"a={", b"a b"):
        assert detail(verifier, {"x-signature": "00"}, query=query) == (
            "the query has a character that no URL has, and could be the beginning of a body"
        )
