"""`make bench`: every figure that the documentation states, measured here and now, speed as a ratio."""

import asyncio
import base64
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.load import KEY

ROUNDS = 3
REQUESTS = 6000
CONNECTIONS = 32
BODY_BYTES = 512


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        table = compare(Path(folder))
    print(
        f"{REQUESTS} webhooks of {BODY_BYTES} bytes over {CONNECTIONS} connections, median of {ROUNDS} rounds:\n"
    )
    print(f"{'':24}{'per second':>12}{'p50 ms':>9}{'p99 ms':>9}{'ratio':>8}")
    for name, figures in table.items():
        ratio = figures["per_second"] / table["bare endpoint"]["per_second"]
        print(
            f"{name:24}{figures['per_second']:12.0f}{figures['p50_ms']:9.2f}{figures['p99_ms']:9.2f}{ratio:8.2f}"
        )


def compare(folder: Path) -> dict[str, dict[str, float]]:
    """The servers take turns, so that the machine's mood is the same for all."""
    runs: dict[str, list[dict[str, float]]] = {}
    bare, gateway = free_port(), free_port()
    with (
        server([sys.executable, "-m", "tests.bench.bare", str(bare)], bare, environ={}),
        server(
            [sys.executable, "-m", "gateway", "serve"], gateway, environ=gateway_environment(folder, gateway)
        ),
    ):
        for _ in range(ROUNDS):
            for name, port in (("bare endpoint", bare), ("gateway, durable", gateway)):
                runs.setdefault(name, []).append(load(port))
    return {
        name: {key: statistics.median(one[key] for one in of_server) for key in of_server[0]}
        for name, of_server in runs.items()
    }


def load(port: int) -> dict[str, float]:
    command = [
        sys.executable,
        "-m",
        "tests.bench.load",
        str(port),
        str(REQUESTS),
        str(CONNECTIONS),
        str(BODY_BYTES),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def gateway_environment(folder: Path, port: int) -> dict[str, str]:
    """Accepting alone is measured: no destination takes part of the processor."""
    config = folder / "gateway.toml"
    config.write_text(
        '[[sources]]\nname = "transcriber"\npreset = "standard-webhooks"\n'
        f'secrets = ["whsec_{base64.b64encode(KEY).decode()}"]\nordering_key = "json:data.jobId"\n'
    )
    return {
        "GATEWAY_CONFIG": str(config),
        "GATEWAY_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "GATEWAY_STORE_URL": f"sqlite:///{folder}/gateway.db",
    }


@contextmanager
def server(command: list[str], port: int, *, environ: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(command, env={**os.environ, **environ}, stderr=subprocess.DEVNULL)
    try:
        asyncio.run(listening(port))
        yield
    finally:
        process.terminate()
        process.wait(30)


async def listening(port: int) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
