"""serve · check · backup: the only place that picks a store."""

import argparse
import dataclasses
import gc
import logging
import os
import socket

import gateway
from gateway import app, connect, server
from gateway.cli.output import shown_time
from gateway.clock import Clock, SystemClock
from gateway.config import Config, Server, load, waiting_for_restart
from gateway.errors import ConfigError
from gateway.limits import Limits
from gateway.log import emit, set_up
from gateway.metrics import Metrics, ReloadOutcome
from gateway.store.sqlite import SqliteStore, file, sqlite_path
from gateway.tracing import Tracing

COLLECTED_AFTER = (700, 10, 1000)
"""Objects more than before, until the youngest are looked through; such collections until the older, and the oldest, are too."""


def serve(options: argparse.Namespace) -> int:
    loaded = load(options.config, environ=os.environ)
    config = _within_room(loaded)
    set_up(level=config.server.log_level)
    _warn_of_few_files(config.server.max_connections, wanted=loaded.server.max_connections)
    clock, metrics = SystemClock(), Metrics(version=gateway.__version__)
    tracing = _tracing(config, clock=clock)
    listener, admin_listener = _bind(config.server)
    store = _open_store(config, clock=clock, metrics=metrics)
    created = app.create(config, store=store, clock=clock, metrics=metrics, tracing=tracing)

    admin = (
        server.AdminPort(created.admin_app, admin_listener) if created.admin_app and admin_listener else None
    )
    _collect_seldom()
    server.serve(
        created.app,
        listener,
        admin=admin,
        limits=Limits(arriving_bytes=max(Limits().arriving_bytes, 4 * config.server.max_body_bytes)),
        max_connections=config.server.max_connections,
        metrics=metrics,
        on_hangup=lambda: metrics.reloads.labels(_reload(options, loaded, created)).inc(),
    )
    emit("server.stopped")
    return 0


def _reload(options: argparse.Namespace, loaded: Config, running: app.Gateway) -> ReloadOutcome:
    """Reads the configuration anew. `loaded` is what the start found."""
    try:
        changed = load(options.config, environ=os.environ)
    except ConfigError as error:
        emit("config.refused", level=logging.ERROR, faults=error.faults)
        return "refused"
    took_all = running.reload(changed)
    if waiting := waiting_for_restart(loaded, changed):
        emit("config.restart_needed", level=logging.WARNING, settings=waiting)
    emit("config.reloaded")
    return "taken" if took_all and not waiting else "partial"


def _open_store(config: Config, *, clock: Clock, metrics: Metrics) -> SqliteStore:
    path = sqlite_path(config.store.url)
    store = SqliteStore(
        path,
        destinations=[destination.name for destination in config.destinations],
        now=clock.now_ms(),
        on_commit=metrics.on_commit,
    )
    emit("store.opened", path=str(path.absolute()), created=store.created, pending=store.pending_at_start)
    if store.copied_at is not None:
        emit(
            "store.copied",
            level=logging.WARNING,
            copied_at=store.copied_at,
            detail="this is a copy: every destination is paused until it is resumed",
        )
    return store


def _collect_seldom() -> None:
    """What is there at the start stays, and neither requests nor connections leave cycles behind that add up.

    Python's collector would go through all of it again and again: with 500 connections 30 ms at a time, in which nobody is
    answered.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTED_AFTER)


def _tracing(config: Config, *, clock: Clock) -> Tracing | None:
    if config.tracing is None:
        return None
    from gateway.tracing.otlp import OtlpTracing  # noqa: PLC0415 - of an extra that need not be installed

    try:
        return OtlpTracing(
            config.tracing, destinations=config.destinations, version=gateway.__version__, clock=clock
        )
    except (ImportError, RuntimeError, ValueError) as error:  # of a variable that is OpenTelemetry's alone
        raise ConfigError([f"OpenTelemetry refuses its settings: {error}"]) from None


def _bind(settings: Server) -> tuple[socket.socket, socket.socket | None]:
    """The webhooks' port, and the admin's where it has its own; whoever connects waits until there is a store."""
    listener = server.bind(settings.host, settings.port)
    if settings.admin_listen is None:
        return listener, None
    return listener, server.bind(
        *settings.admin_listen, setting="server.admin_listen or GATEWAY_ADMIN_LISTEN"
    )


def backup(options: argparse.Namespace) -> int:
    """Copies the store while a gateway may be running on it."""
    config = load(options.config, environ=os.environ)
    now = SystemClock().now_ms()
    size = file.copy(sqlite_path(config.store.url), options.file, now=now)
    print(f"{options.file}: {size} bytes, as of {shown_time(now)}.")
    return 0


def check(options: argparse.Namespace) -> int:
    config = load(options.config, environ=os.environ)
    faults = (connect.faults if options.connect else connect.refusals)(config.destinations)
    if faults:
        raise ConfigError(faults)
    sources, destinations = len(config.sources), len(config.destinations)
    reached = " Each destination was reached." if options.connect and destinations else ""
    found = f"{_count(sources, 'source')}, {_count(destinations, 'destination')}"
    print(f"The configuration is sound: {found}.{reached}")
    return 0


def _within_room(config: Config) -> Config:
    """With no more connections than this process may have files for."""
    others = sum(destination.max_in_flight for destination in config.destinations)
    most = server.room(config.server.max_connections, others=others)
    return dataclasses.replace(config, server=dataclasses.replace(config.server, max_connections=most))


def _warn_of_few_files(room: int, *, wanted: int) -> None:
    if room < wanted:
        emit(
            "connections.fewer",
            level=logging.WARNING,
            max_connections=room,
            wanted=wanted,
            detail="the system allows this process too few open files",
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
