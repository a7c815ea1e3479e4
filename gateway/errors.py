"""The promises that can break.

GatewayError
├── ConfigError        the configuration has faults: every one of them is in `faults`
├── CannotListen       the address to listen on is taken, or is none of this machine's
├── StoreUnavailable   the store cannot take or give anything now (disk full, locked, closing); trying again may help
├── StoreUnusable      the store cannot be opened at all: in use, corrupt, of a later version
├── AdminRefused       a running gateway does not grant what a command asked of it
└── AdminUnreachable   there is no answer from a running gateway
"""


class GatewayError(Exception):
    """Something the gateway promised cannot be kept; the message says what, and what to do."""


class ConfigError(GatewayError):
    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class CannotListen(GatewayError):
    pass


class StoreUnavailable(GatewayError):
    pass


class StoreUnusable(GatewayError):
    pass


class AdminRefused(GatewayError):
    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class AdminUnreachable(GatewayError):
    pass
