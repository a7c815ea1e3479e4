"""Finds the configuration file, reads it with the environment, and reports every fault at once."""

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.address import is_loopback_literal
from gateway.config.destinations import read_destination
from gateway.config.expand import expand, reason, variable
from gateway.config.reader import Reader
from gateway.config.settings import Config, Destination, Retention, Server, Source, StoreSettings
from gateway.config.sources import read_networks, read_source
from gateway.config.tracing import read_tracing
from gateway.errors import ConfigError

BUILTIN = files("gateway.config") / "builtin.toml"
TOKEN = re.compile(r"[\x21-\x7e]+", re.ASCII)
LOG_LEVELS = ("debug", "info", "warning", "error")
ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+(?:%\w+)?)\]|([^\s:/@\[\]]+)):([0-9]{1,5})", re.ASCII)
OVERRIDES = {
    "GATEWAY_HOST": "host",
    "GATEWAY_PORT": "port",
    "GATEWAY_ADMIN_LISTEN": "admin_listen",
    "GATEWAY_LOG_LEVEL": "log_level",
}


def load(path: Path | None, *, environ: Mapping[str, str]) -> Config:
    """From `path`, else GATEWAY_CONFIG, else ./gateway.toml, else the built-in configuration for the main job.

    Raise ConfigError with every fault.
    """
    faults: list[str] = []
    path = path or (Path(environ["GATEWAY_CONFIG"]) if environ.get("GATEWAY_CONFIG") else None)
    if path is None and Path("gateway.toml").exists():
        path = Path("gateway.toml")
    if path is None:
        environ = {**environ, "CONVEX_SITE_URL": environ.get("CONVEX_SITE_URL", "").rstrip("/")}
    document = _parse(BUILTIN.read_text("utf-8")) if path is None else _parse(_read(path), place=f"{path}: ")
    config = _config(expand(document, environ=environ, faults=faults), environ=environ, faults=faults)
    if faults and path is None:
        faults.append(
            f"there is no gateway.toml in {Path.cwd()}: all this is of the configuration that is built in"
        )
    if faults:
        raise ConfigError(faults)
    return _allow_loopback(config) if path is None else config


def from_environment(environ: Mapping[str, str]) -> Server:
    """What the environment alone says, over the defaults. Raise ConfigError with every fault."""
    faults: list[str] = []
    server = _server(Reader({}, place="server", faults=faults), environ=environ)
    if faults:
        raise ConfigError(faults)
    return server


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: is not UTF-8 text"]) from None


def _parse(text: str, *, place: str = "") -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{place}not TOML: {error}"]) from None
    except RecursionError:
        raise ConfigError([f"{place}not a configuration: its values are nested too deeply"]) from None


def _config(document: Any, *, environ: Mapping[str, str], faults: list[str]) -> Config:
    reader = Reader(document, place="", faults=faults)
    server = _server(reader.table("server"), environ=environ)
    store = _store(reader.table("store"), environ=environ)
    sources = tuple(read_source(table) for table in reader.tables("sources"))
    destinations = tuple(read_destination(table) for table in reader.tables("destinations"))
    reader.close()
    _check_names(reader, sources, destinations)
    return Config(
        server=server,
        store=store,
        sources=sources,
        destinations=destinations,
        tracing=read_tracing(environ=environ, faults=faults),
    )


def _check_names(reader: Reader, sources: tuple[Source, ...], destinations: tuple[Destination, ...]) -> None:
    if not sources:
        reader.fault("sources", "there is none: nothing could be received")
    for kind, names in (
        ("sources", [str(s.name) for s in sources]),
        ("destinations", [str(d.name) for d in destinations]),
    ):
        for name in sorted({name for name in names if names.count(name) > 1 and name}):
            reader.fault(kind, f"{name!r} stands more than once")
    known = {str(source.name) for source in sources}
    for destination in destinations:
        for name in destination.sources or ():
            if name not in known:
                reader.fault(f"destinations ({destination.name})", f"no source is called {name!r}")
        _check_signing(reader, destination, sources)


