"""Reads one of `[[destinations]]`."""

import re
from urllib.parse import urlsplit

import httpx

from gateway.address import is_address
from gateway.config.reader import Reader, Unresolved
from gateway.config.settings import Destination, Signing
from gateway.model import DestinationName
from gateway.retry import RetryPolicy
from gateway.selector import compile_expression
from gateway.verify import compile_verifier

URL = re.compile(r"[\x21-\x22\x24-\x7e]+", re.ASCII)
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
HEADER_VALUE = re.compile(r"([\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?)?", re.ASCII)
HOST_NAME = re.compile(r"(?=.{1,253}$)([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?", re.ASCII)
OWN_HEADERS = re.compile(
    r"host|content-length|connection|transfer-encoding|traceparent|(webhook|x-gateway)-.*"
)


def read_destination(table: Reader) -> Destination:
    defaults = Destination(name=DestinationName(""), url="")
    destination = Destination(
        name=DestinationName(table.name()),
        url=_url(table),
        sources=table.texts("sources"),
        event_types=table.texts("event_types"),
        filter=_expression(table, "filter"),
        payload=_expression(table, "payload"),
        bearer_token=_bearer_token(table),
        headers=_headers(table),
        sign=_sign(table),
        timeout_seconds=table.number("timeout_seconds", defaults.timeout_seconds, least=0.1, most=300),
        max_in_flight=table.integer("max_in_flight", defaults.max_in_flight, least=1, most=1000),
        rate_per_second=table.number("rate_per_second", 0, least=0, most=100_000),
        retry=_retry(table.table("retry")),
        order_wait_seconds=table.number("order_wait_seconds", 0, least=0, most=86_400 * 30),
        dead_on=_dead_on(table),
        allow_private_address=table.boolean("allow_private_address", default=False),
    )
    table.close()
    return destination


def _url(table: Reader) -> str:
    text = table.required_text("url")
    if not text:
        return text
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:  # not quoted: where its port should stand may be a password
        table.fault("url", "is not a URL: its host or its port cannot be read")
        return text
    if parts.scheme not in ("http", "https") or not host or not URL.fullmatch(text):
        table.fault(
            "url", "must begin with http:// or https:// and a host, and have no space or fragment in it"
        )
    elif not is_address(host) and not HOST_NAME.fullmatch(host):
        table.fault("url", f"{host!r} is neither an address nor a host's name")
    elif not _can_be_requested(text):
        table.fault("url", f"{host!r} is no name that can be looked up")
    if "@" in parts.netloc:
        table.fault("url", "carries a password; use bearer_token or headers")
    return text


def _can_be_requested(url: str) -> bool:
    """Whether the library that makes the requests takes it: it has rules of its own for names."""
    try:
        return bool(httpx.URL(url).host)
    except (httpx.InvalidURL, ValueError):
        return False


def _bearer_token(table: Reader) -> str | None:
    token = table.text("bearer_token", None)
    if token is not None and not HEADER_VALUE.fullmatch(token):
        table.fault("bearer_token", "has a character that no header can carry, or white space around it")
    return token


def _headers(table: Reader) -> dict[str, str]:
    headers = table.text_table("headers")
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name):
            table.fault("headers", f"{name!r} is not a header's name")
        if OWN_HEADERS.fullmatch(name.lower()):
            table.fault("headers", f"{name} is set by the gateway itself")
        if name.lower() == "authorization" and table.peek("bearer_token"):
            table.fault("headers", f"{name} is set by bearer_token already: keep one")
        if not HEADER_VALUE.fullmatch(value):
            table.fault(
                "headers",
                f"the value of {name} has a character that no header can carry, or white space around it",
            )
    return headers


def _sign(table: Reader) -> Signing | None:
    if table.raw("sign") is None:
        return None
    sign = table.table("sign")
    scheme = sign.choice("scheme", "", ("standard-webhooks", "source"))
    secret, secrets = sign.text("secret", None), sign.texts("secrets") or ()
    if secret is not None:
        secrets = (secret, *secrets)
    sign.close()
    if scheme == "source" and secrets:
        sign.fault("secret", 'has no meaning with scheme = "source": the source\'s secrets sign')
    if scheme == "standard-webhooks":
        unresolved = any(isinstance(sign.peek(key), Unresolved) for key in ("secret", "secrets"))
        if not secrets and not unresolved:
            sign.fault("secret", "is missing")
        for one in secrets:
            if not isinstance(one, Unresolved):
                _check_secret(sign, one)
    return Signing(secrets) if secrets or scheme == "source" else None


def _check_secret(sign: Reader, secret: str) -> None:
    try:
        if compile_verifier({"kind": "standard"}, [secret]).unsignable is not None:
            sign.fault("secret", "is a public key (whpk_…), which cannot sign")
    except ValueError as error:
        sign.fault("secret", str(error))


def _retry(table: Reader) -> RetryPolicy:
    defaults = RetryPolicy()
    policy = RetryPolicy(
        quick_attempts=table.integer("quick_attempts", defaults.quick_attempts, least=1, most=10),
        horizon_hours=table.number("horizon_hours", defaults.horizon_hours, least=0.001, most=24 * 365),
    )
    table.close()
    return policy


def _dead_on(table: Reader) -> frozenset[int]:
    value = table.raw("dead_on") or []
    if not isinstance(value, list) or not all(type(item) is int and 300 <= item <= 599 for item in value):
        table.fault("dead_on", "must be a list of status codes from 300 to 599")
        return frozenset()
    return frozenset(value)


def _expression(table: Reader, key: str) -> str | None:
    """`json:EXPRESSION`, kept without its `json:`."""
    text = table.text(key, None)
    if text is None:
        return None
    if not text.startswith("json:"):
        table.fault(key, "must be json: and a JMESPath expression")
        return None
    expression = text.removeprefix("json:")
    try:
        compile_expression(expression)
    except ValueError as error:
        table.fault(key, str(error))
    return expression
