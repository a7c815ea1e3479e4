"""What a producer is to these tests: how it signs, and how its own package verifies."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import time_machine

from tests.oracles.request import Request

NOW = 1_800_000_000
"""Unix seconds: when a producer signs in these tests."""
ALWAYS = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Producer:
    name: str
    scheme: str | Mapping[str, Any]
    """A preset's name, or the parameters of a scheme that is none."""
    request: Request
    """As the producer sends it, but unsigned."""
    key: bytes
    """What it signs with."""
    spelled: Callable[[bytes], str]
    """The secret as the gateway's operator pastes it, of such a key."""
    sign: Callable[[Request, bytes, int], Request]
    """With the producer's package, else by the formula that it documents; at Unix seconds."""
    check: Callable[[Request, str], object]
    """The verification of the producer's package; False, or an exception, refuses."""
    late: float = 300
    """For how many seconds the package accepts what was signed."""
    early: float = 300
    """How many seconds before that time."""
    signs_url: bool = False
    signs_method: bool = False
    signs_form: bool = False
    """The fields of a form, not its bytes."""
    can_sign_anew: bool = True
    """Whether the gateway can."""

    @property
    def secret(self) -> str:
        return self.spelled(self.key)

    @property
    def signed(self) -> Request:
        return self.sign(self.request, self.key, NOW)

    @property
    def signature_headers(self) -> list[str]:
        return [name for name in self.signed.headers if name not in self.request.headers]

    def accepts(self, request: Request, *, now: float = NOW, secret: str | None = None) -> bool:
        """Whether the producer's package does, at a time."""
        with time_machine.travel(now, tick=False):
            try:
                return self.check(request, self.secret if secret is None else secret) is not False
            except Exception:  # noqa: BLE001 - each package has exceptions of its own
                return False
