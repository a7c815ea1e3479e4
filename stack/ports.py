"""The ports of a stack: the well-known ones where they are free."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports on the loopback interface; 0 asks for any free one."""

    page: int
    transcriber: int
    gateway: int
    convex: int
    convex_site: int


WELL_KNOWN = Ports(page=5173, transcriber=8000, gateway=8080, convex=3210, convex_site=3211)
ANY = Ports(page=0, transcriber=0, gateway=0, convex=0, convex_site=0)


def choose(wanted: Ports) -> Ports:
    """Return the wanted ports, with a free one in place of each that is taken.

    Every port is bound until all are chosen, so no two are the same. Between the choice and the service's own
    bind another program can still take one: the service then ends and says so.
    """
    with ExitStack() as held:
        return Ports(**{name: _bind(port, held) for name, port in asdict(wanted).items()})


def replaced(wanted: Ports, chosen: Ports) -> Iterator[tuple[str, int, int]]:
    """Yield (name, wanted port, chosen port) for each port that was taken."""
    for name, port in asdict(wanted).items():
        if port not in (0, asdict(chosen)[name]):
            yield name, port, asdict(chosen)[name]


def _bind(port: int, held: ExitStack) -> int:
    taken = held.enter_context(socket.socket())
    # As the servers do: a port that only has closed connections lingering on it is free.
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((HOST, port))
    except OSError:
        taken.bind((HOST, 0))
    # On Linux two sockets with SO_REUSEADDR may share a port until one of them listens.
    taken.listen()
    return int(taken.getsockname()[1])
