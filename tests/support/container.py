"""Images of the Dockerfile, built by buildah and run without a daemon. Needs root."""

import hashlib
import json
import os
import shlex
import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.locks import ROOT

# A read-only root with nothing writable but /data, as the user of the image: what `docker run --read-only
# --volume DIR:/data --volume SECRETS:/run/secrets:ro` does. Every step replaces the process, so signals and the exit code
# are the service's own.
READ_ONLY = """
set -e
root=$1 data=$2 secrets=$3 user=$4; shift 4
mount --bind "$root" "$root"
mount -t tmpfs tmpfs "$root/run"
mkdir "$root/run/secrets"
mount --bind "$secrets" "$root/run/secrets"
mount -o remount,ro,bind "$root/run/secrets"
mount -o remount,ro "$root/run"
mount -o remount,ro,bind "$root"
mount --bind "$data" "$root/data"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
exec /usr/sbin/chroot --userspec="$user" "$root" "$@"
"""


def build(target: str) -> "Image":
    """Build one target of the Dockerfile; return it as localhost/TARGET.

    CONTAINER_BUILD names the command to which the target is appended; without it buildah builds, and fetches the
    base image.
    """
    default = f"buildah bud --tag localhost/{target} --target"  # of the working directory
    command = [*shlex.split(os.environ.get("CONTAINER_BUILD", default)), target]
    built = subprocess.run(command, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False)
    assert built.returncode == 0, f"{shlex.join(command)}:\n{built.stdout[-2000:]}{built.stderr[-2000:]}"
    container = _buildah("from", "--pull-never", f"localhost/{target}").strip()
    described = json.loads(_buildah("inspect", "--type", "image", f"localhost/{target}"))
    return Image(
        container=container,
        root=Path(_buildah("mount", container).strip()),
        config=described["Docker"]["config"],
    )


@dataclass(frozen=True, slots=True)
class Image:
    container: str
    root: Path
    config: Mapping[str, Any]  # as in the image: User, Env, Cmd, Healthcheck, Labels ...

    def run(self, *command: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        variables = [f"--env={name}={value}" for name, value in environment.items()]
        return subprocess.run(
            ["buildah", "run", *variables, self.container, "--", *command],
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    def start(
        self, command: Sequence[str], *, data: Path, secrets: Path, environment: Mapping[str, str], log: Path
    ) -> subprocess.Popen[bytes]:
        """Start `command` on the host's network, with a read-only root and `data` as its volume; its output is added to
        `log`.
        """
        own = dict(line.split("=", 1) for line in self.config["Env"])
        with log.open("ab") as output:
            return subprocess.Popen(
                [
                    "unshare",
                    "--mount",
                    "sh",
                    "-c",
                    READ_ONLY,
                    "sh",
                    self.root,
                    data,
                    secrets,
                    self.config["User"],
                    *command,
                ],
                env={**own, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def tree(self) -> dict[str, str]:
        """Every path with its mode, owner and content; times left out."""
        return {str(path.relative_to(self.root)): _described(path) for path in self.root.rglob("*")}

    def remove(self) -> None:
        _buildah("umount", self.container)
        _buildah("rm", self.container)


def _described(path: Path) -> str:
    found = path.lstat()
    content = ""
    if stat.S_ISLNK(found.st_mode):
        content = str(path.readlink())
    elif stat.S_ISREG(found.st_mode):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{found.st_mode:o} {found.st_uid}:{found.st_gid} {content}"


def _buildah(*arguments: str) -> str:
    return subprocess.run(
        ["buildah", *arguments], env=_environment(), capture_output=True, text=True, check=True
    ).stdout


def _environment() -> dict[str, str]:
    # Only Docker's image format has a HEALTHCHECK; chroot isolation works inside a container too.
    return {"BUILDAH_FORMAT": "docker", "BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs", **os.environ}
