"""Each service needs its own lock and its own package, and nothing of the other."""

import shutil
import subprocess
import sys
import venv
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.support.locks import ROOT, pins

ENVIRONMENT = {
    "TRANSCRIBER_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "TRANSCRIBER_WEBHOOK_URL": "http://127.0.0.1:9/webhooks/transcriber",
    "CONVEX_SITE_URL": "http://127.0.0.1:9",
    "CONVEX_WEBHOOK_KEY": "made-up-key",
}
FOREIGN = {
    "gateway": ("transcriber", "groq", "faster_whisper", "av", "yaml", "pytest"),
    "transcriber": ("gateway", "jmespath", "cryptography", "pytest"),
}

SERVED = (".yaml", ".json", ".html")
"""Of the contract."""
CONTRACT = {"gateway": "gateway.contract", "transcriber": "transcriber.api.contract"}

IMPORT_EVERYTHING = """
import importlib, pathlib, sys
for path in pathlib.Path(sys.argv[1]).rglob("*.py"):
    if path.name != "__main__.py":
        importlib.import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
"""


def _alone(service: str, directory: Path) -> Path:
    """Return the Python of a virtual environment with only what the service's lock names, beside its package.

    The packages are linked from the environment of the tests, which holds the same versions (test_locks.py):
    what is importable is exactly the lock's, without fetching 200 MB. The images install from it for real.
    """
    environment = directory / "venv"
    venv.create(environment, symlinks=True)
    site = next(environment.glob("lib/python3*/site-packages"))
    for name in pins(service):
        for top in {Path(file.parts[0]) for file in distribution(name).files or () if file.parts[0] != ".."}:
            source = Path(str(distribution(name).locate_file(top)))
            if source.name != "__pycache__" and not (site / top).exists():
                (site / top).symlink_to(source)
    shutil.copytree(ROOT / service, directory / "app" / service, symlinks=True)
    (directory / "app" / "openapi").mkdir()
    for served in SERVED:
        shutil.copy(ROOT / "openapi" / f"{service}{served}", directory / "app" / "openapi")
    return environment / "bin" / "python"


def _run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, *arguments],
        cwd=python.parents[2] / "app",
        env={**ENVIRONMENT, "TRANSCRIBER_DATA_DIR": str(python.parents[2] / "data")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("service", ["gateway", "transcriber"])
def test_a_service_works_with_its_own_lock_and_package_alone(service: str, tmp_path: Path) -> None:
    python = _alone(service, tmp_path)

    check = _run(python, "-m", service, "check")
    assert check.returncode == 0, check.stdout + check.stderr

    everything = _run(python, "-c", IMPORT_EVERYTHING, service)
    assert everything.returncode == 0, everything.stderr

    contract = _run(python, "-c", f"from {CONTRACT[service]} import routes; print(len(list(routes())))")
    assert contract.stdout == f"{len(SERVED)}\n", contract.stderr

    for name in FOREIGN[service]:
        assert _run(python, "-c", f"import {name}").returncode != 0, f"{name} is importable"


def test_the_python_of_these_tests_has_both_services() -> None:
    names = ", ".join(name for foreign in FOREIGN.values() for name in foreign)
    subprocess.run([sys.executable, "-c", f"import {names}"], cwd=ROOT, check=True)
