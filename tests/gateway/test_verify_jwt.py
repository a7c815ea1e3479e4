"""Kind jwt: every claim and parameter of a valid token used, and broken."""

import base64
import hashlib
import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

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

SECRET = "a-shared-secret-of-more-than-sixty-four-bytes-for-the-longest-of-the-macs"
OTHER = SECRET.replace("shared", "stolen")
P384 = ec.derive_private_key(7, ec.SECP384R1())


def verifier_of(*secrets, **parameters):
    """A parameter that is None is left out."""
    table = {"kind": "jwt", "algorithms": ["HS256"], "require": ["iat"], **parameters}
    return compile_verifier(table, secrets or (SECRET,))


def token(claims=None, *, key=SECRET, algorithm="HS256", headers=None):
    return jwt.encode({"iat": NOW} if claims is None else claims, key, algorithm, headers=headers)


def verify(made, body=BODY, *, now=NOW, verifier=None):
    headers = {"authorization": f"Bearer {made}"}
    return (verifier or verifier_of()).verify(webhook(headers, body), now=now)


def judgement(made, body=BODY, **options):
    result = refused(verify(made, body, **options))
    return result.reason, result.detail


PRIVATE = {
    **dict.fromkeys(("HS256", "HS384", "HS512"), lambda: SECRET),
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), rsa_key),
    "ES256": p256,
    "ES384": lambda: P384,
    "EdDSA": ed25519,
}


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_a_token_of_the_configured_algorithm_is_verified_and_of_no_other(algorithm):
    private = PRIVATE[algorithm]()
    secret = private if isinstance(private, str) else public_pem(private)
    verifier = verifier_of(secret, algorithms=[algorithm])
    made = token(key=private, algorithm=algorithm)
    result = accepted(verify(made, verifier=verifier))
    assert not result.body_authenticated
    other = "HS384" if algorithm != "HS384" else "HS512"
    assert judgement(token(key=SECRET, algorithm=other), verifier=verifier) == (
        "bad_signature",
        f"the token is signed by {other!r}, and only {algorithm} will do",
    )


def test_a_token_may_choose_among_the_configured_algorithms():
    verifier = verifier_of(algorithms=["HS256", "HS512"])
    for algorithm in ("HS256", "HS512"):
        accepted(verify(token(algorithm=algorithm), verifier=verifier))
    assert judgement(token(algorithm="HS384"), verifier=verifier)[0] == "bad_signature"


def test_the_name_of_an_algorithm_is_told_up_to_twenty_characters():
    verifier = verifier_of(algorithms=["HS256", "HS512"])
    for length in (19, 20, 21, 500):
        assert judgement(unsigned({"alg": "x" * length}), verifier=verifier) == (
            "bad_signature",
            f"the token is signed by {'x' * min(length, 20)!r}, and only HS256, HS512 will do",
        )


def test_a_short_secret_is_not_warned_of_at_every_token():
    accepted(verify(short_token(), verifier=verifier_of("short")))


def short_token():
    signed = ".".join(in_base64url(json.dumps(part).encode()) for part in ({"alg": "HS256"}, {"iat": NOW}))
    return f"{signed}.{in_base64url(mac(signed.encode(), key=b'short'))}"


def unsigned(header, claims=None):
    parts = [json.dumps(part).encode() for part in (header, {"iat": NOW} if claims is None else claims)]
    return ".".join([*(in_base64url(part) for part in parts), ""])


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", None, 7, [], {}, ""])
def test_a_token_that_is_not_signed_is_refused(algorithm):
    assert judgement(unsigned({"alg": algorithm}))[0] == "bad_signature"
    assert judgement(unsigned({}))[0] == "bad_signature"


def test_a_public_key_makes_no_mac():
    """As of libraries that took the key's bytes for a shared secret where the token said HS256."""
    public = public_pem(rsa_key())
    verifier = verifier_of(public, algorithms=["RS256"])
    signed = ".".join(in_base64url(json.dumps(part).encode()) for part in ({"alg": "HS256"}, {"iat": NOW}))
    made = f"{signed}.{in_base64url(mac(signed.encode(), key=public.encode()))}"
    assert judgement(made, verifier=verifier)[0] == "bad_signature"


