"""events · replays · destinations: the admin API of a running gateway from a terminal."""

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from gateway.cli import output
from gateway.cli.ending import REFUSED, UnusableInputError
from gateway.client import Client
from gateway.config import Server, load
from gateway.config.expand import variable
from gateway.config.load import TOKEN, from_environment
from gateway.errors import ConfigError

FILTERS = ("source", "destination", "state", "type", "key", "since", "until")
OF_MANY = (*FILTERS, "rate", "dry_run", "no_wait")
LOOK_SECONDS = 0.5
EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - what a gateway listens on is asked from here
ADDRESSES = ("GATEWAY_PORT", "GATEWAY_ADMIN_LISTEN")
EVENT = ("id", "source", "type", "ordering_key", "received_at", "state")
LISTED = (*EVENT, "deliveries")
DELIVERY = ("destination", "state", "attempts", "next_attempt_at", "last_status", "last_error", "dead_reason")
ATTEMPT = ("number", "started_at", "duration_ms", "outcome", "status", "error")
REPLAY = ("id", "state", "matched", "queued", "done", "failed", "created_at", "filters")
DESTINATION = (
    "name",
    "state",
    "pending",
    "delivered",
    "dead",
    "oldest_pending_age_seconds",
    "next_probe_at",
    "last_error",
    "url",
)


def list_events(options: argparse.Namespace) -> int:
    with _client(options) as client:
        if output.to_person():
            _show_events(client, options)
        else:
            output.json_lines(client.items("events", limit=options.limit, **_filters(options)))
    return 0


def show_event(options: argparse.Namespace) -> int:
    with _client(options) as client:
        event = client.get("events", options.id)
    if not output.to_person():
        output.json_lines([event])
        return 0
    output.fields(event, (*EVENT, "dedupe_key", "erased_at", "query"))
    for delivery in event["deliveries"]:
        print()
        output.fields(output.explained(delivery), DELIVERY)
        output.table(delivery["history"], ATTEMPT)
        output.answer(delivery["history"])
    output.content(event)
    return 0


def replay(options: argparse.Namespace) -> int:
    of_many = [name for name in OF_MANY if getattr(options, name)]
    if options.id is not None and of_many:
        raise UnusableInputError(
            f"--{of_many[0].replace('_', '-')} is for replays of many events, not of one"
        )
    if options.id is not None:
        return _replay_one(options)
    if options.to:
        raise UnusableInputError("--to is for the replay of one event; of many, name one by --destination")
    if not any(getattr(options, name) is not None for name in FILTERS):
        raise UnusableInputError("name an event, or narrow by at least one filter; --since 0 is every event")
    return _replay_many(options)


def discard(options: argparse.Namespace) -> int:
    with _client(options) as client:
        _print_event(client.post("events", options.id, "discard"))
    return 0


def erase(options: argparse.Namespace) -> int:
    with _client(options) as client:
        client.delete("events", options.id)
    if output.to_person():
        print(
            f"{output.one_line(options.id)} is erased: body, headers, query and answers are overwritten, and what was pending"
            " is discarded. Ids, type, keys and digest stay."
        )
    else:
        output.json_lines([{"id": options.id, "erased": True}])
    return 0


def list_replays(options: argparse.Namespace) -> int:
    with _client(options) as client:
        _print_replays(list(client.items("replays")))
    return 0


def cancel_replay(options: argparse.Namespace) -> int:
    with _client(options) as client:
        _print_replays([client.post("replays", options.id, "cancel")])
    return 0


def list_destinations(options: argparse.Namespace) -> int:
    with _client(options) as client:
        _print(client.get("destinations")["items"], DESTINATION)
    return 0


def pause(options: argparse.Namespace) -> int:
    return _stand(options, "pause")


def resume(options: argparse.Namespace) -> int:
    return _stand(options, "resume")


def _replay_one(options: argparse.Namespace) -> int:
    content = {"destinations": options.to} if options.to else None
    with _client(options) as client:
        event = client.post("events", options.id, "replay", content=content)
    _print_event(event)
    if output.to_person():
        print(_what_was_queued(event, options.to or ()))
    return 0


def _what_was_queued(event: dict[str, Any], named: Sequence[str]) -> str:
    """What waits was waiting before, if it was not queued now; so was what is named and was not, whatever it is since."""
    queued = event["queued"]
    pending = [one["destination"] for one in event["deliveries"] if one["state"] == "pending"]
    waited = [name for name in dict.fromkeys((*named, *pending)) if name not in queued]
    there = "It was waiting already" + (f" for {', '.join(waited)}" if waited else "")
    if not queued:
        return f"{there}: nothing was queued."
    return f"Queued for {', '.join(queued)}." + (f" {there}." if waited else "")


