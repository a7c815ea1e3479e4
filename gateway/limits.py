"""What is borne from one peer, and from all."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one request, of the patience with its sender, and of all that arrive at once."""

    head_bytes: int = 65_536
    """Of request line and headers together; also what may come between two pieces of a body without being body."""
    headers: int = 100
    url_bytes: int = 8192
    head_seconds: float = 10.0
    """From a request's first byte to the end of its headers, and how long a new connection may say nothing."""
    body_seconds: float = 10.0
    """From the end of the headers to the end of the body, however steadily it drips."""
    linger_seconds: float = 1.0
    """How long what still comes is thrown away after a last answer: a reset at once could take the answer along."""
    stall_seconds: float = 30.0
    """How long an answer waits for a peer that does not read it."""
    arriving_bytes: int = 128 * 2**20
    """Received of requests that are not here whole, on all connections together. It has to hold several whole bodies."""
