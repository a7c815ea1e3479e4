"""Producers whose packages are for Node. Packages: @linear/sdk, @octokit/webhooks-methods, @shopify/shopify-api."""

import atexit
import json
import subprocess
import time
from functools import cache, partial
from pathlib import Path

from tests.oracles.made_up import BODY, DOCUMENT, JSON, KEY, URL, base64_of, mac
from tests.oracles.producer import ALWAYS, Producer
from tests.oracles.request import Request

JUDGE = Path(__file__).parent / "npm" / "judge.js"
SHOPIFY = {
    "x-shopify-topic": "orders/create",
    "x-shopify-shop-domain": "made-up.myshopify.com",
    "x-shopify-api-version": "2026-07",
    "x-shopify-webhook-id": "1",
}
LINEAR = json.dumps({"webhookTimestamp": 0, **DOCUMENT, "text": "Grüße 👋"}, ensure_ascii=False).encode()


@cache
def _judge() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        ["node", JUDGE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    )

    def end() -> None:
        process.communicate()

    atexit.register(end)
    return process


def _check(request: Request, secret: str, *, producer: str) -> bool:
    """Raise ValueError where the package throws."""
    question = {
        "producer": producer,
        "now": time.time(),
        "secret": secret,
        "body": request.text,
        "headers": dict(request.headers),
        "method": request.method,
        "url": request.url,
    }
    process = _judge()
    process.stdin.write(json.dumps(question) + "\n")
    process.stdin.flush()
    answer = json.loads(process.stdout.readline())
    if isinstance(answer, str):
        raise ValueError(answer)  # noqa: TRY004 - it is what the package threw
    return answer


def _sign_github(request: Request, key: bytes, _at: int) -> Request:
    return request.with_headers({"x-hub-signature-256": "sha256=" + mac(key, request.text).hex()})


def _sign_shopify(request: Request, key: bytes, _at: int) -> Request:
    return request.with_headers({"x-shopify-hmac-sha256": base64_of(mac(key, request.text))})


def _sign_linear(request: Request, key: bytes, at: int) -> Request:
    """The time stands in the body."""
    timed = request.with_json(webhookTimestamp=at * 1000)
    return timed.with_headers({"linear-signature": mac(key, timed.text).hex()})


def _producer(preset, *, sign, headers=JSON, body=BODY, late=ALWAYS, early=ALWAYS):
    return Producer(
        name=preset,
        scheme=preset,
        request=Request(URL, body, headers),
        key=KEY,
        spelled=bytes.decode,
        sign=sign,
        check=partial(_check, producer=preset),
        late=late,
        early=early,
    )


PRODUCERS = (
    _producer(
        "github", sign=_sign_github, headers={**JSON, "x-github-delivery": "1", "x-github-event": "push"}
    ),
    _producer("linear", sign=_sign_linear, body=LINEAR, late=60, early=60),
    _producer("shopify", sign=_sign_shopify, headers={**JSON, **SHOPIFY}),
)
