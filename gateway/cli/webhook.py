"""verify · sign: a source's webhooks, offline."""

import argparse
import base64
import binascii
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from gateway.cli.ending import REFUSED, UnusableInputError
from gateway.config import Config, Source, load
from gateway.model import Rejected, VerifiedWebhook, Webhook
from gateway.reading import Reading


def verify(options: argparse.Namespace) -> int:
    """Explains, offline, whether a captured request would be accepted."""
    config = load(options.config, environ=os.environ)
    source = _source(config, options.source)
    method, webhook = _captured(options.request)
    now = int(time.time()) if options.at is None else options.at
    verified: VerifiedWebhook | Rejected
    if method != "POST":
        verified = Rejected("method", f"{method} is not POST")
    elif len(webhook.body) > config.server.max_body_bytes:
        verified = Rejected("too_large", f"the body is longer than {config.server.max_body_bytes} bytes")
    else:
        verified = source.verifier.verify(webhook, now=now)
    answer: dict[str, Any] = dict.fromkeys(("event_id_key", "event_type", "ordering_key"))
    if isinstance(verified, Rejected):
        answer = {"verified": False, "reason": verified.reason, **answer, "detail": verified.detail}
    else:
        reading = Reading(source, verified.webhook)
        answer = {
            "verified": True,
            "reason": None,
            "event_id_key": reading.dedupe_key,
            "event_type": reading.event_type,
            "ordering_key": reading.ordering_key,
        }
    print(json.dumps(answer))
    return 0 if answer["verified"] else REFUSED


def sign(options: argparse.Namespace) -> int:
    """Prints the headers a producer would send, for trying a source with curl."""
    source = _source(load(options.config, environ=os.environ), options.source)
    now = int(time.time()) if options.at is None else options.at
    try:
        headers = source.verifier.sign(options.id, sys.stdin.buffer.read(), now=now)
    except ValueError as error:
        raise UnusableInputError(str(error)) from None
    for name, value in headers.items():
        print(f"{name}: {value}")
    return 0


def _source(config: Config, name: str) -> Source:
    for source in config.sources:
        if source.name == name:
            return source
    names = ", ".join(sorted(source.name for source in config.sources))
    raise UnusableInputError(f"no source is called {name!r}; there are {names}")


def _captured(path: Path) -> tuple[str, Webhook]:
    """The method and the request of `{"method", "url", "headers": [[name, value], …], "body_base64"}`"""
    try:
        request = json.loads(path.read_bytes())
        headers = tuple(
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in request["headers"]
        )
        body = base64.b64decode(request["body_base64"], validate=True)
        query = str(request["url"]).partition("?")[2].partition("#")[0].encode()
        method = str(request["method"])
    except OSError as error:
        raise UnusableInputError(f"{path}: {error.strerror}") from None
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError, binascii.Error) as error:
        raise UnusableInputError(
            f'{path}: must be JSON {{"method", "url", "headers": [[name, value], …], "body_base64"}}: {error!r}'
        ) from None
    return method, Webhook(headers=headers, query=query, body=body)