def test_a_key_that_the_token_brings_is_not_used():
    for headers in (
        {"jwk": {"kty": "oct", "k": in_base64url(OTHER.encode())}},
        {"kid": "../../dev/null"},
        {"x5u": "https://a.example"},
    ):
        assert judgement(token(key=OTHER, headers=headers)) == (
            "bad_signature",
            "no secret of this source made the token",
        )


def test_every_change_of_one_character_is_refused_but_of_bits_that_are_no_part_of_the_signature():
    made = token()
    known = accepted(verify(made)).signature
    for index in range(len(made)):
        for character in "AQgw.-_=":
            if character == made[index]:
                continue
            result = verify(made[:index] + character + made[index + 1 :])
            if getattr(result, "signature", None) is not None:
                assert (index, result.signature) == (len(made) - 1, known)


def test_a_signature_written_in_another_way_is_the_same_to_whoever_looks_for_repeats():
    made = token()
    assert accepted(verify(made)).signature == accepted(verify(made + "=")).signature
    assert accepted(verify(made)).signature == made.rpartition(".")[0].encode()


@pytest.mark.parametrize(
    "made",
    [
        "",
        "a",
        "a.b",
        "a.b.c",
        "....",
        "..",
        "a.b.c.d",
        "\N{EURO SIGN}.b.c",
        "e30.e30.e30",
        "W10.e30.e30",
        "bnVsbA.e30.e30",
    ],
)
def test_what_is_no_token_is_refused(made):
    assert judgement(made)[0] in {"malformed", "bad_signature"}


def test_a_token_of_16_kib_is_read_and_a_longer_one_is_not():
    def of_length(wanted):
        made = next(
            made
            for pad in range(11_000, 13_000)
            if len(made := token({"iat": NOW, "pad": "x" * pad})) >= wanted
        )
        return made

    made = of_length(16_384)
    assert len(made) == 16_384
    accepted(verify(made))
    assert judgement(of_length(16_385)) == (
        "malformed",
        "the token in the authorization header is too long, or not ASCII",
    )


def test_a_token_that_is_nested_too_deep_is_refused():
    deep = b"[" * 5_000
    head, payload = in_base64url(b'{"alg":"HS256"}'), in_base64url(deep)
    signature = in_base64url(mac(f"{head}.{payload}".encode(), key=SECRET.encode()))
    assert judgement(f"{head}.{payload}.{signature}") == (
        "malformed",
        "the token's claims are no JSON object",
    )
    assert judgement(f"{payload}.{payload}.{signature}") == ("bad_signature", "the token cannot be read")


@pytest.mark.parametrize("payload", [b"", b"[]", b"7", b"null", b'"x"', b"\xff", b"{"])
def test_claims_that_are_no_object_are_malformed_though_rightly_signed(payload):
    made = jwt.api_jws.encode(payload, SECRET, "HS256")
    assert judgement(made) == ("malformed", "the token's claims are no JSON object")


def test_a_missing_header_is_named_and_one_that_stands_twice_is_malformed():
    result = refused(verifier_of().verify(webhook({}), now=NOW))
    assert (result.reason, result.detail) == ("missing_header", "there is no authorization header")
    pairs = [("authorization", f"Bearer {token()}")] * 2
    result = refused(verifier_of().verify(webhook(pairs), now=NOW))
    assert (result.reason, result.detail) == (
        "malformed",
        "the authorization header stands more than once",
    )
    assert verifier_of().required_headers == (b"authorization",)


