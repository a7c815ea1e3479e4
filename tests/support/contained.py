"""A service in its image, at the same address and on the same volume at every start."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from stack.ports import ANY, HOST, choose
from tests.support.container import Image
from tests.support.waiting import eventually

SETTINGS: Mapping[str, Mapping[str, str]] = {
    "gateway": {
        "TRANSCRIBER_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "CONVEX_SITE_URL": "http://127.0.0.1:9",
        "CONVEX_WEBHOOK_KEY": "made-up-key",
    },
    "transcriber": {},
}


@dataclass(slots=True)
class Contained:
    image: Image
    url: str
    environment: Mapping[str, str]
    data: Path
    secrets: Path
    log: Path
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """The image's own command, until it is ready."""
        self.process = self.image.start(
            self.image.config["Cmd"],
            data=self.data,
            secrets=self.secrets,
            environment=self.environment,
            log=self.log,
        )
        eventually(self._is_ready)

    def end(self, number: signal.Signals, *, seconds: float = 10) -> int:
        """Its exit code, which is there within `seconds`."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def said(self) -> str:
        return self.log.read_text("utf-8")

    def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.said()
        try:
            return httpx.get(f"{self.url}/readyz").is_success
        except httpx.TransportError:
            return False


@contextmanager
def contained(
    image: Image, service: str, folder: Path, settings: Mapping[str, str] | None = None
) -> Iterator[Contained]:
    """In `folder`; what is in its `secrets` is /run/secrets there. `settings`: in place of SETTINGS."""
    data, secrets = folder / "data", folder / "secrets"
    data.mkdir()
    os.chown(data, 10001, 10001)
    secrets.mkdir(exist_ok=True)
    ports = choose(ANY)
    port = {"gateway": ports.gateway, "transcriber": ports.transcriber}[service]
    environment = {
        **(SETTINGS[service] if settings is None else settings),
        f"{service.upper()}_PORT": str(port),
    }
    container = Contained(
        image=image,
        url=f"http://{HOST}:{port}",
        environment=environment,
        data=data,
        secrets=secrets,
        log=folder / "log",
    )
    try:
        yield container
    finally:
        if container.process is not None:
            container.process.kill()
            container.process.wait()
