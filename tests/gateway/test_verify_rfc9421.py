"""Kind rfc9421: every component and parameter of a valid signature used, and broken."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.model import Webhook
from gateway.verify import compile_verifier
from tests.support import message_signatures
from tests.support.message_signatures import URL
from tests.support.verifying import (
    BODY,
    NOW,
    SENSITIVE,
    accepted,
    ed25519,
    in_base64,
    p256,
    private_pem,
    public_pem,
    refused,
    rsa_key,
    webhook,
)

KEY = b"a shared key"
SECRET = in_base64(KEY)
DIGEST = f"sha-256=:{in_base64(hashlib.sha256(BODY).digest())}:"
COVERED = ("@method", "content-digest", "x-event")
PRIVATE = {
    "ed25519": ed25519,
    "ecdsa-p256-sha256": p256,
    "rsa-pss-sha512": rsa_key,
    "rsa-v1_5-sha256": rsa_key,
}


def signed(covered=COVERED, *, algorithm="hmac-sha256", key=KEY, headers=None, **parameters):
    headers = headers or {"content-digest": DIGEST, "x-event": "made"}
    return message_signatures.signed(covered, headers, algorithm=algorithm, key=key, **parameters)


def verifier_of(*secrets, public_url="", **parameters):
    table = {"kind": "rfc9421", "algorithm": "hmac-sha256", **parameters}
    return compile_verifier(table, secrets or (SECRET,), public_url=public_url)


def verify(headers, body=BODY, *, now=NOW, verifier=None, **request):
    return (verifier or verifier_of()).verify(webhook(headers, body, **request), now=now)


def judgement(headers, body=BODY, **options):
    result = refused(verify(headers, body, **options))
    return result.reason, result.detail


FORGED = "no secret of this source made the signature, or it names another keyid or algorithm"


def test_a_signature_is_verified_and_refused_with_any_covered_part_changed():
    headers = signed()
    result = accepted(verify(headers))
    assert (result.secret, result.body_authenticated) == (0, True)
    assert judgement(headers, method="PUT") == ("bad_signature", FORGED)
    assert judgement({**headers, "x-event": "moved"}) == ("bad_signature", FORGED)
    del headers["x-event"]
    assert judgement(headers) == ("bad_signature", FORGED)


def test_a_header_that_is_not_covered_may_change():
    accepted(verify({**signed(), "x-other": "x"}))
    accepted(verify([*signed().items(), ("x-other", "x"), ("x-other", "y")]))
    assert judgement([*signed().items(), ("x-event", "made")])[0] == "bad_signature"


def test_a_covered_header_of_several_lines_is_their_values_joined():
    headers = signed(headers={"x-event": "a, b"}, covered=("x-event",))
    del headers["x-event"]
    accepted(verify([*headers.items(), ("x-event", " a "), ("X-Event", " b ")]))
    assert judgement([*headers.items(), ("x-event", "b"), ("x-event", "a")])[0] == "bad_signature"


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_a_signature_is_verified_by_the_public_key_of_its_algorithm(algorithm):
    private = PRIVATE[algorithm]()
    headers = signed(algorithm=algorithm, key=private)
    verifier = verifier_of(public_pem(private), algorithm=algorithm)
    accepted(verify(headers, verifier=verifier))
    assert judgement({**headers, "x-event": "moved"}, verifier=verifier) == ("bad_signature", FORGED)


def test_the_algorithm_that_a_request_names_is_the_configured_one_or_it_is_refused():
    headers = signed(algorithm="rsa-v1_5-sha256", key=rsa_key())
    verifier = verifier_of(public_pem(rsa_key()), algorithm="rsa-pss-sha512")
    assert judgement(headers, verifier=verifier) == ("bad_signature", FORGED)
    accepted(verify(signed(alg=None)))


@pytest.mark.parametrize(
    ("encoding", "secret"), [("base64", SECRET), ("hex", KEY.hex()), ("utf8", KEY.decode())]
)
def test_a_shared_secret_is_decoded_as_configured(encoding, secret):
    accepted(verify(signed(), verifier=verifier_of(secret, secret_encoding=encoding)))


def test_the_configured_keyid_is_the_only_one():
    accepted(verify(signed(), verifier=verifier_of(keyid="k")))
    assert judgement(signed(), verifier=verifier_of(keyid="K")) == ("bad_signature", FORGED)
    accepted(verify(signed(keyid="any")))


def test_the_tag_chooses_among_several_signatures():
    verifier = verifier_of(tag="webhook")
    accepted(verify(signed(tag="webhook"), verifier=verifier))
    for headers in (signed(), signed(tag="other")):
        assert judgement(headers, verifier=verifier) == ("bad_signature", FORGED)

    def both(first, second):
        return {
            name: f"{first[name]}, {second[name]}" if name.startswith("signature") else first[name]
            for name in first
        }

    two = both(signed(label="a", tag="webhook"), signed(label="b", tag="other", key=b"of a proxy"))
    accepted(verify(two, verifier=verifier))
    assert judgement(two) == ("bad_signature", FORGED)
    twice = both(signed(label="a", tag="webhook"), signed(label="b", tag="webhook"))
    assert judgement(twice, verifier=verifier) == ("bad_signature", FORGED)


def test_what_must_be_signed_has_to_be():
    verifier = verifier_of(require_components=["@method", "content-digest"])
    accepted(verify(signed(), verifier=verifier))
    for covered in ((), ("@method",), ("content-digest",)):
        assert judgement(signed(covered), verifier=verifier) == (
            "bad_signature",
            (
                "no secret of this source made the signature, or it does not cover @method, content-digest, "
                "or it names another keyid or algorithm"
            ),
        )


# The body.


def test_a_body_is_authentic_only_where_its_digest_is_covered():
    assert accepted(verify(signed())).body_authenticated
    headers = signed(("@method",))
    assert not accepted(verify(headers)).body_authenticated
    assert not accepted(verify(headers, b"{}")).body_authenticated
    assert judgement(signed(), b"{}") == (
        "bad_signature",
        "the content-digest is of another body: it was changed",
    )


@pytest.mark.parametrize("digest", ["sha-256=:AAAA:", "md5=:AAAA:", "nonsense(", "", "sha-256=x", "sha-256"])
def test_a_covered_digest_that_is_none_is_refused(digest):
    headers = signed(headers={"content-digest": digest}, covered=("content-digest",))
    assert judgement(headers) == (
        "bad_signature",
        "the content-digest is of another body: it was changed",
    )


def test_a_digest_of_another_algorithm_beside_it_does_not_help():
    headers = signed(headers={"content-digest": f"{DIGEST}, sha-512=:AAAA:"}, covered=("content-digest",))
    assert judgement(headers)[0] == "bad_signature"


# Times.


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        (0, None),
        (60, None),
        (-60, None),
        (61, ("too_old", "sent 61 s ago; 60 s are allowed")),
        (-61, ("too_new", "sent 61 s in the future; 60 s are allowed")),
    ],
)
def test_a_signature_counts_for_as_long_as_is_configured(offset, expected):
    result = verify(signed(), now=NOW + offset, verifier=verifier_of(max_age=60))
    if expected is None:
        accepted(result)
    else:
        assert (refused(result).reason, result.detail) == expected
    assert verifier_of().tolerance_seconds == 300


def test_a_signature_counts_no_longer_than_it_says_itself():
    headers = signed(expires=NOW + 10)
    accepted(verify(headers, now=NOW + 10))
    assert judgement(headers, now=NOW + 11) == ("too_old", "the signature ended 1 s ago")


@pytest.mark.parametrize("created", [None, "1795341600"])
def test_a_signature_that_does_not_say_when_it_was_made_is_refused(created):
    reason, detail = judgement(signed(created=created))
    assert (reason, detail) == (
        ("malformed", "the signature does not say when it was created")
        if created is None
        else ("bad_signature", FORGED)
    )


def test_a_forged_signature_is_not_told_about_the_clock():
    headers = {**signed(created=NOW - 10_000), "x-event": "moved"}
    assert judgement(headers)[0] == "bad_signature"


# The URL.


def test_a_signed_url_is_the_configured_one_with_the_query_that_came():
    verifier = verifier_of(public_url=URL)
    headers = signed(("@target-uri",), query="a=1")
    accepted(verify(headers, query=b"a=1", verifier=verifier))
    for query in (b"", b"a=2", b"a=1&b=2"):
        assert judgement(headers, query=query, verifier=verifier) == ("bad_signature", FORGED)
    elsewhere = verifier_of(public_url="https://other.example/webhooks/partner")
    assert judgement({**headers, "host": "gateway.example"}, query=b"a=1", verifier=elsewhere) == (
        "bad_signature",
        FORGED,
    )


@pytest.mark.parametrize(
    "component",
    ["@target-uri", "@authority", "@scheme", "@path", "@query", "@request-target", '"@query-param";name="a"'],
)
def test_a_signature_of_a_url_that_is_not_configured_says_what_is_missing(component):
    headers = signed((component,), query="a=1")
    assert judgement(headers, query=b"a=1") == (
        "bad_signature",
        "the signature covers the URL: set public_url to the one that the producer calls",
    )
    accepted(verify(headers, query=b"a=1", verifier=verifier_of(public_url=URL)))


@pytest.mark.parametrize("query", [b"a=\xff", b"a= ", b"a=%", b"a=%zz", b"#", b"a=\n"])
def test_a_query_that_no_url_has_is_refused(query):
    headers = signed(("@target-uri",))
    assert judgement(headers, query=query, verifier=verifier_of(public_url=URL)) == ("bad_signature", FORGED)


def test_a_query_that_no_url_has_is_no_fault_of_a_signature_that_does_not_cover_it():
    accepted(verify(signed(), query=b"a= \xff", verifier=verifier_of(public_url=URL)))
    accepted(verify(signed(), query=b"a= \xff"))


# Headers.


def test_white_space_around_a_header_is_no_part_of_it():
    accepted(verify({**signed(), "x-event": " made\t"}))


@pytest.mark.parametrize("name", ["signature", "signature-input"])
def test_a_missing_header_is_named(name):
    headers = signed()
    del headers[name]
    assert judgement(headers) == ("missing_header", f"there is no {name} header")
    assert set(verifier_of().required_headers) == {b"signature", b"signature-input"}


def test_a_header_that_is_not_ascii_is_passed_over_and_can_be_covered_by_no_signature():
    pairs = tuple((name.encode(), value.encode()) for name, value in signed().items())
    for extra in ((b"x-other", b"\xe9"), (b"\xe9", b"x")):
        accepted(verifier_of().verify(Webhook((*pairs, extra), b"", BODY), now=NOW))
    for name in (b"signature", b"signature-input"):
        beyond = tuple((key, value + b"\xe9" if key.lower() == name else value) for key, value in pairs)
        result = refused(verifier_of().verify(Webhook(beyond, b"", BODY), now=NOW))
        assert (result.reason, result.detail) == ("malformed", f"the {name.decode()} header is not ASCII")


@pytest.mark.parametrize("name", ["signature", "signature-input"])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "s=",
        "s=()",
        "s=7",
        "s=:AAAA:",
        "s=?1",
        's="x"',
        "(",
        "s=:AAAA",
        "s=((",
        ",",
        "a=1, a=1",
        "s=::",
    ],
)
def test_a_header_that_holds_no_signature_is_refused(name, text):
    assert judgement({**signed(label="s"), name: text}) == ("bad_signature", FORGED)


def test_a_signature_under_another_label_is_the_same_to_whoever_looks_for_repeats():
    headers = signed(label="a")
    renamed = {**headers}
    for name in ("signature", "signature-input"):
        renamed[name] = "b" + headers[name].removeprefix("a")
    assert accepted(verify(renamed)).signature == accepted(verify(headers)).signature
    assert accepted(verify(signed(created=NOW + 1))).signature != accepted(verify(headers)).signature


def test_no_request_is_signed_anew():
    sentence = "a source of kind rfc9421 cannot be signed for anew"
    assert (verifier_of().unsignable, verifier_of().credential_header) == (sentence, None)
    with pytest.raises(ValueError, match=sentence):
        verifier_of().sign(webhook({}), now=NOW, url="")
    with pytest.raises(ValueError, match=sentence):
        verifier_of().scheme.sign(webhook({}), None, now=NOW, url="")


# The configuration.


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"algorithm": None}, "kind rfc9421: algorithm is missing"),
        (
            {"algorithm": "hmac-sha1"},
            (
                "kind rfc9421: algorithm 'hmac-sha1' is none of hmac-sha256, ed25519, rsa-pss-sha512, "
                "rsa-v1_5-sha256, ecdsa-p256-sha256"
            ),
        ),
        ({"keyid": ""}, "kind rfc9421: keyid must be a text"),
        ({"tag": 7}, "kind rfc9421: tag must be a text"),
        ({"max_age": 0}, "kind rfc9421: max_age must be a whole number of seconds from 1 to 86400"),
        ({"require_components": "@method"}, "kind rfc9421: require_components must be a list of texts"),
        *(
            (
                {"require_components": names},
                f"kind rfc9421: require_components: {names[-1]!r} is no component's name in lower case, or stands twice",
            )
            for names in (["@Method"], [""], ["a b"], ["\N{EURO SIGN}"], ['"a'], ["x", "x"], ["date;sf"])
        ),
        (
            {"require_components": ["@method", "@path"]},
            "what is signed holds the URL: set public_url to the one that the producer calls",
        ),
        (
            {"secret_encoding": "base64url"},
            "kind rfc9421: secret_encoding 'base64url' is none of base64, utf8, hex",
        ),
        (
            {"components": []},
            "kind rfc9421 has no parameter 'components'; did you mean 'require_components'?",
        ),
    ],
)
def test_a_parameter_that_does_not_fit_is_a_fault(parameters, sentence):
    with pytest.raises(ValueError, match=r".") as fault:
        verifier_of(**parameters)
    assert str(fault.value) == sentence


def test_a_component_with_parameters_can_be_required():
    component = '"@query-param";name="a"'
    verifier = verifier_of(public_url=URL, require_components=[component])
    accepted(verify(signed((component,), query="a=1"), query=b"a=1", verifier=verifier))
    assert judgement(signed(("@query",), query="a=1"), query=b"a=1", verifier=verifier)[0] == "bad_signature"


PRIVATE_KEY = "a secret is a private key: only the producer may have it, here belongs the public one"
NOT_BASE64 = 'a secret is not base64; if the producer uses it as text, set secret_encoding = "utf8"'


@pytest.mark.parametrize(
    ("algorithm", "secret", "sentence"),
    [
        ("hmac-sha256", lambda: "", "a secret is empty: anybody could sign with it"),
        (
            "hmac-sha256",
            lambda: f" {SECRET}",
            "a secret has white space around it: it was probably pasted with a line end",
        ),
        ("hmac-sha256", lambda: SENSITIVE, NOT_BASE64),
        ("ed25519", lambda: SENSITIVE, "a secret is no key for ed25519"),
        ("ed25519", lambda: public_pem(p256()), "a secret is no key for ed25519"),
        ("ed25519", lambda: private_pem(ed25519()), PRIVATE_KEY),
        (
            "ecdsa-p256-sha256",
            lambda: public_pem(ec.derive_private_key(7, ec.SECP384R1())),
            "a secret is no key for ecdsa-p256-sha256",
        ),
        ("rsa-pss-sha512", lambda: public_pem(ed25519()), "a secret is no key for rsa-pss-sha512"),
        (
            "rsa-pss-sha512",
            lambda: public_pem(rsa_key(1024)),
            "a secret is an RSA key of less than 2048 bits",
        ),
        (
            "rsa-v1_5-sha256",
            lambda: public_pem(rsa_key(1024)),
            "a secret is an RSA key of less than 2048 bits",
        ),
    ],
)
def test_a_secret_that_is_no_key_for_the_algorithm_is_a_fault_that_does_not_quote_it(
    algorithm, secret, sentence
):
    with pytest.raises(ValueError, match=r".") as fault:
        verifier_of(secret(), algorithm=algorithm)
    assert str(fault.value) == sentence


def test_a_secret_that_is_not_hexadecimal_says_so():
    with pytest.raises(ValueError, match="a secret is not hex; if the producer uses it as text") as fault:
        verifier_of(SENSITIVE, secret_encoding="hex")
    assert SENSITIVE not in str(fault.value)