@pytest.mark.parametrize(
    ("parameters", "name", "value"),
    [
        ({}, "authorization", "bearer {}"),
        ({"scheme": "Token"}, "authorization", "Token {}"),
        ({"scheme": ""}, "authorization", "{}"),
        ({"header": "X-Jwt"}, "x-jwt", "{}"),
        ({"header": "X-Jwt", "scheme": "Bearer"}, "x-jwt", "Bearer {}"),
    ],
)
def test_a_token_stands_in_its_header_after_its_scheme_and_nowhere_else(parameters, name, value):
    verifier = verifier_of(**parameters)
    accepted(verifier.verify(webhook({name: value.format(token())}), now=NOW))
    wrong = {
        f"x{value.format(token())}",
        token() if " " in value else f"Basic {token()}",
        value.format("a.b"),
    }
    for text in wrong:
        result = refused(verifier.verify(webhook({name: text}), now=NOW))
        assert result.reason in {"malformed", "bad_signature"}


def test_an_authorization_of_another_scheme_is_malformed():
    result = refused(verifier_of().verify(webhook({"authorization": f"Basic {token()}"}), now=NOW))
    assert (result.reason, result.detail) == (
        "malformed",
        "the authorization header holds no JSON Web Token",
    )


# Claims.


@pytest.mark.parametrize(
    ("claims", "offset", "expected"),
    [
        ({"iat": NOW}, 60, None),
        ({"iat": NOW}, -60, None),
        ({"iat": NOW}, 61, ("too_old", "sent 61 s ago; 60 s are allowed")),
        ({"iat": NOW}, -61, ("too_new", "sent 61 s in the future; 60 s are allowed")),
        ({"iat": NOW + 0.5}, 60, None),
        ({"exp": NOW}, 60, None),
        ({"exp": NOW}, 61, ("too_old", "the token ended 61 s ago")),
        ({"exp": NOW + 10**9}, 0, None),
        ({"exp": NOW + 0.5}, 61, ("too_old", "the token ended 61 s ago")),
        ({"exp": NOW, "nbf": NOW}, -60, None),
        ({"exp": NOW, "nbf": NOW}, -61, ("too_new", "the token begins in 61 s")),
        ({"exp": NOW, "iat": NOW - 100}, 0, ("too_old", "sent 100 s ago; 60 s are allowed")),
    ],
)
def test_a_token_counts_from_its_beginning_to_its_end_give_or_take_the_tolerance(claims, offset, expected):
    verifier = verifier_of(require=["exp"] if "exp" in claims else ["iat"], max_age=60)
    result = verify(token(claims), now=NOW + offset, verifier=verifier)
    assert (None if expected is None else (refused(result).reason, result.detail)) == expected
    if expected is None:
        accepted(result)


def test_a_token_counts_for_five_minutes_where_nothing_else_is_said():
    assert verifier_of().tolerance_seconds == 300


@pytest.mark.parametrize("name", ["iat", "exp", "nbf"])
@pytest.mark.parametrize("value", ["1795341600", True, False, -1, 10**12, [], {}, float("nan"), float("inf")])
def test_a_claim_that_is_no_time_is_malformed(name, value):
    made = jwt.api_jws.encode(json.dumps({"iat": NOW, name: value}).encode(), SECRET, "HS256")
    assert judgement(made) == ("malformed", f"the token's {name} is no time")


@pytest.mark.parametrize("value", [0, 10**12 - 1])
def test_the_first_and_the_last_time_are_times(value):
    made = token({"iat": NOW, "exp": value})
    assert "is no time" not in getattr(verify(made), "detail", "")


@pytest.mark.parametrize("claims", [{}, {"iat": None}, {"IAT": NOW}])
def test_a_claim_that_is_required_has_to_be_there(claims):
    made = jwt.api_jws.encode(json.dumps(claims).encode(), SECRET, "HS256")
    assert judgement(made) == ("malformed", "the token has no claim iat")
    verifier = verifier_of(require=["iat", "tenant"])
    assert judgement(token(), verifier=verifier) == ("malformed", "the token has no claim tenant")
    accepted(verify(token({"iat": NOW, "tenant": 0}), verifier=verifier))