def _check_signing(reader: Reader, destination: Destination, sources: tuple[Source, ...]) -> None:
    if destination.sign is None or destination.sign.secrets:
        return
    wanted = [one for one in sources if destination.sources is None or one.name in destination.sources]
    for source in wanted:
        if (unsignable := source.verifier.unsignable) is not None:
            reader.fault(
                f"destinations ({destination.name}).sign",
                f'scheme "source" cannot be used with source {source.name}: {unsignable}',
            )
        own = {name.lower() for name in destination.headers}
        own |= {"authorization"} if destination.bearer_token is not None else set()
        for name in sorted(own & {header.decode() for header in source.verifier.required_headers}):
            reader.fault(
                f"destinations ({destination.name}).sign",
                f"source {source.name} is signed for in {name}, which bearer_token or headers set too: one would be lost",
            )


def _server(table: Reader, *, environ: Mapping[str, str]) -> Server:
    overridden = {key: environ[name] for name, key in OVERRIDES.items() if environ.get(name)}
    server = Reader({**table.rest(), **overridden}, place=table.place, faults=table.faults)
    defaults = Server()
    host = server.text("host", defaults.host)
    port = server.integer("port", defaults.port, least=0, most=65_535)
    result = Server(
        host=host,
        port=port,
        max_body_bytes=server.integer("max_body_bytes", defaults.max_body_bytes, least=1, most=2**30),
        max_connections=server.integer("max_connections", defaults.max_connections, least=1, most=1_000_000),
        admin_token=_admin_token(server, environ=environ),
        admin_listen=_admin_listen(server, host, port),
        trusted_proxies=read_networks(server, "trusted_proxies"),
        log_level=server.choice("log_level", defaults.log_level, LOG_LEVELS),
    )
    server.close()
    return result


def _admin_listen(server: Reader, webhooks_host: str, webhooks_port: int) -> tuple[str, int] | None:
    text = server.text("admin_listen", None)
    if text is None:
        return None
    found = ADDRESS.fullmatch(text)
    if found is None or int(found[3]) > 65_535:
        server.fault(
            "admin_listen", f"must be an address and a port, as 127.0.0.1:8081 or [::1]:8081, not {text!r}"
        )
        return None
    host, port = found[1] or found[2], int(found[3])
    if port and port == webhooks_port and host == webhooks_host:
        server.fault("admin_listen", f"{text} is where webhooks are taken: it needs a port of its own")
    return host, port


def _admin_token(server: Reader, *, environ: Mapping[str, str]) -> str | None:
    token = server.text("admin_token", None)
    token = _variable(server, "admin_token", "GATEWAY_ADMIN_TOKEN", environ=environ) or token
    if token is not None and not TOKEN.fullmatch(token):
        server.fault("admin_token", "must be printable ASCII without spaces, or no request could carry it")
    return token


def _variable(table: Reader, key: str, name: str, *, environ: Mapping[str, str]) -> str | None:
    try:
        return variable(name, environ=environ)
    except (OSError, ValueError) as error:
        table.fault(key, f"{name}_FILE: {reason(error)}")
        return None


def _store(table: Reader, *, environ: Mapping[str, str]) -> StoreSettings:
    url = table.text("url", StoreSettings().url)
    url = _variable(table, "url", "GATEWAY_STORE_URL", environ=environ) or url
    if url.startswith(("postgres://", "postgresql://")):
        table.fault("url", "Postgres is not supported by this version; use sqlite:///PATH")
    elif not url.startswith("sqlite:///") or url == "sqlite:///":  # not quoted: it may hold a password
        table.fault("url", "must be sqlite:///relative/path or sqlite:////absolute/path")
    retention = _retention(table.table("retention"))
    table.close()
    return StoreSettings(url=url, retention=retention)


def _retention(table: Reader) -> Retention:
    defaults = dataclasses.asdict(Retention())
    days = {key: table.number(key, default, least=0.001, most=36_500) for key, default in defaults.items()}
    table.close()
    return Retention(**days)


def _allow_loopback(config: Config) -> Config:
    """A literal loopback address is allowed in the built-in configuration: nobody sets one by mistake."""
    destinations = tuple(
        dataclasses.replace(
            d,
            allow_private_address=d.allow_private_address
            or is_loopback_literal(urlsplit(d.url).hostname or ""),
        )
        for d in config.destinations
    )
    return dataclasses.replace(config, destinations=destinations)
