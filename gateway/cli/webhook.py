"""verify · sign: a source's webhooks, offline."""

import argparse
import base64
import binascii
import json
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.cli.ending import REFUSED, UnusableInputError
from gateway.config import Config, Source, load
from gateway.model import Headers, Rejected, VerifiedWebhook, Webhook
from gateway.reading import Reading
from gateway.verify import NoVerifier, Secret, compile_verifier
from gateway.verify.explain import Case, explain


def verify(options: argparse.Namespace) -> int:
    """Explains, offline, whether a captured request would be accepted."""
    config = load(options.config, environ=os.environ)
    source = _source(config, options.source)
    webhook, url = _captured(options.request)
    now = int(time.time()) if options.at is None else options.at
    verified: VerifiedWebhook | Rejected
    if webhook.method != "POST" and not source.verifier.signs_method:
        verified = Rejected("method", f"{webhook.method} is not POST")
    elif len(webhook.body) > config.server.max_body_bytes:
        verified = Rejected("too_large", f"the body is longer than {config.server.max_body_bytes} bytes")
    else:
        verified = source.handshake.refused(webhook.body) or source.verifier.verify(webhook, now=now)
    answer: dict[str, Any] = dict.fromkeys(("event_id_key", "event_type", "ordering_key"))
    if isinstance(verified, Rejected):
        case = Case(source.verify, source.secrets, source.public_url, webhook, url, now)
        detail = explain(case, verified, verify=_verify)
        answer = {"verified": False, "reason": verified.reason, **answer, "detail": detail}
    else:
        reading = Reading(source, verified)
        answer = {
            "verified": True,
            "reason": None,
            "event_id_key": reading.dedupe_key,
            "event_type": reading.event_type,
            "ordering_key": reading.ordering_key,
        }
    print(json.dumps(answer))
    return 0 if answer["verified"] else REFUSED


def _verify(
    parameters: Mapping[str, Any], secrets: Sequence[Secret], public_url: str, webhook: Webhook, now: int
) -> VerifiedWebhook | Rejected:
    return compile_verifier(parameters, secrets, public_url=public_url).verify(webhook, now=now)


def sign(options: argparse.Namespace) -> int:
    """Prints the headers a producer would send, for trying a source with curl."""
    source = _source(load(options.config, environ=os.environ), options.source)
    now = int(time.time()) if options.at is None else options.at
    headers = _id_header(source, options.id)
    webhook = Webhook(headers, b"", sys.stdin.buffer.read())
    try:
        signed = source.verifier.sign(webhook, now=now, url=source.public_url)
    except ValueError as error:
        raise UnusableInputError(str(error)) from None
    if signed.body != webhook.body:
        raise UnusableInputError("this scheme signs within the body: it has no headers to print")
    if signed.query:
        raise UnusableInputError(
            f"this scheme has a part of its proof in the query: add ?{signed.query[0][0]}=… to the URL"
        )
    if not signed.headers and not isinstance(source.verifier, NoVerifier):
        raise UnusableInputError("this scheme has its token in the body: it has no headers to print")
    names = {name for name, _ in signed.headers}
    for name, value in (*(header for header in headers if header[0] not in names), *signed.headers):
        print(f"{name.decode()}: {value.decode('latin-1')}")
    return 0


def _id_header(source: Source, event_id: str) -> Headers:
    """Where this source's events have their id, if that is a header."""
    selector = source.dedupe_key
    if selector is None or not selector.text.startswith("header:"):
        return ()
    if not re.fullmatch(r"[\x21-\x7e]+", event_id, re.ASCII):
        raise UnusableInputError("an id must be printable ASCII, without spaces and not empty")
    return ((selector.text.removeprefix("header:").lower().encode(), event_id.encode()),)


def _source(config: Config, name: str) -> Source:
    for source in config.sources:
        if source.name == name:
            return source
    names = ", ".join(sorted(source.name for source in config.sources))
    raise UnusableInputError(f"no source is called {name!r}; there are {names}")


def _captured(path: Path) -> tuple[Webhook, str]:
    """The request, and its URL, of `{"method", "url", "headers": [[name, value], …], "body_base64"}`"""
    try:
        request = json.loads(path.read_bytes())
        headers = tuple(
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in request["headers"]
        )
        body = base64.b64decode(request["body_base64"], validate=True)
        url = str(request["url"])
        query = url.partition("?")[2].partition("#")[0].encode()
        method = str(request["method"])
    except OSError as error:
        raise UnusableInputError(f"{path}: {error.strerror}") from None
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError, binascii.Error) as error:
        raise UnusableInputError(
            f'{path}: must be JSON {{"method", "url", "headers": [[name, value], …], "body_base64"}}: {error!r}'
        ) from None
    return Webhook(headers=headers, query=query, body=body, method=method), url
