"""The images' HEALTHCHECK: exit 0 where /healthz answers 200 on this machine.

`healthcheck.py NAME PORT`: the service, and the port that it takes where nothing else is said. It is asked every ten seconds,
so it loads next to nothing: urllib.request alone takes four times as much of a core.
"""

import os
import socket
import sys

ANSWER_SECONDS = 4
EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - what a service listens on is asked from here
REQUEST = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


def main(name: str, port: str) -> str | None:
    """Return what is wrong, or None."""
    try:
        with socket.create_connection(address(name, port), timeout=ANSWER_SECONDS) as connection:
            connection.sendall(REQUEST)
            answer = connection.recv(12)
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return None if answer == b"HTTP/1.1 200" else f"/healthz answered {answer.decode('latin-1')!r}"


def address(name: str, port: str) -> tuple[str, int]:
    """Host and port as the service finds them: its variables, else its configuration file, else the defaults."""
    configured = server(os.environ.get(f"{name.upper()}_CONFIG") or f"{name}.toml")
    host = os.environ.get(f"{name.upper()}_HOST") or configured.get("host", "")
    port = os.environ.get(f"{name.upper()}_PORT") or configured.get("port", port)
    return "127.0.0.1" if host in EVERYWHERE else host, int(port)


def server(path: str) -> dict[str, str]:
    """The `[server]` of a configuration file; empty where there is none."""
    if not os.path.exists(path):  # noqa: PTH110 - pathlib costs more than the question
        return {}
    import tomllib  # noqa: PLC0415 - only who has a file pays for it

    with open(path, "rb") as file:  # noqa: PTH123 - as above
        return tomllib.load(file).get("server", {})


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
