"""The four programs of a stack and the environment that makes them one product."""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from stack.ports import HOST, Ports
from stack.service import Program
from stack.workspace import Keys

ROOT = Path(__file__).resolve().parent.parent
CONVEX = ROOT / "convex"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a stack runs."""

    data: Path
    """What the services must remember, and their logs. They work in it, so that a gateway.toml that somebody keeps in
    the checkout is left alone."""
    ports: Ports
    keys: Keys
    environment: Mapping[str, str]
    """Each service gets this and, over it, only what it needs to find its neighbours."""

    def url(self, port: str) -> str:
        return f"http://{HOST}:{asdict(self.ports)[port]}"


def programs(place: Place) -> tuple[Program, ...]:
    return (_convex(place), _gateway(place), _transcriber(place), _page(place))


def _convex(place: Place) -> Program:
    return Program(
        name="convex",
        command=("node", "devserver/main.mjs"),
        directory=CONVEX,
        environment=_over(
            place.environment,
            PORT=str(place.ports.convex),
            SITE_PROXY_PORT=str(place.ports.convex_site),
            CONVEX_DATA_FILE=str(place.data / "convex.jsonl"),
            TRANSCRIPTION_WEBHOOK_KEY=place.keys.webhook_key,
        ),
        url=place.url("convex"),
        ready_url=f"{place.url('convex')}/version",
    )


def _gateway(place: Place) -> Program:
    return Program(
        name="gateway",
        command=(sys.executable, "-m", "gateway", "serve"),
        directory=place.data,
        environment=_over(
            place.environment,
            PYTHONPATH=str(ROOT),
            GATEWAY_CONFIG="",
            GATEWAY_HOST=HOST,
            GATEWAY_PORT=str(place.ports.gateway),
            GATEWAY_STORE_URL=f"sqlite:///{place.data / 'gateway.db'}",
            GATEWAY_ADMIN_TOKEN=place.keys.admin_token,
            TRANSCRIBER_WEBHOOK_SECRET=place.keys.webhook_secret,
            CONVEX_SITE_URL=place.url("convex_site"),
            CONVEX_WEBHOOK_KEY=place.keys.webhook_key,
        ),
        url=place.url("gateway"),
        ready_url=f"{place.url('gateway')}/readyz",
    )


def _transcriber(place: Place) -> Program:
    page = place.url("page")
    return Program(
        name="transcriber",
        command=(sys.executable, "-m", "transcriber", "serve"),
        directory=place.data,
        environment=_over(
            place.environment,
            PYTHONPATH=str(ROOT),
            TRANSCRIBER_HOST=HOST,
            TRANSCRIBER_PORT=str(place.ports.transcriber),
            TRANSCRIBER_PUBLIC_URL=place.url("transcriber"),
            TRANSCRIBER_DATA_DIR=str(place.data / "transcriber"),
            TRANSCRIBER_WEBHOOK_URL=f"{place.url('gateway')}/webhooks/transcriber",
            TRANSCRIBER_WEBHOOK_SECRET=place.keys.webhook_secret,
            TRANSCRIBER_CORS_ORIGINS=f"{page},{page.replace(HOST, 'localhost')}",
        ),
        url=place.url("transcriber"),
        ready_url=f"{place.url('transcriber')}/readyz",
    )


def _page(place: Place) -> Program:
    vite = ("node", "node_modules/vite/bin/vite.js")  # npx would stand between its process and our signals
    return Program(
        name="page",
        command=(
            *vite,
            "-c",
            "demo/vite.config.ts",
            "--host",
            HOST,
            "--port",
            str(place.ports.page),
            "--strictPort",
        ),
        directory=CONVEX,
        environment=_over(
            place.environment,
            VITE_CONVEX_URL=place.url("convex"),
            VITE_TRANSCRIBER_URL=place.url("transcriber"),
        ),
        url=place.url("page"),
        ready_url=place.url("page"),
    )


def _over(environment: Mapping[str, str], **ours: str) -> Mapping[str, str]:
    """Return `environment` with ours set over it, less the NAME_FILE that would say the same as our NAME."""
    return {
        **{name: value for name, value in environment.items() if name.removesuffix("_FILE") not in ours},
        **ours,
    }
