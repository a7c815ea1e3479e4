"""What somebody does who wants a forged request taken, a secret to leak, or the gateway to stand still."""

import hashlib
import hmac

from gateway.model import VerifiedWebhook, Webhook
from gateway.verify import PRESETS, compile_verifier
from tests.support.gateway_app import gateway_without_server

NOW = 1_795_341_600
MEBIBYTE = 1_048_576


def webhook(headers=(), body=b"", query=b""):
    pairs = headers.items() if isinstance(headers, dict) else headers
    as_bytes = [
        (name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in pairs
    ]
    return Webhook(tuple(as_bytes), query, body)


def preset(name, secret, *, public_url=""):
    return compile_verifier(PRESETS[name].verify, [secret], public_url=public_url)


def is_taken(verifier, *request, now=NOW, **more):
    return isinstance(verifier.verify(webhook(*request, **more), now=now), VerifiedWebhook)


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


async def test_what_x_has_signed_for_anybody_who_asks_is_no_event(tmp_path):
    text = '[[sources]]\nname = "x"\npreset = "x-twitter"\nsecrets = ["made-up-consumer-secret"]\n'
    with gateway_without_server(tmp_path, text) as (client, store):
        async with client:
            for body in ("12345", "forged", "true", "AAAA+/=_-"):
                asked = await client.get("/webhooks/x", params={"crc_token": body})
                headers = {"x-twitter-webhooks-signature": asked.json()["response_token"]}
                answer = await client.post("/webhooks/x", headers=headers, content=body)
                assert answer.status_code == 401
        await store.close()
