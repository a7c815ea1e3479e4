"""The secrets of a source: their times to the second, those that are only tried, and which one it was."""

import pytest

from gateway.model import Rejected, VerifiedWebhook
from gateway.verify import NoVerifier, Secret, compile_verifier, default_dedupe_key
from tests.support.gateway_app import KEY, SECRET, signed
from tests.support.verifying import (
    BODY,
    NOW,
    SENSITIVE,
    accepted,
    ed25519,
    in_base64,
    mac,
    refused,
    webhook,
)

OTHER = "whsec_" + in_base64(b"other")
SHADOW = "whsec_" + in_base64(b"shadow")


def standard(*secrets):
    return compile_verifier({"kind": "standard"}, secrets)


def made_by(key):
    return webhook(signed(BODY, at=NOW, key=key))


def verify(*secrets, key=KEY, now=NOW):
    return standard(*secrets).verify(made_by(key), now=now)


def test_the_index_of_the_secret_that_matched_is_told():
    assert accepted(verify(OTHER, SECRET)).secret == 1
    assert accepted(verify(SECRET, OTHER)).secret == 0


def test_of_two_equal_secrets_the_first_is_told():
    assert accepted(verify(OTHER, SECRET, SECRET)).secret == 1


@pytest.mark.parametrize(
    ("secret", "counts"),
    [
        (Secret(SECRET), True),
        (Secret(SECRET, not_before=NOW), True),
        (Secret(SECRET, not_before=NOW + 1), False),
        (Secret(SECRET, not_after=NOW), True),
        (Secret(SECRET, not_after=NOW - 1), False),
        (Secret(SECRET, not_before=NOW, not_after=NOW), True),
        (Secret(SECRET, not_before=0), True),
        (Secret(SECRET, not_after=0), False),
        (Secret(SECRET, shadow=True), False),
        (Secret(SECRET, not_before=NOW, not_after=NOW, shadow=True), False),
    ],
)
def test_a_secret_counts_from_its_first_second_to_its_last(secret, counts):
    assert isinstance(verify(Secret(OTHER), secret), VerifiedWebhook) == counts
    assert secret.counts(NOW) == counts


@pytest.mark.parametrize(
    ("secret", "detail"),
    [
        (Secret(SECRET, not_after=NOW - 1), "only secret 1 matches, and its time is over"),
        (Secret(SECRET, not_before=NOW + 1), "only secret 1 matches, and its time has not begun"),
        (
            Secret(SECRET, not_before=NOW + 1, not_after=NOW + 2),
            "only secret 1 matches, and its time has not begun",
        ),
        (
            Secret(SECRET, not_before=NOW - 2, not_after=NOW - 1),
            "only secret 1 matches, and its time is over",
        ),
        (
            Secret(SECRET, shadow=True),
            "only secret 1 matches, which is a shadow: it is tried, and does not count yet",
        ),
        (
            Secret(SECRET, not_after=NOW - 1, shadow=True),
            "only secret 1 matches, which is a shadow: it is tried, and does not count yet",
        ),
    ],
)
def test_a_secret_that_matches_and_does_not_count_is_explained(secret, detail):
    result = refused(verify(OTHER, secret))
    assert (result.reason, result.detail) == ("bad_signature", detail)


def test_where_no_secret_matches_none_is_named():
    result = refused(verify(Secret(OTHER, not_after=NOW - 1), Secret(SHADOW, shadow=True), OTHER))
    assert (result.reason, "only secret" in result.detail) == ("bad_signature", False)


def test_a_secret_that_is_over_does_not_stand_in_the_way_of_the_next():
    assert accepted(verify(Secret(SECRET, not_after=NOW - 1), SECRET)).secret == 1


def test_what_a_shadow_would_have_said_is_told_of_what_was_accepted():
    secrets = (
        SECRET,
        Secret(SHADOW, shadow=True),
        Secret(SECRET, shadow=True),
        Secret(SECRET, not_after=NOW - 1, shadow=True),
        Secret(SECRET, not_before=NOW + 1, shadow=True),
    )
    assert accepted(verify(*secrets)).shadows == ((1, False), (2, True))
    assert accepted(verify(SECRET)).shadows == ()


def test_a_shadow_alone_lets_nothing_in():
    assert isinstance(verify(OTHER, Secret(SECRET, shadow=True)), Rejected)


@pytest.mark.parametrize("secrets", [(), (Secret(SECRET, shadow=True),)])
def test_a_source_without_a_secret_that_counts_is_a_fault(secrets):
    with pytest.raises(ValueError, match=r"^at least one secret is needed that is not a shadow$"):
        standard(*secrets)


