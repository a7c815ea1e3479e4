"""`python -m stack run` and `python -m stack demo`."""

import argparse
import os
import sys
from pathlib import Path

import httpx

from stack.demo import DemoError, InterruptedDemoError, demo
from stack.product import ProductError
from stack.run import run
from stack.service import ServiceFailedError
from stack.workspace import WorkspaceError

INTERRUPTED = 130  # as a shell reports a process ended by Ctrl-C


def main() -> int:
    arguments = _parser().parse_args()
    try:
        if arguments.command == "run":
            return run(directory=Path.cwd(), environment=os.environ)
        return demo(arguments.audio, timeout_seconds=arguments.timeout, environment=os.environ)
    except InterruptedDemoError as error:
        print(error, file=sys.stderr)
        return INTERRUPTED
    except (DemoError, ProductError, ServiceFailedError, WorkspaceError) as error:
        print(f"stack {arguments.command}: {error}", file=sys.stderr)
        return 1
    except httpx.TransportError as error:
        print(f"stack {arguments.command}: a service no longer answers: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stack", description="The whole product on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="run everything with its data in ./var/stack until Ctrl-C")
    demo_parser = commands.add_parser("demo", help="transcribe one recording and read its text from Convex")
    demo_parser.add_argument("--audio", type=Path, required=True, metavar="PATH")
    demo_parser.add_argument(
        "--timeout", type=float, default=1800, metavar="SECONDS", help="for the transcription (default: 1800)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
