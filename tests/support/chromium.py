"""A headless Chromium from npm's `@sparticuz/chromium`, so that a machine needs no system package for it."""

import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from json import loads
from pathlib import Path

import brotli  # type: ignore[import-untyped]  # has no stubs
from playwright.async_api import Browser, async_playwright, expect

NODE_MODULES = Path(__file__).parents[2] / "convex" / "node_modules"

# How long a test waits for what the page should show, on however slow a machine.
PATIENCE_SECONDS = 30
expect.set_options(timeout=PATIENCE_SECONDS * 1000)

# The package's own fonts.conf names the directories of another machine; without any font Chromium crashes.
FONTS_CONF = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{home}/fonts</dir><cachedir>{home}/fonts-cache</cachedir></fontconfig>
"""


@dataclass(frozen=True, slots=True)
class Chromium:
    executable: Path
    env: dict[str, str]  # the whole environment to start it in


def find_chromium() -> Chromium:
    """The one that CHROMIUM_PATH names, else npm's, unpacked on first use (1 s, 206 MB, beside the package).

    Raises FileNotFoundError, saying what to do, where neither is there.
    """
    if named := os.environ.get("CHROMIUM_PATH"):
        return Chromium(
            executable=_existing(Path(named), "CHROMIUM_PATH names no file"), env=dict(os.environ)
        )
    home = _unpacked(NODE_MODULES / "@sparticuz" / "chromium")
    libraries = [str(home / "lib"), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    return Chromium(
        executable=home / "chromium",
        env={
            **os.environ,
            "LD_LIBRARY_PATH": os.pathsep.join(libraries),
            "FONTCONFIG_FILE": str(home / "fonts.conf"),
        },
    )


@asynccontextmanager
async def running_chromium(*arguments: str) -> AsyncIterator[Browser]:
    """A browser with these command-line arguments. Its sandbox is off (Playwright's default):
    root has none, many containers neither, and it only opens pages of this repository.
    """
    chromium = find_chromium()
    # The Node that Playwright carries needs libatomic1, which a bare machine lacks; ours is there anyway.
    if node := shutil.which("node"):
        os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", node)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium.executable,
            args=arguments,
            env={**chromium.env},
        )
        yield browser
        await browser.close()


def _unpacked(package: Path) -> Path:
    manifest = _existing(package / "package.json", "run `make setup`, or set CHROMIUM_PATH: there is no")
    version = loads(manifest.read_text())["version"]
    home = NODE_MODULES / ".cache" / f"chromium-{version}"
    if home.exists():
        return home
    home.parent.mkdir(exist_ok=True)
    # Another test run may be doing the same: whoever renames first wins, and nobody sees half a browser.
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=f".{home.name}-") as temporary:
        parcel = Path(temporary) / "unpacked"
        _unpack(package / "bin", parcel, home)
        try:
            parcel.rename(home)
        except OSError:
            if not home.exists():
                raise
    return home


def _unpack(archives: Path, target: Path, home: Path) -> None:
    """Fills `target`, which will be renamed to `home`."""
    target.mkdir()
    for name in ("al2023", "fonts"):
        plain = io.BytesIO(brotli.decompress((archives / f"{name}.tar.br").read_bytes()))
        with tarfile.open(fileobj=plain) as archive:
            archive.extraction_filter = getattr(
                tarfile, "data_filter", None
            )  # not in Python 3.11.0 to 3.11.3
            archive.extractall(target)  # noqa: S202 - the archive is one that the lock file's hash names
    executable = target / "chromium"
    executable.write_bytes(brotli.decompress((archives / "chromium.br").read_bytes()))
    executable.chmod(0o755)
    (target / "fonts.conf").write_text(FONTS_CONF.format(home=home))


def _existing(path: Path, otherwise: str) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{otherwise} {path}")
    return path
