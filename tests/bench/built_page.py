"""The page as it is deployed: built by vite, and served as files."""

import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from stack.leash import Leash
from stack.service import Program, Service
from tests.support.waiting import eventually


@contextmanager
def built_page(program: Program, folder: Path) -> Iterator[str]:
    """At the address, and with the environment, of the stack's own `program`, which must not run. Yields that address."""
    node, vite, *options = program.command
    built = ("--outDir", str(folder / "page"))
    _build((node, vite, "build", *options[:2], *built), program)
    served = replace(program, command=(node, vite, "preview", *options, *built))
    with closing(Leash()) as leash:
        service = Service(served, log=folder / "built-page.log", leash=leash)
        service.start()
        try:
            eventually(service.is_ready)
            yield service.url
        finally:
            service.kill()


def _build(command: tuple[str, ...], program: Program) -> None:
    done = subprocess.run(
        command,
        cwd=program.directory,
        env=dict(program.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the page cannot be built:\n{done.stderr}")
