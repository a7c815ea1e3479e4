"""Writes docs/producers.md, which lists the producers known by name: `python -m tests.support.producers_page`."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gateway.verify.preset import Preset
from gateway.verify.presets import GROUPS, PRESETS

PAGE = Path(__file__).parents[2] / "docs/producers.md"
INTRO = """\
# Producers

<!-- Written by `python -m tests.support.producers_page` from gateway/verify/presets; change those. -->

The gateway knows {count} producers and schemes by name. Find yours, paste its snippet into `gateway.toml`, set the variable,
and give the producer the URL of the source: `https://` and your host, then `/webhooks/` and the source's `name`. The name is
yours to choose; two sources may have the same preset. `secrets` takes several while you rotate: any that matches passes. Each
default named here (`event_type`, `dedupe_key`, `same_id`, `replay_guard`) can be set otherwise in the source.

**A producer that is not listed** probably signs as one of the [schemes without a producer](#schemes-without-a-producer) does, or
has parameters of its own: write them into `[sources.verify]` in place of `preset`.

**`body_authenticated: false`** is what the gateway notes on the events of a producer that signs nothing, or not the body. The
request then only shows that its sender knows a token. Whoever has seen that token once, in a log or a proxy, can write any
body. Take such a body as a hint: fetch what it names from the producer's API, by its id, before you act on it. Give such a
source a long random token and an `https` URL.

**`public_url`** is needed where the producer signs the URL: it is the source's URL as the producer has it, since what a request
says of its own host is never believed. That is so for
{url_bound}.

**Duplicates.** Producers send again what was not answered in time. What is a duplicate is said for each: usually the same id
with the same body. Another body under a known id is a new event, marked as such, unless its producer changes the body between
attempts. Where neither an id nor a time is signed, a signature that was seen before is a duplicate too, so that nobody can
send a captured request again under another id.
"""
ALGORITHMS = {
    "sha1": "HMAC-SHA1",
    "sha256": "HMAC-SHA256",
    "sha512": "HMAC-SHA512",
    "plain-sha256": "The SHA-256 of secret and",
    "ed25519": "An Ed25519 signature",
    "ecdsa-p256-sha256": "An ECDSA signature (P-256, SHA-256)",
    "rsa-sha256": "An RSA signature (SHA-256)",
}
ENCODINGS = {"hex": "hexadecimal", "base64": "base64", "base64url": "base64url"}
UNITS = {"s": "seconds", "ms": "milliseconds", "rfc3339": "RFC 3339"}
PARTS = {
    "body": "the body",
    "body_sha256": "the digest of the body",
    "form_sorted": "the parameters of the form",
    "method": "the method",
    "timestamp": "the time",
    "url": "the URL",
}
HANDSHAKES = {
    "asana": "the request that carries `X-Hook-Secret` is answered with the same header",
    "cloudevents": "`OPTIONS` with `WebHook-Request-Origin` is answered with `WebHook-Allowed-Origin`",
    "crc": "`GET` with `crc_token` is answered with its HMAC; X asks every hour",
    "discord": "a signed PING is acknowledged; a wrong signature is answered 401, which Discord tries",
    "graph": "`POST` with `validationToken` in the query is answered with that token as text",
    "meta": "`GET` with `hub.verify_token` is answered with `hub.challenge` if the token is right",
    "nylas": "`GET` with `challenge` in the query is answered with that value as text",
    "dropbox": "`GET` with `challenge` in the query is answered with that value as text",
    "okta": "`GET` with `X-Okta-Verification-Challenge` is answered with that value as JSON",
    "slack": "a signed `url_verification` is answered with its `challenge`",
    "twitch": "a signed `webhook_callback_verification` is answered with its `challenge` as text",
    "zoom": "a signed `endpoint.url_validation` is answered with the HMAC of its `plainToken`; Zoom asks every 72 hours",
}


def page() -> str:
    blocks = [_intro(), _contents()]
    for title, presets in GROUPS.items():
        blocks.append(f"## {title}\n")
        blocks += [_section(name, preset) for name, preset in presets.items()]
    return "\n".join(blocks)


def needs_public_url(preset: Preset) -> bool:
    verify = preset.verify
    return "{url}" in verify.get("template", "") or "@target-uri" in verify.get("require_components", ())


def authenticates_body(preset: Preset) -> bool:
    """Whether a request whose body was changed is always refused."""
    verify = preset.verify
    match verify["kind"]:
        case "standard":
            return True
        case "jwt":
            return "body_hash_claim" in verify
        case "rfc9421":
            return "content-digest" in verify.get("require_components", ())
        case "hmac" | "asymmetric":
            names = set(_placeholders(verify))
            return bool(names & {"body", "body_sha256", "form_sorted"}) or "body_sha256_query" in verify
        case _:
            return False


def _intro() -> str:
    names = [f"[`{name}`](#{name})" for name, preset in PRESETS.items() if needs_public_url(preset)]
    return INTRO.format(count=len(PRESETS), url_bound=_listed(names))


def _contents() -> str:
    lines = []
    for title, presets in GROUPS.items():
        lines.append(f"- [{title}](#{_slug(title)}): " + ", ".join(f"[{name}](#{name})" for name in presets))
    return "\n".join(lines) + "\n"


def _section(name: str, preset: Preset) -> str:
    lines = [f"### {name}\n", f"{preset.title}\n", "```toml", *_snippet(name, preset), "```\n"]
    lines += [f"- {label}: {text}" for label, text in _facts(preset)]
    return "\n".join(lines) + "\n"


def _snippet(name: str, preset: Preset) -> Iterator[str]:
    variable = name.upper().replace("-", "_")
    public = preset.verify["kind"] == "asymmetric" or preset.verify.get("algorithm") in {
        "ed25519",
        "rsa-pss-sha512",
    }
    yield "[[sources]]"
    yield f'name = "{name}"'
    yield f'preset = "{name}"'
    yield f'secrets = ["${{{variable}_{"PUBLIC_KEY" if public else "SECRET"}}}"]'
    if needs_public_url(preset):
        yield f'public_url = "https://hooks.example.com/webhooks/{name}"'


def _facts(preset: Preset) -> Iterator[tuple[str, str]]:
    yield "URL", preset.console
    yield "Secret", preset.secret
    yield "Verified", f"{_verified(preset.verify)} `body_authenticated: {_flag(preset)}`."
    yield "Event type", f"{_code(preset.event_type)}."
    yield "Duplicate", _duplicate(preset)
    yield "Repeats", preset.safe
    if preset.handshake:
        yield "Handshake", f"{HANDSHAKES[preset.handshake]}."
    if preset.acknowledgement == "empty":
        yield "Answer", "200 without a body, since the producer shows or interprets what is in it."


def _flag(preset: Preset) -> str:
    return "true" if authenticates_body(preset) else "false"


def _verified(verify: Mapping[str, Any]) -> str:
    match verify["kind"]:
        case "standard":
            prefix = verify.get("prefix", "webhook-")
            return (
                f"HMAC-SHA256, or Ed25519 with a public key, in `{prefix}signature` over id, time and body; "
                f"the time, `{prefix}timestamp`, may be off by {verify.get('tolerance', 300)} s."
            )
        case "token":
            return f"{_token(verify['from'])} is one of the secrets; nothing is signed."
        case "jwt":
            return _jwt(verify)
        case "rfc9421":
            return _message_signature(verify)
        case _:
            return _signature(verify)


def _signature(verify: Mapping[str, Any]) -> str:
    algorithm = ALGORITHMS[verify["algorithm"]]
    signed = _listed([_part(name, verify) for name in _placeholders(verify)])
    if "body_sha256_query" in verify:
        signed += f", whose `{verify['body_sha256_query']}` must be the SHA-256 of the body"
    link = " " if verify["algorithm"] == "plain-sha256" else " over "
    return f"{algorithm}{link}{signed}, in {_place(verify)}; {_time(verify)}."


def _place(verify: Mapping[str, Any]) -> str:
    place = f"`{verify['header']}`" if "header" in verify else _code(verify["signature_from"])
    encoding = ENCODINGS[verify.get("encoding", "hex")]
    match verify.get("parse"):
        case "kv":
            return f"{place} as `{verify['field']}`, {encoding}"
        case "prefix":
            return f"{place} after `{verify['prefix']}`, {encoding}"
        case "list":
            return f"{place}, a list, after `{verify['prefix']}`, {encoding}"
        case _:
            return f"{place}, {encoding}"


def _time(verify: Mapping[str, Any]) -> str:
    time = verify.get("timestamp")
    if time is None:
        return "no time is signed"
    source = time["from"]
    place = f"`{source.removeprefix('field:')}` there" if source.startswith("field:") else _code(source)
    return f"the time, {place} in {UNITS[time.get('unit', 's')]}, may be off by {time['tolerance']} s"


def _jwt(verify: Mapping[str, Any]) -> str:
    parts = [f"A token signed with {_listed(verify['algorithms'])}, in `{verify['header']}`"]
    if verify.get("scheme"):
        parts.append(f"after `{verify['scheme']}`")
    if "body_hash_claim" in verify:
        encoding = ENCODINGS[verify.get("body_hash_encoding", "hex")]
        parts.append(f"whose `{verify['body_hash_claim']}` must be the SHA-256 of the body, {encoding}")
    if "issuer" in verify:
        parts.append(f"whose `iss` must be `{verify['issuer']}`")
    text = ", ".join(parts)
    if "max_age" in verify:
        return f"{text}; its `iat` may be off by {verify['max_age']} s."
    if "exp" in verify.get("require", ()):
        return f"{text}; it must not have expired."
    return f"{text}; no time is signed."


def _message_signature(verify: Mapping[str, Any]) -> str:
    components = verify.get("require_components")
    covered = _listed([f"`{name}`" for name in components]) if components else "what it names itself"
    return (
        f"A signature by RFC 9421 ({verify['algorithm']}, key `{verify['keyid']}`) over {covered}; "
        f"it may be {verify['max_age']} s old."
    )


def _token(source: str) -> str:
    match source.partition(":"):
        case ("bearer", _, _):
            return "The token after `Authorization: Bearer`"
        case ("basic", _, _):
            return "The `user:password` of `Authorization: Basic`"
        case ("header", _, name):
            return f"The value of `{name}`"
        case ("query", _, name):
            return f"The value of `{name}` in the query"
        case (_, _, path):
            return f"Every value at `{path}` in the body"


def _duplicate(preset: Preset) -> str:
    match preset.dedupe_key, preset.same_id:
        case "none", _:
            text = "nothing"
        case "body", _:
            text = "the same body"
        case key, "duplicate":
            text = f"the same {_code(key)}, whatever the body"
        case key, _:
            text = f"the same {_code(key)} with the same body"
    return text + ("; also a signature that was seen before." if preset.replay_guard else ".")


def _placeholders(verify: Mapping[str, Any]) -> list[str]:
    return re.findall(r"\{(\w+)\}", verify.get("template", "{body}"))


def _part(name: str, verify: Mapping[str, Any]) -> str:
    return PARTS[name] if name in PARTS else _code(verify["vars"][name])


def _listed(items: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(items[:-1]), items[-1]]))


def _code(selector: str) -> str:
    return f"`{selector}`"


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
