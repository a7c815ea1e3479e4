"""serve · check · verify · sign: the only place that picks a store."""

import argparse
import base64
import binascii
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gateway
from gateway import app, connect, server
from gateway.clock import SystemClock
from gateway.config import Config, Source, load
from gateway.errors import ConfigError, GatewayError
from gateway.ingest import Reading
from gateway.log import emit, set_up
from gateway.metrics import Metrics
from gateway.model import Rejected, VerifiedWebhook, Webhook
from gateway.store.sqlite import SqliteStore, sqlite_path

REFUSED = 1
UNUSABLE = 2


class UnusableInputError(Exception):
    """What was given on the command line cannot be used; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except ConfigError as error:
        print(
            "The configuration has faults:",
            *(f"  {fault}" for fault in error.faults),
            sep="\n",
            file=sys.stderr,
        )
        return UNUSABLE if options.run in (verify, sign) else 1
    except UnusableInputError as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    except (GatewayError, OSError) as error:
        print(f"gateway: {error}", file=sys.stderr)
        return 1


def serve(options: argparse.Namespace) -> int:
    config = load(options.config, environ=os.environ)
    set_up(level=config.server.log_level)
    clock, metrics = SystemClock(), Metrics(version=gateway.__version__)
    listener = server.bind(config.server.host, config.server.port)
    store = SqliteStore(
        sqlite_path(config.store.url),
        destinations=[destination.name for destination in config.destinations],
        now=clock.now_ms(),
        on_commit=metrics.on_commit,
    )
    created = app.create(config, store=store, clock=clock, metrics=metrics)

    def reload() -> None:
        try:
            created.reload(load(options.config, environ=os.environ))
        except ConfigError as error:
            emit("config.refused", faults=error.faults)
        else:
            emit("config.reloaded")

    server.serve(created.app, listener, on_hangup=reload)
    return 0


def check(options: argparse.Namespace) -> int:
    config = load(options.config, environ=os.environ)
    faults = connect.faults(config.destinations) if options.connect else []
    if faults:
        raise ConfigError(faults)
    sources, destinations = len(config.sources), len(config.destinations)
    print(f"The configuration is sound: {_count(sources, 'source')}, {_count(destinations, 'destination')}.")
    return 0


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


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gateway", description=gateway.__doc__)
    parser.add_argument("--version", action="version", version=gateway.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument(
            "--config", type=Path, metavar="FILE", help="default: $GATEWAY_CONFIG, ./gateway.toml, built-in"
        )
        sub.set_defaults(run=run)
        return sub

    command("serve", serve, "run the gateway")
    sub = command("check", check, "validate the configuration and report every fault")
    sub.add_argument("--connect", action="store_true", help="also connect to every destination")
    sub = command("verify", verify, "explain, offline, whether a captured request would be accepted")
    sub.add_argument("--source", required=True, metavar="NAME")
    sub.add_argument("--request", required=True, type=Path, metavar="FILE", help="the request as JSON")
    sub.add_argument("--at", type=int, metavar="UNIX_SECONDS", help="the time to judge by; default: now")
    sub = command("sign", sign, "print the headers a producer would send with the body on standard input")
    sub.add_argument("--source", required=True, metavar="NAME")
    sub.add_argument("--id", required=True)
    sub.add_argument("--at", type=int, metavar="UNIX_SECONDS", help="the time to sign for; default: now")
    return parser