def _show_events(client: Client, options: argparse.Namespace) -> None:
    """No more than the limit, of which one more is asked for: whether there are more."""
    limit = options.limit
    found = list(client.items("events", limit=limit and limit + 1, **_filters(options)))
    shown = found[: limit or None]
    if not shown:
        print("No event matches.", *_unknown(client, options))
        return
    rows = [{**event, "deliveries": output.deliveries(event["deliveries"])} for event in shown]
    output.table(rows, LISTED, whole=("deliveries",))
    if len(shown) < len(found):
        print("There are more: --limit 0 lists all.", file=sys.stderr)


def _unknown(client: Client, options: argparse.Namespace) -> Iterator[str]:
    """A sentence for each name that is none of the gateway's."""
    for kind in ("source", "destination"):
        name = getattr(options, kind)
        if name is not None:
            names = [one["name"] for one in client.get(f"{kind}s")["items"]]
            if name not in names:
                there_are = ", ".join(sorted(names)) or "none"
                yield f"No {kind} is called {output.one_line(name)}; there are {there_are}."


def _print_event(event: dict[str, Any]) -> None:
    if output.to_person():
        output.table([event], EVENT)
        output.table(event["deliveries"], DELIVERY)
    else:
        output.json_lines([event])


def _stand(options: argparse.Namespace, verb: str) -> int:
    with _client(options) as client:
        known = {one["name"] for one in client.get("destinations")["items"]}
        if unknown := [name for name in options.name if name not in known]:
            raise UnusableInputError(
                f"no destination is called {', '.join(unknown)}; there are {', '.join(sorted(known)) or 'none'}"
            )
        _print([client.post("destinations", name, verb) for name in options.name], DESTINATION)
    return 0


def _replay_many(options: argparse.Namespace) -> int:
    asked = {**_filters(options), "rate_per_second": options.rate, "dry_run": options.dry_run}
    with _client(options) as client:
        begun = client.post("replays", content=asked)
        if options.dry_run:
            if output.to_person():
                print(f"{begun['matched']} event{' matches' if begun['matched'] == 1 else 's match'}.")
            else:
                output.json_lines([begun])
            return 0
        return _follow(client, begun, wait=not options.no_wait)


def _follow(client: Client, record: dict[str, Any], *, wait: bool) -> int:
    """Prints how far a replay is, each time that it is further, until it is over."""
    try:
        _progress(record)
        while wait and record["state"] == "running":
            time.sleep(LOOK_SECONDS)
            before, record = record, client.get("replays", record["id"])
            if record != before:
                _progress(record)
    except KeyboardInterrupt:
        print(f"\nIt goes on; to end it: gateway replays cancel {record['id']}")
        return REFUSED
    if output.to_person():
        print()
    return 0 if record["state"] != "cancelled" and not record["failed"] else REFUSED


def _progress(record: dict[str, Any]) -> None:
    if output.to_person():
        text = "{id} {state}: {queued} of {matched} queued, {done} done, {failed} failed".format(**record)
        print(f"\r\x1b[K{text}", end="", flush=True)
    else:
        output.json_lines([record])


def _print(items: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    if output.to_person():
        output.table(items, columns)
    else:
        output.json_lines(items)


def _print_replays(items: list[dict[str, Any]]) -> None:
    if output.to_person():
        rows = [{**item, "filters": output.filters(item["filters"])} for item in items]
        output.table(rows, REPLAY, whole=("filters",))
    else:
        output.json_lines(items)


def _filters(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in FILTERS}


def _client(options: argparse.Namespace) -> Client:
    """For the gateway that the options or the configuration name, with what the environment says of it."""
    token = _token()
    url = options.url
    if url is None or token is None:
        server = _server(options)
        url, token = url or _url(server), token or server.admin_token
    if token is None:
        raise UnusableInputError("there is no admin token: set GATEWAY_ADMIN_TOKEN or server.admin_token")
    if not TOKEN.fullmatch(token):
        raise UnusableInputError("the admin token must be printable ASCII without spaces or line ends")
    return Client(url, token=token)


def _token() -> str | None:
    try:
        return variable("GATEWAY_ADMIN_TOKEN", environ=os.environ)
    except (OSError, ValueError) as error:
        raise UnusableInputError(f"GATEWAY_ADMIN_TOKEN_FILE: {error}") from None


def _server(options: argparse.Namespace) -> Server:
    """Of the environment alone where the rest of the configuration is not there, as beside a container."""
    try:
        return load(options.config, environ=os.environ).server
    except ConfigError as error:
        with contextlib.suppress(ConfigError):  # its faults are among those of the whole
            if any(os.environ.get(name) for name in ADDRESSES):
                return from_environment(os.environ)
        hint = "with --url and GATEWAY_ADMIN_TOKEN no configuration is needed"
        raise UnusableInputError(
            "\n  ".join((f"The configuration has faults; {hint}:", *error.faults))
        ) from None


def _url(server: Server) -> str:
    host, port = server.admin_listen or (server.host, server.port)
    if not port:
        raise UnusableInputError("the configured port is 0, which is any: name the gateway by --url")
    return _address(host, port)


def _address(listening_on: str, port: int | str) -> str:
    host = "127.0.0.1" if listening_on in EVERYWHERE else listening_on
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
