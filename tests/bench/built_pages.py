"""The page as it is deployed: built by vite, and served as files."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from stack.leash import Leash
from stack.service import Program, Service
from tests.support.waiting import eventually


@contextmanager
def built_pages(program: Program, folder: Path, convex: Mapping[str, str]) -> Iterator[str]:
    """At the address of the stack's own `program`, which must not run: one page a name, each with its own address of Convex.

    Yields the address, of which the names are the paths; what else is in `folder` is served as well.
    """
    node, vite, *options = program.command
    configuration = options[:2]
    for name, url in convex.items():
        out = ("--outDir", str(folder / name), "--base", f"/{name}/")
        environment = {**program.environment, "VITE_CONVEX_URL": url}
        _build(replace(program, command=(node, vite, "build", *configuration, *out), environment=environment))
    served = replace(
        program,
        command=(node, vite, "preview", *options, "--outDir", str(folder)),
        ready_url=f"{program.url}/{next(iter(convex))}/",
    )
    with closing(Leash()) as leash:
        service = Service(served, log=folder.with_suffix(".log"), leash=leash)
        service.start()
        try:
            eventually(service.is_ready)
            yield service.url
        finally:
            service.kill()


def _build(program: Program) -> None:
    done = subprocess.run(
        program.command,
        cwd=program.directory,
        env=dict(program.environment),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the page cannot be built:\n{done.stderr}")
