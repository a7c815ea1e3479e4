"""Producers with an HMAC of a form of their own.

Packages: box-sdk-gen, elevenlabs, gocardless-pro, line-bot-sdk, paddle-python-sdk, razorpay, retell-sdk, slack-sdk,
stripe, workos.
"""

import logging
from datetime import datetime, timedelta, timezone
from functools import partial
from types import SimpleNamespace

import gocardless_pro.webhooks
import razorpay
import retell.lib.webhook_auth
import stripe
from box_sdk_gen.managers.webhooks import WebhooksManager as BoxWebhooks
from elevenlabs import ElevenLabs
from linebot.v3.webhook import SignatureValidator as LineValidator
from paddle_billing.Notifications import Secret as PaddleSecret
from paddle_billing.Notifications import Verifier as PaddleVerifier
from paddle_billing.Notifications.PaddleSignature import PaddleSignature
from slack_sdk.signature import SignatureVerifier as SlackVerifier
from workos import WorkOSClient

from tests.oracles.made_up import BODY, FORM, JSON, KEY, URL, base64_of, mac
from tests.oracles.producer import ALWAYS, Producer
from tests.oracles.request import Request

ELEVENLABS = ElevenLabs(api_key="made-up")
RAZORPAY = razorpay.Client(auth=("made-up", "made-up"))
WORKOS = WorkOSClient(api_key="made-up", client_id="made-up")
logging.getLogger("paddle_billing").disabled = True  # it tells each step
COMMAND = b"token=t&command=%2Fask&text=a+b&response_url="


def _sign_stripe(request, key, at):
    header = stripe.WebhookSignature.generate_signature_header(request.text, key.decode(), at)
    return request.with_headers({"stripe-signature": header})


def _check_stripe(request: Request, secret: str) -> bool:
    header = request.headers.get("stripe-signature")
    return stripe.WebhookSignature.verify_header(request.body, header, secret, tolerance=300)


def _sign_slack(request: Request, key: bytes, at: int) -> Request:
    signature = SlackVerifier(key.decode()).generate_signature(timestamp=str(at), body=request.body)
    return request.with_headers({"x-slack-request-timestamp": str(at), "x-slack-signature": signature})


def _check_slack(request: Request, secret: str) -> bool:
    return SlackVerifier(secret).is_valid_request(request.body, request.headers)


def _sign_paddle(request: Request, key: bytes, at: int) -> Request:
    signature = PaddleSignature.calculate_hmac(key.decode(), f"{at}:{request.text}".encode()).hexdigest()
    return request.with_headers({"paddle-signature": f"ts={at};h1={signature}"})


def _check_paddle(request: Request, secret: str) -> bool:
    headers = {"Paddle-Signature": request.headers.get("paddle-signature")}
    seen = SimpleNamespace(headers=headers, body=request.body)
    return PaddleVerifier(maximum_variance=300).verify(seen, PaddleSecret(secret))


def _sign_elevenlabs(request: Request, key: bytes, at: int) -> Request:
    signature = mac(key, f"{at}.{request.text}").hex()
    return request.with_headers({"elevenlabs-signature": f"t={at},v0={signature}"})


def _check_elevenlabs(request: Request, secret: str) -> None:
    ELEVENLABS.webhooks.construct_event(request.text, request.headers.get("elevenlabs-signature"), secret)


def _sign_retell(request: Request, key: bytes, at: int) -> Request:
    signature = retell.lib.webhook_auth.symmetric["sign"](request.text, key.decode(), at * 1000)
    return request.with_headers({"x-retell-signature": signature})


def _check_retell(request: Request, secret: str) -> bool:
    return retell.lib.webhook_auth.verify(request.text, secret, request.headers["x-retell-signature"])


def _sign_line(request: Request, key: bytes, _at: int) -> Request:
    return request.with_headers({"x-line-signature": base64_of(mac(key, request.text))})


def _check_line(request: Request, secret: str) -> bool:
    return LineValidator(secret).validate(request.text, request.headers["x-line-signature"])


def _sign_body(request: Request, key: bytes, _at: int, *, header: str) -> Request:
    return request.with_headers({header: mac(key, request.text).hex()})


def _check_gocardless(request: Request, secret: str) -> None:
    gocardless_pro.webhooks.parse(request.body, secret, request.headers["webhook-signature"])


def _check_razorpay(request: Request, secret: str) -> bool:
    signature = request.headers["x-razorpay-signature"]
    return RAZORPAY.utility.verify_webhook_signature(request.text, signature, secret)


def _sign_workos(request: Request, key: bytes, at: int) -> Request:
    signature = mac(key, f"{at}000.{request.text}").hex()
    return request.with_headers({"workos-signature": f"t={at}000, v1={signature}"})


def _check_workos(request: Request, secret: str) -> None:
    WORKOS.webhooks.verify_header(
        event_body=request.body,
        event_signature=request.headers["workos-signature"],
        secret=secret,
        tolerance=300,
    )


def _sign_box(request: Request, key: bytes, at: int) -> Request:
    time = datetime.fromtimestamp(at, timezone(timedelta(hours=-7))).isoformat()
    signature = base64_of(mac(key, request.text + time))
    return request.with_headers({"box-signature-primary": signature, "box-delivery-timestamp": time})


def _check_box(request: Request, secret: str) -> bool:
    return BoxWebhooks.validate_message(request.text, request.headers, secret)


def _producer(name, *, sign, check, headers=JSON, body=BODY, key=KEY, **options):
    return Producer(
        name=name,
        scheme=name.partition(",")[0],
        request=Request(URL, body, headers),
        key=key,
        spelled=bytes.decode,
        sign=sign,
        check=check,
        **options,
    )


BOX = {**JSON, "box-signature-version": "1", "box-signature-algorithm": "HmacSHA256"}

PRODUCERS = (
    _producer("box", sign=_sign_box, check=_check_box, headers=BOX, late=600, early=0),
    _producer("elevenlabs", sign=_sign_elevenlabs, check=_check_elevenlabs, late=1800, early=ALWAYS),
    _producer(
        "gocardless",
        sign=partial(_sign_body, header="webhook-signature"),
        check=_check_gocardless,
        late=ALWAYS,
        early=ALWAYS,
    ),
    _producer("line", sign=_sign_line, check=_check_line, late=ALWAYS, early=ALWAYS),
    _producer("paddle", sign=_sign_paddle, check=_check_paddle),
    _producer(
        "razorpay",
        sign=partial(_sign_body, header="x-razorpay-signature"),
        check=_check_razorpay,
        late=ALWAYS,
        early=ALWAYS,
    ),
    _producer("retell", sign=_sign_retell, check=_check_retell),
    _producer("slack", sign=_sign_slack, check=_check_slack),
    _producer("slack, command", sign=_sign_slack, check=_check_slack, headers=FORM, body=COMMAND),
    _producer("stripe", sign=_sign_stripe, check=_check_stripe, key=b"whsec_" + KEY, early=ALWAYS),
    _producer("workos", sign=_sign_workos, check=_check_workos),
)
