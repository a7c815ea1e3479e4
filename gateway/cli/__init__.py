"""The commands: serve · check · backup, verify · sign, and the admin API's events · replays · destinations."""

import sys
from collections.abc import Sequence

from gateway.cli import webhook
from gateway.cli.ending import REFUSED, UNUSABLE, UnusableInputError
from gateway.cli.parser import parser
from gateway.errors import AdminRefused, ConfigError, GatewayError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options))
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
    except (GatewayError, OSError) as error:
        print(f"gateway: {error}", file=sys.stderr)
        return REFUSED
