"""Why a captured request was refused, so that a person can put it right: the usual mistakes are tried, one at a time.

Offline only: it takes many verifications. Nothing here shows a secret, or a signature that would have been right.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from gateway.model import Rejected, VerifiedWebhook, Webhook
from gateway.verify.presets import PRESETS
from gateway.verify.verifier import Secret

LOOKS_LIKE = (
    (
        r"sk_(live|test)_|rk_(live|test)_",
        "a Stripe API key; needed is the endpoint's signing secret (whsec_…)",
    ),
    (r"pk_(live|test)_", "a publishable key, which is no secret"),
    (r"gh[pousr]_|github_pat_", "a GitHub access token; needed is the secret entered at the webhook"),
    (r"glpat-", "a GitLab access token; needed is the webhook's secret or signing token"),
    (r"xox[abprs]-|xapp-", "a Slack token; needed is the app's signing secret"),
    (r"(AC|SK)[0-9a-f]{32}$", "a Twilio SID; needed is the account's auth token"),
    (r"shpat_|shppa_", "a Shopify access token; needed is the app's client secret"),
    (r"re_[A-Za-z0-9]", "a Resend API key; needed is the webhook's signing secret (whsec_…)"),
    (r"sk-(ant-|proj-|[A-Za-z0-9])", "an API key; needed is the webhook's signing secret"),
    (r"https?://", "a URL"),
    (r"eyJ[A-Za-z0-9_-]+\.", "a JSON Web Token"),
    (r"(v[01]|sha1|sha256)=", "a signature"),
    (r"\$\{|\{\{|<.*>$", "a placeholder that nothing was put in for"),
)
ENCODINGS = ("utf8", "base64", "hex")
PREFIXES = ("whsec_", "wsec_", "v1,whsec_")
SECONDS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))


class Verify(Protocol):
    def __call__(
        self,
        parameters: Mapping[str, Any],
        secrets: Sequence[Secret],
        public_url: str,
        webhook: Webhook,
        now: int,
    ) -> VerifiedWebhook | Rejected:
        """May raise ValueError where they do not fit together."""
        ...


@dataclass(frozen=True, slots=True)
class Case:
    """What the verifier was made of, and what it refused."""

    parameters: Mapping[str, Any]
    secrets: Sequence[Secret]
    public_url: str
    webhook: Webhook
    url: str
    """The whole of it, as it was captured."""
    now: int


def explain(case: Case, rejected: Rejected, *, verify: Verify) -> str:
    """A sentence or two."""
    match rejected.reason:
        case "too_old" | "too_new":
            return f"{rejected.detail}{_of_the_time(rejected, case.now)}"
        case "missing_header":
            return f"{rejected.detail}{_of_other_headers(case, rejected)}"
        case "bad_signature" | "malformed":
            found = next(_mistakes(case, verify), None) or next(_looks(case), None)
            return f"{rejected.detail}. {found}" if found else rejected.detail
        case _:
            return rejected.detail


def _of_the_time(rejected: Rejected, now: int) -> str:
    found = re.search(r"([0-9]+) s (ago|in the future)", rejected.detail)
    if found is None:
        return ""
    off = int(found[1]) if found[2] == "ago" else -int(found[1])
    unit, name = next(((s, n) for s, n in SECONDS if abs(off) >= 2 * s), (1, "s"))
    span = f" ({abs(off) // unit} {name})" if unit > 1 else ""
    return f"{span}. The signature is right: to judge it as of then, use --at {now - off}; else look at the clocks"


def _of_other_headers(case: Case, rejected: Rejected) -> str:
    here = {name.lower().decode("latin-1") for name, _ in case.webhook.headers}
    wanted = re.search(r"there is no ([^ ]+) header", rejected.detail)
    for name in sorted(here, key=len, reverse=True):
        if wanted is not None and "sign" in name and wanted[1].startswith(f"{name}-"):
            return f". It has {name}, an older and weaker form, which does not count"
    for name, preset in PRESETS.items():
        header = preset.verify.get("header") or f"{preset.verify.get('prefix', '')}signature"
        if header in here and "signature" in header:
            same = preset.verify == case.parameters
            return "" if same else f". The request has {header}, as of the preset {name!r}: is that meant?"
    alike = sorted(name for name in here if re.search(r"sign|hmac|token|auth", name))
    return (
        f". What it has that could be one: {', '.join(alike[:5])}"
        if alike
        else ". It carries no signature at all"
    )


def _mistakes(case: Case, verify: Verify) -> Iterator[str]:
    """What the signature would be right for."""
    for parameters, secrets, said in _other_secrets(case):
        if _passes(replace(case, parameters=parameters, secrets=secrets), verify):
            yield said
    for body, said in _other_bodies(case.webhook.body):
        if _passes(replace(case, webhook=replace(case.webhook, body=body)), verify):
            yield f"The body was changed on its way: the signature is right for {said}"
    for url in _other_urls(case):
        webhook = replace(case.webhook, query=url.partition("?")[2].encode())
        if _passes(replace(case, public_url=url, webhook=webhook), verify):
            yield f"The producer signs another URL: set public_url to {url.partition('?')[0]}"
    for name, preset in PRESETS.items():
        if preset.verify != case.parameters and _passes(replace(case, parameters=preset.verify), verify):
            yield f"With the preset {name!r} it would be right"


def _passes(case: Case, verify: Verify) -> bool:
    try:
        result = verify(case.parameters, case.secrets, case.public_url, case.webhook, case.now)
    except ValueError:
        return False
    if isinstance(result, VerifiedWebhook):
        return result.signature is not None
    return result.reason in ("too_old", "too_new")


def _other_secrets(case: Case) -> Iterator[tuple[Mapping[str, Any], Sequence[Secret], str]]:
    kind = case.parameters.get("kind")
    if kind not in ("standard", "hmac"):
        return
    for index, secret in enumerate(case.secrets):
        for encoding in ENCODINGS if kind == "hmac" else ENCODINGS[:2]:
            parameters = {**case.parameters, "secret_encoding": encoding, "secret_strip": None}
            if kind == "standard":
                del parameters["secret_strip"]
            yield (
                parameters,
                [secret],
                f'It is right with secret {index} taken as {encoding}: set secret_encoding = "{encoding}"',
            )
            for prefix in PREFIXES if kind == "hmac" else ():
                said = f'set secret_strip = "{prefix}" and secret_encoding = "{encoding}"'
                yield (
                    parameters,
                    [replace(secret, value=secret.value.removeprefix(prefix))],
                    f"It is right with secret {index} without its {prefix}, as {encoding}: {said}",
                )
        if (text := _decoded_twice(secret.value)) is not None:
            yield (
                case.parameters,
                [replace(secret, value=text)],
                f"Secret {index} is the base64 of the right one: it was encoded once too often, as for a Kubernetes secret",
            )


def _decoded_twice(value: str) -> str | None:
    try:
        return base64.b64decode(value, validate=True).decode().strip()
    except (binascii.Error, ValueError):
        return None


def _other_bodies(body: bytes) -> Iterator[tuple[bytes, str]]:
    yield body.rstrip(b"\r\n"), "the body without its last line end"
    yield body + b"\n", "the body with a line end behind it"
    yield body.replace(b"\r\n", b"\n"), "the body with LF for CRLF"
    yield body.replace(b"\n", b"\r\n"), "the body with CRLF for LF"
    yield body.removeprefix(b"\xef\xbb\xbf"), "the body without its byte order mark"
    yield b"", "an empty body: it was lost before it was captured, or was not sent"
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return
    for text, said in _written(document):
        yield (
            text.encode("utf-8", "surrogatepass"),
            f"the same JSON {said}: something parsed it and wrote it anew",
        )


def _written(document: Any) -> Iterator[tuple[str, str]]:
    for separators, how in (((",", ":"), "without spaces"), ((", ", ": "), "with spaces")):
        for ascii_only in (False, True):
            for ordered in (False, True):
                said = how + (" and with non-ASCII characters escaped" if ascii_only else "")
                said += " and its keys in order" if ordered else ""
                yield (
                    json.dumps(document, separators=separators, ensure_ascii=ascii_only, sort_keys=ordered),
                    said,
                )
    for indent in (2, 4):
        yield json.dumps(document, indent=indent, ensure_ascii=False), f"indented by {indent}"


def _other_urls(case: Case) -> Iterator[str]:
    if not case.public_url:
        return
    query = case.webhook.query.decode("latin-1")
    base = case.public_url.partition("?")[0]
    tail = f"?{query}" if query else ""
    yield case.url
    yield f"{base.rstrip('/')}{tail}"
    yield f"{base}/{tail}"
    for one, other in (("http://", "https://"), ("https://", "http://")):
        if base.startswith(one):
            yield f"{other}{base.removeprefix(one)}{tail}"
            yield f"{other}{case.url.partition('://')[2]}"


def _looks(case: Case) -> Iterator[str]:
    for index, secret in enumerate(case.secrets):
        for pattern, said in LOOKS_LIKE:
            if re.match(pattern, secret.value):
                yield f"Secret {index} looks like {said}"
