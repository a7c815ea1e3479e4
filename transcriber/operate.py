"""events · webhooks: the operators' routes of a running service, from a terminal."""

import argparse
import json
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Self
from urllib.parse import quote

import httpx

from transcriber.settings import Settings

TIMEOUT_SECONDS = 30.0
PAGE = 100
FILTERS = ("job_id", "webhook", "state", "since", "until")
OF_MANY = ("job_id", "webhook", "since", "until")
EVENT = ("id", "jobId", "sequence", "type", "writtenAt", "deliveries")
WEBHOOK = ("name", "configured", "waiting", "oldestWrittenAt", "lastStatus", "lastError", "url")
_AGO = re.compile(r"([0-9]{1,9})([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_WHEN = "90m, 12h or 7d (so long ago), 2026-11-22T10:00, or Unix ms"

Items = Iterable[Mapping[str, Any]]


class OperatorError(Exception):
    """What the service refused, or that it cannot be asked; the message is for the operator."""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    events = commands.add_parser("events", help="the events of a running service: list, show, replay")
    of_events = events.add_subparsers(required=True, metavar="COMMAND")
    sub = _command(of_events, "list", list_events, "newest first")
    _filters(sub)
    sub.add_argument("--state", choices=("waiting", "taken"))
    sub.add_argument("--limit", type=_count, default=20, metavar="N", help="0: all; default: 20")
    _command(of_events, "show", show_event, "one event with its body").add_argument("id")
    sub = _command(
        of_events, "replay", replay, "send one event again, or all taken ones that match the filters"
    )
    sub.add_argument("id", nargs="?")
    sub.add_argument("--to", action="append", metavar="NAME", help="of one event; may be repeated")
    _filters(sub)
    sub.add_argument("--dry-run", action="store_true", help="only count what matches")
    webhooks = commands.add_parser("webhooks", help="where a running service sends its events: list, discard")
    of_webhooks = webhooks.add_subparsers(required=True, metavar="COMMAND")
    _command(of_webhooks, "list", list_webhooks, "what waits for each, and how its latest attempt ended")
    sub = _command(of_webhooks, "discard", discard, "drop what waits for one that is no longer configured")
    sub.add_argument("name")


def run(options: argparse.Namespace, settings: Settings) -> int:
    """The exit code: 0, or 1 if there is no key to ask with, or the service refused or did not answer."""
    if not settings.api_key:
        print("set TRANSCRIBER_API_KEY, the service's own: without it nobody may ask", file=sys.stderr)
        return 1
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = options.url or settings.public_url or f"http://{host}:{settings.port}"
    try:
        with _Client(url, settings.api_key) as client:
            options.operate(client, options)
    except OperatorError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def list_events(client: "_Client", options: argparse.Namespace) -> None:
    asked = {name: getattr(options, name) for name in FILTERS}
    _show(client.pages("/v1/events", limit=options.limit, **asked), EVENT)


def show_event(client: "_Client", options: argparse.Namespace) -> None:
    print(json.dumps(client.ask("GET", f"/v1/events/{quote(options.id, safe='')}"), indent=2))


def replay(client: "_Client", options: argparse.Namespace) -> None:
    filters = {name: getattr(options, name) for name in OF_MANY if getattr(options, name) is not None}
    if options.id is not None:
        if filters or options.dry_run:
            raise OperatorError("filters and --dry-run are for the replay of many events: leave out the id")
        content = {"webhooks": options.to} if options.to else {}
        _show([client.ask("POST", f"/v1/events/{quote(options.id, safe='')}/replay", json=content)], EVENT)
        return
    if options.to:
        raise OperatorError("--to is for the replay of one event: of many, name one by --webhook")
    if not filters:
        raise OperatorError("name an event, or narrow by at least one filter: --since 0 is every event")
    answer = client.ask("POST", "/v1/replays", json={**filters, "dry_run": options.dry_run})
    print(json.dumps(answer))


def list_webhooks(client: "_Client", _: argparse.Namespace) -> None:
    _show(client.page("/v1/webhooks")["items"], WEBHOOK)


def discard(client: "_Client", options: argparse.Namespace) -> None:
    print(json.dumps(client.ask("POST", f"/v1/webhooks/{quote(options.name, safe='')}/discard")))


class _Client:
    """Every method raises OperatorError with the service's own sentence, or why there is none."""

    def __init__(self, url: str, api_key: str) -> None:
        self._url = url.rstrip("/")
        headers = {"authorization": f"Bearer {api_key}"}
        # without what the environment says of proxies and passwords: the key goes to the service alone
        self._http = httpx.Client(headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        try:
            response = self._http.request(method, f"{self._url}{path}", **content)
            answer = response.json()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise OperatorError(f"no answer from {self._url}: {error}") from None
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or not (response.is_success or "detail" in answer):
            raise self._stranger()
        if not response.is_success:
            raise OperatorError(f"refused ({response.status_code}): {answer['detail']}")
        return answer

    def page(self, path: str, **params: Any) -> dict[str, Any]:
        page = self.ask("GET", path, params=params)
        if "items" not in page:
            raise self._stranger()
        return page

    def pages(self, path: str, *, limit: int, **asked: Any) -> Iterator[dict[str, Any]]:
        """Of a list, page by page, up to `limit`; 0: all."""
        left, cursor = limit, None
        given = {name: value for name, value in asked.items() if value is not None}
        while True:
            paging = {"limit": min(left, PAGE) if limit else PAGE} | ({"cursor": cursor} if cursor else {})
            page = self.page(path, **given, **paging)
            yield from page["items"]
            left, cursor = left - len(page["items"]), page["next_cursor"]
            if cursor is None or (limit and left <= 0):
                return

    def _stranger(self) -> OperatorError:
        return OperatorError(f"{self._url} answers, but not as a transcriber does")


def _show(items: Items, columns: Sequence[str]) -> None:
    """A table where a person watches, else a line of JSON for each."""
    if not sys.stdout.isatty():
        for item in items:
            print(json.dumps(item), flush=True)
        return
    rows = [[_cell(name, item[name]) for name in columns] for item in items]
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in [list(columns), *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name == "deliveries":
        return ", ".join(f"{one['webhook'] or '(nobody)'}: {one['state']}" for one in value)
    if name.endswith("At"):
        return datetime.fromtimestamp(value / 1000).astimezone().isoformat(" ", "seconds")
    text = str(value)
    return text if text.isprintable() else ascii(text)


def _command(
    parent: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, operate: Any, text: str
) -> argparse.ArgumentParser:
    sub = parent.add_parser(name, help=text, description=text)
    sub.add_argument("--url", help="of the service; default: TRANSCRIBER_PUBLIC_URL, or its own address")
    sub.set_defaults(operate=operate)
    return sub


def _filters(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--job-id", metavar="ID")
    sub.add_argument("--webhook", metavar="NAME")
    sub.add_argument("--since", type=_time, metavar="TIME", help=f"written at or after: {_WHEN}")
    sub.add_argument("--until", type=_time, metavar="TIME", help="written before")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError("must be a whole number")
    return int(text)


def _time(text: str) -> int:
    """Unix ms of a time, or of so long ago. One without a zone is local."""
    if match := _AGO.fullmatch(text):
        return round((time.time() - int(match[1]) * _SECONDS[match[2]]) * 1000)
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write {_WHEN}") from None
