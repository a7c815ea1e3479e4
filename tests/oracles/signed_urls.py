"""Producers that sign the URL they call. Packages: twilio, squareup, hubspot-api-client."""

import re
from dataclasses import replace
from functools import partial
from hashlib import sha256
from urllib.parse import unquote, urlencode, urlsplit

from hubspot.utils.signature import Signature as HubSpotSignature
from square.utils.webhooks_helper import verify_signature as verify_square
from twilio.request_validator import HMAC_SHA1, HMAC_SHA256, add_port
from twilio.request_validator import RequestValidator as TwilioValidator

from tests.oracles.made_up import BODY, FORM, JSON, KEY, URL, base64_of, mac
from tests.oracles.producer import ALWAYS, Producer
from tests.oracles.request import Request

FIELDS = (
    ("RecordingSid", "RE1"),
    ("From", "+14158675309"),
    ("Digits", "5678"),
    ("Digits", "1234"),
    ("Digits", "1234"),
    ("Empty", ""),
    ("Body", "Grüße: 1 + 1 = 2 & more"),
    ("Éa", "sorted after the others"),
)


class Fields(dict):
    """As a web framework hands on a form, where a field may stand more than once."""

    def getlist(self, name):
        return self[name]


def _sign_twilio(request: Request, key: bytes, _at: int, *, algorithm: str = HMAC_SHA1) -> Request:
    signature = TwilioValidator(key.decode()).compute_signature(request.url, Fields(request.form), algorithm)
    return request.with_headers({"x-twilio-signature": signature})


def _sign_twilio_with_port(request: Request, key: bytes, at: int) -> Request:
    called = replace(request, url=add_port(urlsplit(request.url)))
    return replace(_sign_twilio(called, key, at), url=request.url)


def _check_twilio(request: Request, secret: str, *, algorithm: str = HMAC_SHA1) -> bool:
    signature = request.headers["x-twilio-signature"]
    return TwilioValidator(secret).validate(request.url, Fields(request.form), signature, algorithm)


def _sign_twilio_json(request: Request, key: bytes, _at: int) -> Request:
    called = replace(request, url=f"{request.url}&bodySHA256={sha256(request.body).hexdigest()}")
    signature = TwilioValidator(key.decode()).compute_signature(called.url, {})
    return called.with_headers({"x-twilio-signature": signature})


def _check_twilio_json(request: Request, secret: str) -> bool:
    signature = request.headers["x-twilio-signature"]
    return TwilioValidator(secret).validate(request.url, request.text, signature)


def _sign_square(request: Request, key: bytes, _at: int) -> Request:
    signature = base64_of(mac(key, request.url + request.text))
    return request.with_headers({"x-square-hmacsha256-signature": signature})


def _check_square(request: Request, secret: str) -> bool:
    return verify_square(
        request_body=request.text,
        signature_header=request.headers["x-square-hmacsha256-signature"],
        signature_key=secret,
        notification_url=request.url,
    )


def hubspot_uri(url: str) -> str:
    """As HubSpot's documentation asks the receiver to write it: the package leaves that to its caller."""
    return re.sub("%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", lambda escape: unquote(escape[0]), url)


def _sign_hubspot(request: Request, key: bytes, at: int) -> Request:
    timestamp, uri = str(at * 1000), hubspot_uri(request.url)
    signature = HubSpotSignature.get_signature(
        key.decode(), request.text, "v3", uri, request.method, timestamp
    )
    return request.with_headers(
        {"x-hubspot-signature-v3": signature, "x-hubspot-request-timestamp": timestamp}
    )


def _check_hubspot(request: Request, secret: str) -> bool:
    return HubSpotSignature.is_valid(
        request.headers["x-hubspot-signature-v3"],
        secret,
        request.text,
        hubspot_uri(request.url),
        request.method,
        "v3",
        request.headers["x-hubspot-request-timestamp"],
    )


def _sign_hubspot_old(request: Request, key: bytes, _at: int, *, version: str) -> Request:
    signature = HubSpotSignature.get_signature(
        key.decode(), request.text, version, request.url, request.method
    )
    return request.with_headers({"x-hubspot-signature": signature})


def _check_hubspot_old(request: Request, secret: str, *, version: str) -> bool:
    signature = request.headers["x-hubspot-signature"]
    return HubSpotSignature.is_valid(signature, secret, request.text, request.url, request.method, version)


def _producer(name, sign, check, *, request, **options):
    return Producer(
        name=name,
        scheme=name.partition(",")[0],
        request=request,
        key=KEY,
        spelled=bytes.decode,
        sign=sign,
        check=check,
        **{"late": ALWAYS, "early": ALWAYS, "signs_url": True, **options},
    )


_CALL = Request(f"{URL}/twilio?foo=1&bar=2", urlencode(FIELDS).encode(), FORM)
_JSON_CALL = Request(f"{URL}/twilio?foo=1&bar=2", BODY, JSON)
_POST = Request(f"{URL}/crm?next=%2Fdeals%3A1%2C2&text=a%20b%25", BODY, JSON)
_SHA256 = partial(_sign_twilio, algorithm=HMAC_SHA256), partial(_check_twilio, algorithm=HMAC_SHA256)
_V2 = partial(_sign_hubspot_old, version="v2"), partial(_check_hubspot_old, version="v2")
_V1 = partial(_sign_hubspot_old, version="v1"), partial(_check_hubspot_old, version="v1")

PRODUCERS = (
    *(
        _producer(preset, _sign_twilio, _check_twilio, request=_CALL, signs_form=True)
        for preset in ("twilio-form", "twilio-calls", "twilio-messages")
    ),
    _producer(
        "twilio-form, port signed", _sign_twilio_with_port, _check_twilio, request=_CALL, signs_form=True
    ),
    _producer("twilio-form-sharedkey", *_SHA256, request=_CALL, signs_form=True),
    _producer("twilio-json", _sign_twilio_json, _check_twilio_json, request=_JSON_CALL),
    _producer("square", _sign_square, _check_square, request=_POST),
    _producer("hubspot-v3", _sign_hubspot, _check_hubspot, request=_POST, signs_method=True, late=299),
    _producer("hubspot-v2", *_V2, request=_POST, signs_method=True),
    _producer("hubspot-v1", *_V1, request=_POST, signs_url=False),
)
