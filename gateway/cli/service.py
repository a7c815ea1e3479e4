"""serve · check · backup: the only place that picks a store."""

import argparse
import dataclasses
import logging
import os

import gateway
from gateway import app, connect, server
from gateway.cli.output import shown_time
from gateway.clock import SystemClock
from gateway.config import Config, load
from gateway.errors import ConfigError
from gateway.log import emit, set_up
from gateway.metrics import Metrics
from gateway.store.sqlite import SqliteStore, file, sqlite_path


def serve(options: argparse.Namespace) -> int:
    config = _within_room(load(options.config, environ=os.environ))
    set_up(level=config.server.log_level)
    clock, metrics = SystemClock(), Metrics(version=gateway.__version__)
    listener = server.bind(config.server.host, config.server.port)
    store = SqliteStore(
        sqlite_path(config.store.url),
        destinations=[destination.name for destination in config.destinations],
        now=clock.now_ms(),
        on_commit=metrics.on_commit,
    )
    if store.copied_at is not None:
        emit(
            "store.copied",
            level=logging.WARNING,
            copied_at=store.copied_at,
            detail="this is a copy: every destination is paused until it is resumed",
        )
    created = app.create(config, store=store, clock=clock, metrics=metrics)

    def reload() -> None:
        try:
            created.reload(load(options.config, environ=os.environ))
        except ConfigError as error:
            emit("config.refused", level=logging.ERROR, faults=error.faults)
        else:
            emit("config.reloaded")

    server.serve(
        created.app,
        listener,
        max_connections=config.server.max_connections,
        metrics=metrics,
        on_hangup=reload,
    )
    return 0


def backup(options: argparse.Namespace) -> int:
    """Copies the store while a gateway may be running on it."""
    config = load(options.config, environ=os.environ)
    now = SystemClock().now_ms()
    size = file.copy(sqlite_path(config.store.url), options.file, now=now)
    print(f"{options.file}: {size} bytes, as of {shown_time(now)}.")
    return 0


def check(options: argparse.Namespace) -> int:
    config = load(options.config, environ=os.environ)
    faults = connect.faults(config.destinations) if options.connect else []
    if faults:
        raise ConfigError(faults)
    sources, destinations = len(config.sources), len(config.destinations)
    print(f"The configuration is sound: {_count(sources, 'source')}, {_count(destinations, 'destination')}.")
    return 0


def _within_room(config: Config) -> Config:
    """With no more connections than this process may have files for."""
    others = sum(destination.max_in_flight for destination in config.destinations)
    most = server.room(config.server.max_connections, others=others)
    return dataclasses.replace(config, server=dataclasses.replace(config.server, max_connections=most))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
