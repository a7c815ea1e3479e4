"""The machine that docs/operations.md is written for, within a folder: its commands run exactly as the page has them.

Folders of the page are folders of the test's, and its service manager and `curl` are stand-ins; the gateway is real.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.gateway import free_port
from tests.support.process import ROOT, Service
from tests.support.waiting import eventually

PAGE = (ROOT / "docs/operations.md").read_text("utf-8")
FOLDERS = re.compile(r"(?<![\w.-])(/etc/gateway|/var/lib/gateway|/var/backups/gateway)\b")
FOREIGN = re.compile(r"(?<![\w.-])/(?:etc|var|home|opt|root|usr)\b")
MANAGED = re.compile(r"sudo systemctl (\w+) (?:--now )?gateway")
GATEWAY = f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m gateway "$@"\n'
CHOWN = '#!/bin/sh\n[ "$1 $2" = "-R gateway:" ] && ls -d "$3" "$4" "$5" > /dev/null\n'
"""The test's user owns its folders already."""
CURL = f"""#!{sys.executable}
import sys, urllib.request
_, h, headers, data, body, url = sys.argv
assert (h, headers[0], data, body[0]) == ("-H", "@", "--data-binary", "@"), sys.argv
pairs = dict(line.rstrip().split(": ", 1) for line in open(headers[1:]))
request = urllib.request.Request(url, open(body[1:], "rb").read(), pairs)
print(urllib.request.urlopen(request, timeout=10).read().decode())
"""


def blocks(heading: str, language: str = "sh") -> list[str]:
    """The fenced blocks of this language in the page's section of this heading."""
    section = re.split(r"^## ", PAGE.partition(f"\n## {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    assert section, heading
    return re.findall(rf"^```{language}\n(.+?)^```$", section, re.MULTILINE | re.DOTALL)


class Machine:
    def __init__(self, folder: Path, destination: str) -> None:
        self.folder = folder
        self.port, self.admin_port = free_port(), free_port()
        self.service: Service | None = None
        self._destination = destination
        self._commands = folder / "bin"
        self._commands.mkdir()
        for name, text in {"gateway": GATEWAY, "curl": CURL, "chown": CHOWN}.items():
            (self._commands / name).write_text(text)
            (self._commands / name).chmod(0o755)

    def path(self, on_page: str) -> Path:
        return Path(self.here(on_page))

    def here(self, text: str) -> str:
        """The page's text with this machine's folders, port and destination."""
        own = FOLDERS.sub(lambda found: f"{self.folder}{found[1]}", text)
        assert not FOREIGN.search(FOLDERS.sub("", text)), f"would touch the test's own machine: {text}"
        own = own.replace("127.0.0.1:8081", f"127.0.0.1:{self.admin_port}")
        own = own.replace("127.0.0.1:8080", f"127.0.0.1:{self.port}").replace(
            "port = 8080", f"port = {self.port}"
        )
        return own.replace("https://app.example.com/webhooks", f"{self._destination}/webhooks")

    def configure(self, text: str) -> None:
        """Writes a configuration of the page's; its destination is on this machine, which has to be allowed."""
        allowed = text.replace('name = "app"\n', 'name = "app"\nallow_private_address = true\n')
        self.path("/etc/gateway/gateway.toml").write_text(self.here(allowed))

    def run(self, block: str) -> str:
        """What the block's commands say. Raises CalledProcessError at the first that fails."""
        said, waiting = "", ""
        for line in [*block.splitlines(), "sudo systemctl status gateway"]:
            if managed := MANAGED.fullmatch(line):
                said += self._shell(waiting)
                waiting = ""
                self._manage(managed[1])
            else:
                waiting += f"{line}\n"
        return said

    def secret(self, name: str) -> str:
        return self.path(f"/etc/gateway/secrets/{name}").read_text().strip()

    def close(self) -> None:
        if self.service is not None:
            self.service.close()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{self._commands}:{os.environ['PATH']}",
            "GATEWAY_CONFIG": str(self.path("/etc/gateway/gateway.toml")),
        }

    def _shell(self, text: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.here(text)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _manage(self, verb: str) -> None:
        if verb == "start":
            self.service = Service(["gateway", "serve"], self.environment)
            self.service.line("server.listening")
        elif verb == "reload":
            self._reload()
        elif verb in ("stop", "disable"):
            assert self.service is not None
            assert self.service.stop()[0] == 0

    def _reload(self) -> None:
        assert self.service is not None
        lines = self.service.lines

        def reloads() -> int:
            return sum(1 for line in lines if line["event"] == "config.reloaded")

        before = reloads()
        self.service.process.send_signal(1)
        eventually(lambda: reloads() > before)


@contextmanager
def machine(folder: Path, destination: str) -> Iterator[Machine]:
    """Set up as the page says, and not started."""
    one = Machine(folder, destination)
    try:
        one.run(blocks("From nothing to production")[0])
        one.configure(blocks("From nothing to production", "toml")[0])
        yield one
    finally:
        one.close()
