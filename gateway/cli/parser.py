"""What can be written on the command line."""

import argparse
import re
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import get_args

import gateway
from gateway.cli import admin, service, webhook
from gateway.store import EventState

AGO = re.compile(r"([0-9]{1,9})([smhd])", re.ASCII)
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
WHEN = "90m, 12h or 7d (so long ago), 2026-11-22T10:00, or Unix ms"

Run = Callable[[argparse.Namespace], int]


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(prog="gateway", description=gateway.__doc__)
    whole.add_argument("--version", action="version", version=gateway.__version__)
    commands = Commands(whole, are_admin=False)
    _service(commands)
    _webhook(commands)
    _events(commands.group("events", "list, show, replay, discard or erase events of a running gateway"))
    _replays(commands.group("replays", "list or cancel replays of many events"))
    _destinations(commands.group("destinations", "list, pause or resume destinations"))
    return whole


class Commands:
    """Subcommands of one parser, each with the options that all of them take."""

    def __init__(self, parent: argparse.ArgumentParser, *, are_admin: bool) -> None:
        self._commands = parent.add_subparsers(required=True, metavar="COMMAND")
        self._are_admin = are_admin

    def add(self, name: str, run: Run, text: str) -> argparse.ArgumentParser:
        sub = self._commands.add_parser(name, help=text, description=text)
        _shared(sub, is_admin=self._are_admin, default=argparse.SUPPRESS if self._are_admin else None)
        sub.set_defaults(run=run)
        return sub

    def group(self, name: str, text: str) -> "Commands":
        sub = self._commands.add_parser(name, help=text, description=text)
        _shared(sub, is_admin=True, default=None)
        return Commands(sub, are_admin=True)


def _shared(sub: argparse.ArgumentParser, *, is_admin: bool, default: str | None) -> None:
    """`default` is SUPPRESS where the group before has set it already."""
    sub.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=default,
        help="default: $GATEWAY_CONFIG, ./gateway.toml, built-in",
    )
    if is_admin:
        sub.add_argument(
            "--url", default=default, help="of the gateway; default: http://127.0.0.1 and the configured port"
        )


def _service(commands: Commands) -> None:
    commands.add("serve", service.serve, "run the gateway")
    sub = commands.add("check", service.check, "validate the configuration and report every fault")
    sub.add_argument("--connect", action="store_true", help="also connect to every destination")
    sub = commands.add("backup", service.backup, "copy the store while the gateway runs")
    sub.add_argument("file", type=Path, metavar="FILE", help="a new file")


def _webhook(commands: Commands) -> None:
    sub = commands.add(
        "verify", webhook.verify, "explain, offline, whether a captured request would be accepted"
    )
    sub.add_argument("--source", required=True, metavar="NAME")
    sub.add_argument("--request", required=True, type=Path, metavar="FILE", help="the request as JSON")
    sub.add_argument("--at", type=int, metavar="UNIX_SECONDS", help="the time to judge by; default: now")
    sub = commands.add(
        "sign", webhook.sign, "print the headers a producer would send with the body on standard input"
    )
    sub.add_argument("--source", required=True, metavar="NAME")
    sub.add_argument("--id", required=True)
    sub.add_argument("--at", type=int, metavar="UNIX_SECONDS", help="the time to sign for; default: now")


def _events(commands: Commands) -> None:
    sub = commands.add("list", admin.list_events, "newest first: a table, or JSON lines where nobody watches")
    _filters(sub)
    sub.add_argument("--limit", type=_count, default=50, metavar="N", help="0: all; default: 50")
    sub = commands.add("show", admin.show_event, "one event with its body, deliveries and attempts")
    sub.add_argument("id")
    sub = commands.add("replay", admin.replay, "send one event again, or all that match the filters")
    sub.add_argument("id", nargs="?")
    sub.add_argument(
        "--to",
        action="append",
        metavar="NAME",
        help="of one event, may be repeated; default: those it is dead for, or all that want it",
    )
    _filters(sub)
    sub.add_argument("--dry-run", action="store_true", help="only count what matches")
    sub.add_argument(
        "--rate", type=_rate, metavar="N", help="events a second; default: as fast as they are delivered"
    )
    sub.add_argument("--no-wait", action="store_true", help="return once it has begun")
    sub = commands.add("discard", admin.discard, "give up an event's pending deliveries, which frees its key")
    sub.add_argument("id")
    sub = commands.add("erase", admin.erase, "erase an event's body and headers for good")
    sub.add_argument("id")


def _replays(commands: Commands) -> None:
    commands.add("list", admin.list_replays, "newest first")
    sub = commands.add("cancel", admin.cancel_replay, "queue no more of it; what is queued is delivered")
    sub.add_argument("id")


def _destinations(commands: Commands) -> None:
    commands.add("list", admin.list_destinations, "how each stands")
    sub = commands.add("pause", admin.pause, "send them nothing more; events are accepted and wait")
    sub.add_argument("name", nargs="+", metavar="NAME")
    sub = commands.add("resume", admin.resume, "send them what waits; also ends a hold")
    sub.add_argument("name", nargs="+", metavar="NAME")


def _filters(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--source", metavar="NAME")
    sub.add_argument("--destination", metavar="NAME")
    sub.add_argument("--state", choices=get_args(EventState))
    sub.add_argument("--type")
    sub.add_argument("--key", help="the ordering key")
    sub.add_argument("--since", type=_time, metavar="TIME", help=f"received at or after: {WHEN}")
    sub.add_argument("--until", type=_time, metavar="TIME", help="received before")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError("must be a whole number")
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1
    if not 0 <= rate < float("inf"):
        raise argparse.ArgumentTypeError("must be a number from 0")
    return rate


def _time(text: str) -> int:
    """Unix ms of a time, or of so long ago. One without a zone is local."""
    if match := AGO.fullmatch(text):
        return round((time.time() - int(match[1]) * SECONDS[match[2]]) * 1000)
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write {WHEN}") from None