def test_the_issuer_and_the_audience_are_those_that_are_configured():
    issuer, audience = verifier_of(issuer="a"), verifier_of(audience="a")
    accepted(verify(token({"iat": NOW, "iss": "a"}), verifier=issuer))
    for claims in ({"iat": NOW}, {"iat": NOW, "iss": "A"}, {"iat": NOW, "iss": "ab"}):
        assert judgement(token(claims), verifier=issuer) == (
            "bad_signature",
            "the token's iss is not the configured issuer",
        )
    for found in ("a", ["b", "a"]):
        accepted(verify(token({"iat": NOW, "aud": found}), verifier=audience))
    for found in ("b", "ab", [], ["b"], [["a"]], {"a": 1}, None):
        made = jwt.api_jws.encode(json.dumps({"iat": NOW, "aud": found}).encode(), SECRET, "HS256")
        assert judgement(made, verifier=audience) == (
            "bad_signature",
            "the token's aud is not the configured audience",
        )


DIGEST = hashlib.sha256(BODY).digest()


@pytest.mark.parametrize(
    ("encoding", "claim"),
    [
        (None, DIGEST.hex()),
        ("hex", DIGEST.hex().upper()),
        ("base64", in_base64(DIGEST)),
        ("base64url", in_base64url(DIGEST)),
    ],
)
def test_a_hash_of_the_body_in_a_claim_makes_the_body_authentic(encoding, claim):
    verifier = verifier_of(require=None, body_hash_claim="hash", body_hash_encoding=encoding)
    made = token({"hash": claim})
    result = accepted(verify(made, verifier=verifier))
    assert (result.body_authenticated, result.content.claims) == (True, {"hash": claim})
    for body in (b"", BODY + b" ", BODY[:-1]):
        assert judgement(made, body, verifier=verifier) == (
            "bad_signature",
            "the token's hash is of another body: it was changed",
        )


@pytest.mark.parametrize(
    "claim", [None, 7, True, [], {}, "", "x", DIGEST.hex()[:-1], in_base64(DIGEST), "\ud800"]
)
def test_a_hash_that_is_none_is_refused(claim):
    verifier = verifier_of(body_hash_claim="hash")
    made = jwt.api_jws.encode(json.dumps({"iat": NOW, "hash": claim}).encode(), SECRET, "HS256")
    reason, detail = judgement(made, verifier=verifier)
    assert (reason, detail) in {
        ("malformed", "the token's hash is no hash"),
        ("bad_signature", "the token's hash is of another body: it was changed"),
    }
    assert judgement(token(), verifier=verifier) == ("malformed", "the token's hash is no hash")
    accepted(verify(token({"iat": NOW, "hash": sha256(BODY)}), verifier=verifier))


def test_the_claims_of_a_verified_token_can_be_read_and_those_of_no_other():
    assert accepted(verify(token({"iat": NOW, "jti": "j"}))).content.claims["jti"] == "j"


def test_no_request_is_signed_anew():
    sentence = "a source of kind jwt cannot be signed for anew"
    assert verifier_of().unsignable == sentence
    with pytest.raises(ValueError, match=sentence):
        verifier_of().sign(webhook({}), now=NOW, url="")
    with pytest.raises(ValueError, match=sentence):
        verifier_of().scheme.sign(webhook({}), None, now=NOW, url="")


# The configuration.

