"""A valid request of every preset and vector, and what of it no accepted request may differ in."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes, urlencode

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.model import VerifiedWebhook, Webhook
from gateway.verify import PRESETS, Verifier, compile_verifier
from tests.support.gateway_app import SECRET
from tests.support.message_signatures import URL, signed
from tests.support.verifying import (
    NOW,
    VALID,
    ed25519,
    in_base64,
    p256,
    public_der,
    public_pem,
    request_of,
    rsa_key,
    verifier_of,
)

LONG_SECRET = "user:a-shared-secret-of-more-than-thirty-two-bytes"
BODY = {
    "type": "thing.happened",
    "webhookTimestamp": NOW * 1000,
    "signature": {"timestamp": str(NOW), "token": "t1", "signature": "00"},
    "value": [{"clientState": LONG_SECRET}],
}
FORM = b"CallSid=CA1&From=%2B15550100&Body=a+b"


@dataclass(frozen=True, slots=True)
class Known:
    name: str
    parameters: Mapping[str, Any]
    verifier: Verifier
    request: Webhook
    now: int


def of_preset(name: str, *, now: int = NOW) -> Known:
    parameters = PRESETS[name].verify
    verifier = compile_verifier(parameters, [_secret(parameters)], public_url=URL)
    body = FORM if "form_sorted" in parameters.get("template", "") else json.dumps(BODY).encode()
    ids = tuple(
        (text.removeprefix("header:").encode(), b"id-1")
        for text in (
            *parameters.get("vars", {}).values(),
            f"header:{parameters.get('prefix') or 'webhook-'}id",
        )
        if text.startswith("header:")
    )
    request = Webhook((*ids, (b"content-type", b"application/json")), b"", body)
    if verifier.unsignable is None:
        request = signed_anew(verifier, request, now=now)
    else:
        headers = _signed_by_hand(parameters, body, now=now)
        lines = tuple((key.encode(), value.encode()) for key, value in headers.items())
        request = replace(request, headers=(*request.headers, *lines))
    return Known(name, parameters, verifier, request, now)


def of_vector(vector: Mapping[str, Any]) -> Known:
    return Known(
        vector["id"], vector["config"], verifier_of(vector), request_of(vector), vector["timestamp_now"]
    )


def all_known() -> list[Known]:
    return [*map(of_preset, PRESETS), *map(of_vector, VALID)]


def signed_anew(verifier: Verifier, request: Webhook, *, now: int) -> Webhook:
    """As it would be sent on to URL."""
    made = verifier.sign(request, now=now, url=URL)
    replaced = {name for name, _ in made.headers}
    kept = tuple((name, value) for name, value in request.headers if name not in replaced)
    return replace(
        request, headers=(*kept, *made.headers), query=urlencode(made.query).encode(), body=made.body
    )


def _secret(parameters: Mapping[str, Any]) -> str:
    match parameters["kind"], parameters.get("algorithm"):
        case "standard", _:
            return SECRET
        case "rfc9421", "hmac-sha256":
            return in_base64(LONG_SECRET.encode())
        case "rfc9421" | "asymmetric", algorithm:
            return _public_key(PRIVATE[algorithm](), parameters.get("key_encoding", "pem"))
        case _:
            return LONG_SECRET


def _public_key(private: Any, encoding: str) -> str:
    match encoding:
        case "pem":
            return public_pem(private)
        case "spki-b64":
            return in_base64(public_der(private))
        case _:
            raw = private.public_key().public_bytes_raw()
            return str(raw.hex()) if encoding == "raw-hex" else in_base64(raw)


PRIVATE: Mapping[Any, Any] = {
    "ed25519": ed25519,
    "ecdsa-p256-sha256": p256,
    "rsa-pss-sha512": rsa_key,
    "rsa-v1_5-sha256": rsa_key,
}


def _signed_by_hand(parameters: Mapping[str, Any], body: bytes, *, now: int) -> dict[str, str]:
    """Of those that the gateway cannot sign for."""
    match parameters["kind"]:
        case "jwt":
            digest = hashlib.sha256(body).digest()
            in_hex = parameters.get("body_hash_encoding", "hex") == "hex"
            claims = {"iat": now, "exp": now + 60, "iss": parameters.get("issuer", "x"), "jti": "j"}
            claims[parameters["body_hash_claim"]] = digest.hex() if in_hex else in_base64(digest)
            scheme = parameters.get("scheme") or ""
            return {parameters["header"]: f"{scheme} {jwt.encode(claims, LONG_SECRET)}".strip()}
        case "rfc9421":
            algorithm = parameters["algorithm"]
            key = LONG_SECRET.encode() if algorithm == "hmac-sha256" else PRIVATE[algorithm]()
            headers = {"content-digest": f"sha-256=:{in_base64(hashlib.sha256(body).digest())}:"}
            covered = ("@method", "@target-uri", "content-digest")
            return signed(
                covered, headers, algorithm=algorithm, key=key, keyid=parameters["keyid"], created=now
            )
        case _:
            template = parameters["template"].replace("{timestamp}", str(now))
            message = template.encode().replace(b"{body}", body)
            private = PRIVATE[parameters["algorithm"]]()
            is_ec = isinstance(private, ec.EllipticCurvePrivateKey)
            signature = private.sign(message, ec.ECDSA(hashes.SHA256())) if is_ec else private.sign(message)
            return {
                parameters["header"]: in_base64(signature)
                if parameters["encoding"] == "base64"
                else signature.hex(),
                parameters["timestamp"]["from"].removeprefix("header:"): str(now),
            }


# What is signed, read in the plainest way: not by the code that verifies.


def differs(known: Known, request: Webhook, result: VerifiedWebhook) -> str | None:
    """What of an accepted request is not what the known one has, though it is signed; None: nothing is."""
    mine, its = _signed(known, known.request), _signed(known, request)
    if mine != its and not _is_json_as_form(known, request):
        return f"signed is {its!r}, and was {mine!r}"
    if result.body_authenticated and not _may_change_body(known) and request.body != known.request.body:
        return f"the body is {request.body!r}"
    return None


def _is_json_as_form(known: Known, request: Webhook) -> bool:
    """Twilio signs JSON by a URL alone, which by its scheme for forms is a form without fields."""
    is_form = "form_sorted" in known.parameters.get("template", "")
    return is_form and not request.body and b"bodySHA256=" in request.query


def _may_change_body(known: Known) -> bool:
    """By schemes that sign the body without saying where it begins: after a query, or as a form."""
    template = known.parameters.get("template", "")
    return "{url}{body}" in template or "form_sorted" in template


def _signed(known: Known, request: Webhook) -> Any:
    parameters, headers = known.parameters, {name.lower(): value for name, value in request.headers}
    match parameters["kind"]:
        case "standard":
            prefix = parameters.get("prefix") or "webhook-"
            return [headers[f"{prefix}{part}".encode()] for part in ("id", "timestamp")]
        case "token":
            return _token(parameters["from"], headers, request)
        case "jwt":
            return headers[parameters["header"].encode()].split(b" ")[-1].rpartition(b".")[0]
        case "rfc9421":
            covered = headers[b"signature-input"]
            names = (b"date", b"content-type", b"content-digest", b"content-length")
            values = [headers.get(name, b"").strip() for name in names if b'"%s"' % name in covered]
            values.append(request.query if b"@target-uri" in covered else b"")
            values.append(request.method.encode() if b"@method" in covered else b"")
            return covered.partition(b"=")[2].replace(b" ", b""), values
        case _:
            return _of_template(parameters, headers, request)


def _token(place: str, headers: Mapping[bytes, bytes], request: Webhook) -> Any:
    match place.partition(":")[0]:
        case "header":
            return headers[place.removeprefix("header:").encode()]
        case "bearer" | "basic":
            return headers[b"authorization"].partition(b" ")[2]
        case "query":
            return dict(parse_qsl(request.query.decode(), keep_blank_values=True))[place[6:]]
        case _:
            return {item["clientState"] for item in json.loads(request.body)["value"]}


def _of_template(parameters: Mapping[str, Any], headers: Mapping[bytes, bytes], request: Webhook) -> Any:
    template, found = parameters.get("template", "{body}"), {}
    place = parameters.get("timestamp", {}).get("from", "")
    selectors = [*parameters.get("vars", {}).values(), place]
    for selector in selectors:
        form, _, name = selector.partition(":")
        if form == "header":
            found[selector] = headers[name.encode()]
        elif form == "json":
            value = json.loads(request.body)
            for key in name.split("."):
                value = value[key]
            found[selector] = str(value).encode()
        elif form == "field":
            items = headers[parameters["header"].encode()].split(parameters.get("item_sep", ",").encode())
            found[selector] = dict(item.strip(b" ").split(b"=", 1) for item in items)[name.encode()]
    if "{method}" in template:
        found["method"] = request.method.encode()
    if "{url}" in template:
        query = request.query
        if parameters.get("url_decode"):
            query = unquote_to_bytes(query)
        form = b"".join(name + value for name, value in sorted(_pairs(request.body)))
        found["url"] = query + (form if "form_sorted" in template else request.body)
    return found


def _pairs(body: bytes) -> set[tuple[bytes, bytes]]:
    pairs = parse_qsl(body.decode("latin-1"), keep_blank_values=True, encoding="latin-1", max_num_fields=None)
    return {(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs}
