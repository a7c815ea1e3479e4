"""The commands: serve and check, and those that ask a running service."""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sqlite3
import sys
import threading
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import uvicorn
from starlette.applications import Starlette

from transcriber import __version__, log, operate
from transcriber.app import build
from transcriber.connection import Protocol
from transcriber.errors import SettingsError, StoreError
from transcriber.settings import Settings, parse

# Requests under way may end; then the worker has 5 s: together well under the 10 s that containers are given.
REQUEST_STOP_SECONDS = 3
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (compared with, not bound)
EPILOG = """\
Settings are environment variables; docs/transcriber.md has all of them. Those to begin with:
  GROQ_API_KEY                  Groq transcribes; unset: Whisper tiny.en on this machine, English only
  TRANSCRIBER_WEBHOOK_URL       where events go; unset: they are kept
  TRANSCRIBER_WEBHOOK_SECRET    whsec_ and base64: what signs them
  TRANSCRIBER_DATA_DIR          database and recordings; unset: var/transcriber
  TRANSCRIBER_PORT              unset: 8000

When it runs: curl -F file=@speech.mp3 http://127.0.0.1:8000/v1/jobs
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 if the settings or the data folder cannot be used."""
    parser = argparse.ArgumentParser(
        prog="transcriber",
        description="A transcription API with webhooks.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="run the API; settings come from the environment")
    commands.add_parser("check", help="validate the settings; report every fault")
    operate.add_commands(commands)
    options = parser.parse_args(arguments)
    try:
        settings = parse(os.environ)
    except SettingsError as error:
        print(*(f"fault: {fault}" for fault in error.faults), sep="\n", file=sys.stderr)
        return 1
    try:
        code = _run(options, settings)
        print(end="", flush=True)
    except BrokenPipeError:
        return _unread()
    return code


def _run(options: argparse.Namespace, settings: Settings) -> int:
    match options.command:
        case "check":
            return check(settings)
        case "serve":
            return serve(settings)
        case _:
            return operate.run(options, settings)


def _unread() -> int:
    """Ends well where the reader of standard output has seen enough, as `head` has: the rest goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def check(settings: Settings) -> int:
    places = [f"{webhook.name} ({webhook.shown_url})" for webhook in settings.webhooks]
    where = ", ".join(places) or "nowhere: they are kept until TRANSCRIBER_WEBHOOK_URL is set"
    print(f"settings are valid: engine {settings.engine}, data in {settings.data_dir}, events to {where}")
    return 0


def serve(settings: Settings) -> int:
    log.configure()
    try:
        listener = _listen(settings)
    except OSError as error:
        return _refuse(
            f"{settings.host}:{settings.port} cannot be listened on: {error}: set TRANSCRIBER_HOST or TRANSCRIBER_PORT"
        )
    url, stopping = _url(listener), asyncio.Event()
    with listener:
        try:
            app = build(replace(settings, public_url=settings.public_url or url), stopping=stopping)
        except (StoreError, OSError) as error:
            return _refuse(str(error))
        server = _Server(_config(app), lifespan=app.router.lifespan_context(app), url=url, stopping=stopping)
        _take_signals_quietly()
        server.run(sockets=[listener])
    if server.fault is not None:
        return _leave(_refuse(f"{settings.data_dir} cannot be used: {server.fault}"))
    return _leave(0 if server.started else 1)


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",  # the server enters it itself
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=REQUEST_STOP_SECONDS,
    )


class _Server(uvicorn.Server):
    """Enters the application's lifespan itself: of one that fails, uvicorn would show the traceback."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        lifespan: AbstractAsyncContextManager[object],
        url: str,
        stopping: asyncio.Event,
    ) -> None:
        super().__init__(config)
        self.fault: sqlite3.Error | None = None
        """Why the store took nothing at the start."""
        self._application = lifespan
        self._url = url
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await self._application.__aenter__()
        except sqlite3.Error as error:
            self.fault, self.should_exit = error, True
            return
        await super().startup(sockets)
        if self.started:
            log.info("server.listening", url=self._url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.set()
        await super().shutdown(sockets)
        if not self.force_exit:
            await self._application.__aexit__(None, None, None)


def _leave(code: int) -> int:
    """Ends the process here if a thread is still inside an engine's native code: Python's own exit could crash on it."""
    if any(thread.daemon for thread in threading.enumerate()):
        logging.shutdown()
        os._exit(code)
    return code


def _take_signals_quietly() -> None:
    """Uvicorn raises the signal that stopped it once more when it is done: that would turn a clean stop into a crash."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    return socket.create_server((settings.host, settings.port), family=family, backlog=2048)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    host = _WILDCARDS.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _refuse(message: str) -> int:
    print(f"fault: {message}", file=sys.stderr)
    return 1