NAMES = "HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA"


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"algorithms": None}, f"kind jwt: algorithms must be some of {NAMES}"),
        ({"algorithms": []}, f"kind jwt: algorithms must be some of {NAMES}"),
        ({"algorithms": ["none"]}, f"kind jwt: algorithms must be some of {NAMES}"),
        ({"algorithms": ["HS256", "none"]}, f"kind jwt: algorithms must be some of {NAMES}"),
        ({"algorithms": "HS256"}, "kind jwt: algorithms must be a list of texts"),
        ({"algorithms": [7]}, "kind jwt: algorithms must be a list of texts"),
        (
            {"algorithms": NAMES.split(", ")},
            "kind jwt: algorithms with a shared and with a public key cannot be mixed",
        ),
        (
            {"algorithms": ["HS256", "RS256"]},
            "kind jwt: algorithms with a shared and with a public key cannot be mixed",
        ),
        (
            {"require": None},
            (
                'kind jwt: require must have "iat" or "exp", or body_hash_claim be set: '
                "else a token is good for ever, for any body"
            ),
        ),
        (
            {"require": ["jti", "nbf"]},
            (
                'kind jwt: require must have "iat" or "exp", or body_hash_claim be set: '
                "else a token is good for ever, for any body"
            ),
        ),
        ({"require": "iat"}, "kind jwt: require must be a list of texts"),
        ({"header": "a b"}, "kind jwt: header 'a b' is not a header's name"),
        ({"scheme": 7}, "kind jwt: scheme must be a text"),
        ({"scheme": 0}, "kind jwt: scheme must be a text"),
        ({"max_age": 0}, "kind jwt: max_age must be a whole number of seconds from 1 to 86400"),
        ({"body_hash_claim": ""}, "kind jwt: body_hash_claim must be a text"),
        (
            {"body_hash_encoding": "utf8"},
            "kind jwt: body_hash_encoding 'utf8' is none of hex, base64, base64url",
        ),
        ({"issuer": 7}, "kind jwt: issuer must be a text"),
        ({"audience": ["a"]}, "kind jwt: audience must be a text"),
        ({"algorithm": "HS256"}, "kind jwt has no parameter 'algorithm'; did you mean 'algorithms'?"),
    ],
)
def test_a_parameter_that_does_not_fit_is_a_fault(parameters, sentence):
    with pytest.raises(ValueError, match=r".") as fault:
        verifier_of(**parameters)
    assert str(fault.value) == sentence


@pytest.mark.parametrize("required", ["iat", "exp"])
def test_a_token_that_ends_is_enough(required):
    verifier_of(require=[required])
    verifier_of(require=["jti"], body_hash_claim="hash")


def test_all_the_algorithms_are_named_that_a_secret_is_no_key_for():
    with pytest.raises(ValueError, match=r"^a secret is no key for RS256, PS256$"):
        verifier_of(SENSITIVE, algorithms=["RS256", "PS256"])


def unknown_curve():
    der = public_der(p256()).replace(bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a8648ce3d030155"))
    return f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(der).decode()}\n-----END PUBLIC KEY-----\n"


PRIVATE_KEY = "a secret is a private key: only the producer may have it, here belongs the public one"


@pytest.mark.parametrize(
    ("algorithm", "secret", "sentence"),
    [
        ("HS256", lambda: "", "a secret is empty: anybody could sign with it"),
        (
            "HS256",
            lambda: f"{SENSITIVE}\n",
            "a secret has white space around it: it was probably pasted with a line end",
        ),
        ("HS256", lambda: public_pem(p256()), "a secret is no key for HS256"),
        ("RS256", lambda: SENSITIVE, "a secret is no key for RS256"),
        ("RS256", lambda: public_pem(p256()), "a secret is no key for RS256"),
        ("RS256", lambda: private_pem(rsa_key()), PRIVATE_KEY),
        ("RS256", lambda: public_pem(rsa_key(1024)), "a secret is an RSA key of less than 2048 bits"),
        ("PS512", lambda: public_pem(rsa_key(1024)), "a secret is an RSA key of less than 2048 bits"),
        ("ES256", lambda: public_pem(P384), "a secret is no key for ES256"),
        ("ES256", lambda: private_pem(p256()), PRIVATE_KEY),
        ("ES256", unknown_curve, "a secret is no key for ES256"),
        ("EdDSA", lambda: public_pem(p256()), "a secret is no key for EdDSA"),
        ("EdDSA", lambda: private_pem(ed25519()), PRIVATE_KEY),
    ],
)
def test_a_secret_that_is_no_key_for_the_algorithm_is_a_fault_that_does_not_quote_it(
    algorithm, secret, sentence
):
    with pytest.raises(ValueError, match=r".") as fault:
        verifier_of(secret(), algorithms=[algorithm])
    assert str(fault.value) == sentence
