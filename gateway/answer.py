"""What a sender is told: that its webhook is stored, what its handshake asked for, or that it was refused."""

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.model import Accepted, Rejected, RejectionReason
from gateway.problem import problem
from gateway.verify.handshake import Reply

UNAUTHORIZED = "The request could not be authenticated. The reason is in the gateway's log."


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
    again = {"retry-after": str(rejected.retry_after_seconds)}
    answers: dict[RejectionReason, tuple[int, str, dict[str, str]]] = {
        "unknown_source": (
            404,
            "There is no source of this name; the URL is /webhooks/ and a source's name.",
            {},
        ),
        "method": (405, "Webhooks are sent by POST.", {"allow": "POST"}),
        "too_slow": (408, sentence, {"connection": "close"}),
        "too_large": (413, sentence, {"connection": "close"}),
        "rate_limited": (429, f"{sentence} Send it again after a while.", again),
        "unavailable": (503, "The event could not be stored now; send it again.", again),
    }
    status, text, headers = answers.get(rejected.reason, (401, UNAUTHORIZED, {}))
    return problem(status, text, headers=headers)
