"""The commands: serve · check · backup, verify · sign, and the admin API's events · replays · destinations."""

import os
import sys
from collections.abc import Sequence

from gateway.cli import webhook
from gateway.cli.ending import DONE, REFUSED, UNUSABLE, UnusableInputError
from gateway.cli.parser import parser
from gateway.errors import AdminRefused, ConfigError, GatewayError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        code = int(options.run(options))
        print(end="", flush=True)
    except ConfigError as error:
        lines = ("The configuration has faults:", *(f"  {fault}" for fault in error.faults))
        print(*lines, sep="\n", file=sys.stderr)
        return UNUSABLE if options.run in (webhook.verify, webhook.sign) else REFUSED
    except UnusableInputError as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    except AdminRefused as error:
        print(error, file=sys.stderr)
        return UNUSABLE if error.status == 400 else REFUSED
    except BrokenPipeError:
        return _unread()
    except (GatewayError, OSError) as error:
        print(f"gateway: {error}", file=sys.stderr)
        return REFUSED
    return code


def _unread() -> int:
    """Ends well where the reader of standard output has seen enough, as `head` has: the rest goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return DONE