def test_the_seventeenth_secret_is_a_fault():
    standard(*[SECRET] * 16)
    with pytest.raises(ValueError, match=r"there are more than 16 secrets: each is tried for every forgery$"):
        standard(*[SECRET] * 17)


def test_what_is_signed_anew_is_signed_by_the_first_secret_that_counts():
    secrets = [
        Secret("whpk_" + in_base64(ed25519().public_key().public_bytes_raw())),
        Secret(SHADOW, shadow=True),
        Secret(OTHER, not_after=NOW - 1),
        Secret(OTHER, not_before=NOW + 1),
        Secret(SECRET),
    ]
    again = standard(*secrets).sign(webhook({"webhook-id": "a"}), now=NOW, url="")
    assert dict(again.headers)[b"webhook-signature"] == (
        b"v1," + in_base64(mac(b"a.%d." % NOW + BODY, key=KEY)).encode()
    )


def test_nothing_is_signed_anew_while_no_secret_counts():
    verifier = standard(Secret(SECRET, not_before=NOW + 1))
    assert verifier.unsignable is None
    with pytest.raises(ValueError, match=r"none of the source's secrets counts now$"):
        verifier.sign(webhook({"webhook-id": "a"}), now=NOW, url="")


def test_a_shadow_that_could_sign_makes_no_source_of_public_keys_signable():
    public = "whpk_" + in_base64(ed25519().public_key().public_bytes_raw())
    verifier = standard(public, Secret(SECRET, shadow=True))
    assert verifier.unsignable == "it has only public keys, which cannot sign"


@pytest.mark.parametrize(
    "parameters",
    [
        {"kind": "standard", "secret_encoding": "utf8"},
        {"kind": "hmac", "algorithm": "sha256", "header": "x"},
        {"kind": "hmac", "algorithm": "plain-sha256", "header": "x"},
        {"kind": "token", "from": "bearer"},
        {"kind": "jwt", "scheme": "Bearer", "algorithms": ["HS256"], "require": ["exp"]},
        {"kind": "rfc9421", "algorithm": "hmac-sha256", "secret_encoding": "utf8"},
    ],
)
def test_no_secret_is_shown(parameters):
    secret = Secret(SENSITIVE)
    assert repr(secret) == "Secret()"
    verifier = compile_verifier(parameters, [secret])
    assert SENSITIVE not in repr([secret, verifier])
    assert repr(verifier.keys) == "(SecretKey(),)"


def test_nothing_is_asked_where_the_source_is_open():
    verifier = compile_verifier({"kind": "none"}, [])
    assert isinstance(verifier, NoVerifier)
    result = verifier.verify(webhook({}), now=NOW)
    assert (result.secret, result.signature, result.body_authenticated) == (-1, None, False)
    assert result.content.json["data"] == {"jobId": "j1"}
    assert verifier.sign(webhook({}), now=NOW, url="").body == BODY
    assert (verifier.required_headers, verifier.tolerance_seconds, verifier.unsignable) == ((), 0, None)
    assert (verifier.credential_header, verifier.signs_method) == (None, False)


def test_a_secret_or_a_parameter_of_an_open_source_is_a_mistake():
    with pytest.raises(ValueError, match=r".") as fault:
        compile_verifier({"kind": "none"}, [SENSITIVE])
    assert str(fault.value) == (
        '{ kind = "none" } uses no secret: remove the secrets, or name a scheme that checks them'
    )
    with pytest.raises(ValueError, match=r'^{ kind = "none" } takes no further parameter$'):
        compile_verifier({"kind": "none", "prefix": "x"}, [])


@pytest.mark.parametrize("kind", ["hmca", None, 3, ["hmac"], ""])
def test_a_kind_that_is_not_known_is_a_fault_that_names_those_that_are(kind):
    sentence = (
        f"verify.kind {kind!r} is not known; known are none, asymmetric, hmac, jwt, rfc9421, standard, token"
    )
    with pytest.raises(ValueError, match="is not known") as fault:
        compile_verifier({"kind": kind}, [SECRET])
    assert str(fault.value) == sentence


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"kind": "standard"}, "header:webhook-id"),
        ({"kind": "standard", "prefix": "svix-"}, "header:svix-id"),
        ({"kind": "jwt"}, "claim:jti"),
        ({"kind": "hmac"}, "body"),
        ({"kind": "none"}, "body"),
    ],
)
def test_a_scheme_that_is_no_preset_is_told_apart_by_its_signed_id_else_by_the_body(parameters, expected):
    assert default_dedupe_key(parameters) == expected


def test_the_url_is_not_known_where_none_is_given():
    with pytest.raises(ValueError, match="set public_url to the one that it calls"):
        compile_verifier({"kind": "hmac", "algorithm": "sha1", "header": "x", "template": "{url}"}, ["s"])
