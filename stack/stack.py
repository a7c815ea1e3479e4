"""Services that start together and end together."""

import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from stack.leash import Leash
from stack.ports import Ports
from stack.programs import Place, programs
from stack.service import Service, ServiceFailedError
from stack.workspace import Keys

READY_SECONDS = 60.0
STOP_SECONDS = 10.0
POLL_SECONDS = 0.02


class Stack:
    """Convex, gateway, transcriber and page, on known ports and one data directory.

    Nothing runs until `start`; leaving the `with` block ends everything. Single services are reached by name
    (`stack["gateway"].kill()`) and can be started again.
    """

    def __init__(self, *, data: Path, ports: Ports, keys: Keys, environment: Mapping[str, str]) -> None:
        logs = data / "log"
        logs.mkdir(parents=True, exist_ok=True)
        self.ports = ports
        self.keys = keys
        self._leash = Leash()
        place = Place(data=data, ports=ports, keys=keys, environment=environment)
        self._services = {
            program.name: Service(program, log=logs / f"{program.name}.log", leash=self._leash)
            for program in programs(place)
        }

    def __getitem__(self, name: str) -> Service:
        return self._services[name]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self, *names: str, give_up: Callable[[], bool] = lambda: False) -> None:
        """Start the named services (default: all) at once and wait until each is ready.

        Returns early when `give_up` says so. Raises ServiceFailedError if one ends or takes over 60 s.
        """
        starting = [self._services[name] for name in names or self._services]
        for service in starting:
            service.start()
        deadline = time.monotonic() + READY_SECONDS
        while starting and not give_up():
            starting = [service for service in starting if not service.is_ready()]
            if starting and time.monotonic() > deadline:
                late = starting[0]
                raise ServiceFailedError(
                    f"{late.name} was not ready after {READY_SECONDS:.0f} s.\n{late.tail()}"
                )
            time.sleep(POLL_SECONDS)

    def check(self) -> None:
        """Raise ServiceFailedError if a service that was started has ended by itself."""
        for service in self._services.values():
            if service.pid is not None:
                service.check()

    def stop(self, *names: str) -> Collection[str]:
        """End the named services (default: all), and return the names of those that had to be killed."""
        stopping = [self._services[name] for name in names or self._services]
        for service in stopping:
            service.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        return [
            service.name
            for service in stopping
            if not service.reap(timeout_seconds=max(0.0, deadline - time.monotonic()))
        ]

    def close(self) -> None:
        try:
            self.stop()
        finally:
            self._leash.close()
