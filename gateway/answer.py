"""What a sender is told: that its webhook is stored, what its handshake asked for, or that it was refused."""

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.model import Accepted, Rejected, RejectionReason
from gateway.problem import problem
from gateway.verify.handshake import Reply

# Made once: floods consist of what is answered by them.
UNAUTHENTICATED = problem(401, "The request could not be authenticated. The reason is in the gateway's log.")
MADE: dict[RejectionReason, ASGIApp] = {
    "unknown_source": problem(
        404, "There is no source of this name; the URL is /webhooks/ and a source's name."
    ),
    "method": problem(405, "Webhooks are sent by POST.", headers={"allow": "POST"}),
}


class Stored:
    """The answer to a webhook that is on disk."""

    def __init__(self, accepted: Accepted) -> None:
        reused = ',"id_reused":true' if accepted.id_reused else ""
        self._body = f'{{"event_id":"{accepted.event_id}","status":"{accepted.status}"{reused}}}'.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - an ASGI application
        headers = [
            (b"content-length", b"%d" % len(self._body)),
            (b"content-type", b"application/json"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self._body})


def shaken(reply: Reply) -> ASGIApp:
    headers = {name.decode(): value.decode("latin-1") for name, value in reply.headers}
    if reply.body:
        headers |= {"content-type": reply.content_type, "x-content-type-options": "nosniff"}
    return Response(reply.body, reply.status, headers=headers)


def refusal(rejected: Rejected) -> ASGIApp:
    """What the sender is told. One answer for every failure to authenticate, so that it teaches a forger nothing."""
    sentence = f"{rejected.detail[0].upper()}{rejected.detail[1:]}."
    match rejected.reason:
        case "too_slow" | "too_large":
            status = 408 if rejected.reason == "too_slow" else 413
            return problem(status, sentence, headers={"connection": "close"})
        case "rate_limited" | "unavailable":
            again = {"retry-after": str(rejected.retry_after_seconds)}
            if rejected.reason == "rate_limited":
                return problem(429, f"{sentence} Send it again after a while.", headers=again)
            return problem(503, "The event could not be stored now; send it again.", headers=again)
        case _:
            return MADE.get(rejected.reason, UNAUTHENTICATED)
