"""Reads whether and where to traces are sent: the variables of OpenTelemetry, which every program that sends traces knows.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gateway.config.expand import reason, variable
from gateway.config.settings import TracingSettings

ENDPOINT, OWN_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
PROTOCOL, OWN_PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
COMPRESSIONS = ("none", "gzip", "deflate")
ALLOWED = {
    "OTEL_TRACES_EXPORTER": ("otlp", "none"),
    "OTEL_EXPORTER_OTLP_COMPRESSION": COMPRESSIONS,
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION": COMPRESSIONS,
    PROTOCOL: ("http/protobuf",),
    OWN_PROTOCOL: ("http/protobuf",),
    "OTEL_TRACES_SAMPLER": (
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ),
}
QUEUE, BATCH = "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
NUMBERS = {QUEUE: 2048, BATCH: 512, "OTEL_BSP_SCHEDULE_DELAY": 5000, "OTEL_BSP_EXPORT_TIMEOUT": 30_000}
"""With their defaults."""
TIMEOUTS = ("OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
"""In seconds."""
FILES = tuple(
    f"OTEL_EXPORTER_OTLP_{traces}{what}"
    for traces in ("", "TRACES_")
    for what in ("CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE")
)
HEADER = re.compile(
    r"\s*(?P<name>[A-Za-z0-9!#$%&'*+.^_`|~-]+)\s*=\s*(?P<value>[\x20\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*)",
    re.ASCII,
)
"""As the exporter reads it too: what it could not, it would log."""
PRINTABLE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?", re.ASCII)


def read_tracing(*, environ: Mapping[str, str], faults: list[str]) -> TracingSettings | None:
    """None where no traces are to be sent."""
    switched_off = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if switched_off or environ.get("OTEL_TRACES_EXPORTER", "").lower() == "none":
        return None
    name, endpoint = _endpoint(environ)
    if not endpoint:
        return None
    if not _is_url(environ[name]):
        faults.append(
            f"{name}: must be an http or https URL without a user; credentials belong in OTEL_EXPORTER_OTLP_HEADERS"
        )
    elif name == ENDPOINT and "?" in environ[name]:
        faults.append(
            f"{name}: must be without a query, for a path is added to it; {OWN_ENDPOINT} is the whole URL"
        )
    if not _is_installed():
        faults.append(
            f'{name}: traces need the packages of the extra "otlp" (pip install "webhook-gateway[gateway,otlp]"); '
            "or unset it, or set OTEL_SDK_DISABLED=true"
        )
    faults += _of_choices(environ)
    faults += _of_numbers(environ)
    faults += _of_files(environ)
    return TracingSettings(endpoint, _headers(environ, faults=faults))


def _endpoint(environ: Mapping[str, str]) -> tuple[str, str]:
    """The variable, and the URL that spans are posted to."""
    if environ.get(OWN_ENDPOINT):
        return OWN_ENDPOINT, environ[OWN_ENDPOINT]
    base = environ.get(ENDPOINT, "")
    return ENDPOINT, f"{base.removesuffix('/')}/v1/traces" if base else ""


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc


def _is_installed() -> bool:
    try:
        return all(find_spec(package) is not None for package in PACKAGES)
    except ImportError:
        return False


def _of_choices(environ: Mapping[str, str]) -> list[str]:
    asked = {name: environ[name].lower() for name in ALLOWED if environ.get(name)}
    if OWN_PROTOCOL in asked:
        asked.pop(PROTOCOL, None)
    return [
        f"{name}: must be {' or '.join(ALLOWED[name])}"
        for name, value in asked.items()
        if value not in ALLOWED[name]
    ]


def _of_numbers(environ: Mapping[str, str]) -> list[str]:
    texts = {name: environ.get(name) or str(default) for name, default in NUMBERS.items()}
    faults = [
        f"{name}: must be a whole number above 0"
        for name, text in texts.items()
        if not re.fullmatch(r"0*[1-9][0-9]{0,8}", text, re.ASCII)
    ]
    if not faults and int(texts[BATCH]) > int(texts[QUEUE]):
        faults.append(f"{BATCH}: must not be above {QUEUE}, which is {texts[QUEUE]}")
    faults += [
        f"{name}: must be a number of seconds above 0"
        for name in TIMEOUTS
        if environ.get(name)
        and not re.fullmatch(r"(?=.*[1-9])[0-9]{1,9}(\.[0-9]+)?", environ[name], re.ASCII)
    ]
    share = environ.get("OTEL_TRACES_SAMPLER_ARG", "")
    if "ratio" in environ.get("OTEL_TRACES_SAMPLER", "").lower() and not re.fullmatch(
        r"0|1|[01]\.0*|0?\.[0-9]+", share, re.ASCII
    ):
        faults.append("OTEL_TRACES_SAMPLER_ARG: must be a number from 0 to 1, such as 0.05")
    return faults


def _of_files(environ: Mapping[str, str]) -> list[str]:
    """The exporter looks for them when it sends the first time."""
    given = {name: environ[name] for name in FILES if environ.get(name)}
    return [
        f"{name}: must be a file; {path} is none" for name, path in given.items() if not Path(path).is_file()
    ]


def _headers(environ: Mapping[str, str], *, faults: list[str]) -> Mapping[str, str]:
    """Sent with every batch. They are secrets: no fault quotes them, and what the exporter would complain of it never sees."""
    found: list[Mapping[str, str]] = []
    for name in ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"):
        try:
            text = variable(name, environ=environ)
        except (OSError, ValueError) as error:
            faults.append(f"{name}_FILE: {reason(error)}")
            continue
        if text is not None:
            found.append(_pairs(name, text, faults=faults))
    return found[0] if found else {}


def _pairs(name: str, text: str, *, faults: list[str]) -> Mapping[str, str]:
    pairs: dict[str, str] = {}
    for item in filter(str.strip, text.split(",")):
        match = HEADER.fullmatch(item)
        value = unquote(match["value"]).strip() if match else ""
        if match is None or not PRINTABLE.fullmatch(value):
            faults.append(
                f"{name}: must be name=value, with commas between several; other characters are percent-encoded"
            )
            break
        pairs[match["name"].lower()] = value
    return pairs
