"""The least that could answer a webhook: a Starlette endpoint that reads the body, on the gateway's own server."""

import sys

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.limits import Limits
from gateway.log import set_up
from gateway.metrics import Metrics
from gateway.server import bind, serve


async def webhook(request: Request) -> Response:
    await request.body()
    return JSONResponse({"event_id": "evt_0", "status": "accepted"})


async def readyz(_: Request) -> Response:
    return JSONResponse({"status": "ready"})


if __name__ == "__main__":
    set_up(level="info")
    app = Starlette(routes=[Route("/webhooks/{source}", webhook, methods=["POST"]), Route("/readyz", readyz)])
    serve(
        app,
        bind("127.0.0.1", int(sys.argv[1])),
        limits=Limits(),
        max_connections=1000,
        metrics=Metrics(version="bench"),
        on_hangup=lambda: None,
    )
