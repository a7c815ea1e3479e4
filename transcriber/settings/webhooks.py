"""Where events go: the webhook of the two variables, and those of the file."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import httpx

from transcriber.model import STEPS, WebhookName, event_type
from transcriber.settings.expand import Unresolved
from transcriber.settings.words import did_you_mean, is_http_url, is_webhook_secret

KEYS = ("name", "url", "secrets", "event_types")
TYPES = tuple(event_type(step) for step in STEPS)
DEFAULT = WebhookName("default")
# A name stands in addresses and metrics; a glob is matched by SQLite, which knows more than these signs.
_NAME = re.compile(r"[A-Za-z0-9:][A-Za-z0-9._:-]{0,99}", re.ASCII)
_GLOB = re.compile(r"[a-z.*?]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where events go. Each is signed with every one of `secrets`: `whsec_` and base64; two of them while they are rotated.

    `event_types` are globs, of which one must match.
    """

    name: WebhookName
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    event_types: tuple[str, ...] = ("*",)

    @property
    def shown_url(self) -> str:
        """Without what may be secret: user, password and query."""
        url = httpx.URL(self.url)
        return str(url.copy_with(userinfo=b"", query=None, fragment=None))


def of_variables(url: str, secret: str, faults: list[str]) -> Webhook | None:
    """`secret` may be several, separated by spaces. None unless both are set."""
    secrets = tuple(secret.split())
    if url and not is_http_url(url):
        faults.append("TRANSCRIBER_WEBHOOK_URL must be an address that begins with http:// or https://")
    if not all(is_webhook_secret(secret) for secret in secrets):
        faults.append(
            "TRANSCRIBER_WEBHOOK_SECRET must be whsec_ and base64, as Standard Webhooks has it;"
            " several are separated by spaces"
        )
    if url and not secrets:
        faults.append("TRANSCRIBER_WEBHOOK_URL is set, but TRANSCRIBER_WEBHOOK_SECRET is not: set both")
    return Webhook(DEFAULT, url, secrets) if url and secrets else None


def of_tables(tables: Any, faults: list[str]) -> list[Webhook]:
    """Those of the file's `[[webhooks]]` that have no fault."""
    if not isinstance(tables, list):
        faults.append("webhooks must be written as [[webhooks]]")
        return []
    found: list[Webhook | None] = []
    for index, table in enumerate(tables):
        if isinstance(table, Mapping):
            found.append(_Table(table, f"webhooks[{index}]", faults).webhook())
        else:
            faults.append(f"webhooks[{index}] must be a table")
    return [webhook for webhook in found if webhook is not None]


def repeated_names(webhooks: Sequence[Webhook]) -> list[str]:
    """A fault for each name that more than one has."""
    names = [webhook.name for webhook in webhooks]
    return [
        f"{names.count(name)} webhooks are called {name!r}: give each a name of its own"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]


class _Table:
    """One `[[webhooks]]`. Faults name its place and never a value that may be secret."""

    def __init__(self, table: Mapping[str, Any], place: str, faults: list[str]) -> None:
        self._table = table
        self._place = place
        self._faults = faults

    def webhook(self) -> Webhook | None:
        """None if anything is wrong with it."""
        before = len(self._faults)
        for key in sorted(self._table.keys() - set(KEYS)):
            self._fault("", f"has an unknown key {key!r}{did_you_mean(key, KEYS)}")
        url, secrets, event_types = self._url(), self._secrets(), self._event_types()
        name = self._name(url)
        whole = len(self._faults) == before and url and secrets
        return Webhook(name, url, secrets, event_types) if whole else None

    def _url(self) -> str:
        url = self._table.get("url", "")
        if isinstance(url, Unresolved):
            return ""
        if not isinstance(url, str) or not is_http_url(url):
            self._fault("url", "must be an address that begins with http:// or https://")
            return ""
        return url

    def _secrets(self) -> tuple[str, ...]:
        secrets = self._texts("secrets", None)
        if any(isinstance(secret, Unresolved) for secret in secrets):
            return ()
        if not all(is_webhook_secret(secret) for secret in secrets):
            self._fault("secrets", "must each be whsec_ and base64, as Standard Webhooks has it")
        return secrets

    def _event_types(self) -> tuple[str, ...]:
        globs = self._texts("event_types", ("*",))
        for glob in globs:
            if isinstance(glob, Unresolved):
                continue
            if not _GLOB.fullmatch(glob) or not any(fnmatchcase(known, glob) for known in TYPES):
                self._fault(
                    "event_types", f"has {glob!r}, which matches no event; known are {', '.join(TYPES)}"
                )
        return globs

    def _name(self, url: str) -> WebhookName:
        """Its own, else the host and port that its events go to."""
        name = self._table.get("name") or (_host(url) if url else "unnamed")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            self._fault("name", "must be 1 to 100 of A-Z, a-z, 0-9 and . _ : -, and begin with none of . _ -")
            return DEFAULT
        return WebhookName(name)

    def _texts(self, key: str, default: tuple[str, ...] | None) -> tuple[str, ...]:
        value = self._table.get(key, default)
        if (
            not isinstance(value, list | tuple)
            or not value
            or not all(isinstance(item, str) for item in value)
        ):
            self._fault(key, "must be a list of at least one string")
            return default or ()
        return tuple(value)

    def _fault(self, key: str, message: str) -> None:
        self._faults.append(f"{self._place}{f'.{key}' if key else ''} {message}")


def _host(url: str) -> str:
    parsed = httpx.URL(url)
    host = parsed.raw_host.decode("ascii")
    return host if parsed.port is None else f"{host}:{parsed.port}"
