"""`make bench`: every figure that the documentation states, measured here and now, speed as a ratio."""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.figures import (
    accept,
    backlog,
    consistency,
    disk,
    hostile,
    latency,
    metrics,
    outage,
    page_latency,
    page_requests,
    processor,
    pruning,
    queue,
    speech,
    speech_memory,
    stored,
    sustained,
    tracing,
    verify,
)
from tests.bench.machine import machine
from tests.bench.place import QUICK, WHOLE, Place, Scale
from tests.bench.processes import Processes
from tests.bench.report import table, write
from tests.bench.result import Figure

DOCS = Path(__file__).resolve().parents[2] / "docs"

FIGURES: dict[str, Callable[[Place], Figure]] = {
    "accept": accept.measure,
    "latency": latency.measure,
    "sustained": sustained.measure,
    "stored": stored.measure,
    "backlog": backlog.measure,
    "outage": outage.measure,
    "pruning": pruning.measure,
    "hostile": hostile.measure,
    "disk": disk.measure,
    "metrics": metrics.measure,
    "processor": processor.measure,
    "verify": verify.measure,
    "tracing": tracing.measure,
    "consistency": consistency.measure,
    "page-latency": page_latency.measure,
    "page-requests": page_requests.measure,
    "queue": queue.measure,
    "speech": speech.measure,
    "speech-memory": speech_memory.measure,
}


def main() -> int:
    options = _options()
    missed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        of = machine(Path(folder))
        for name in options.names or FIGURES:
            figure = measured(name, Path(folder), QUICK if options.quick else WHOLE)
            missed += [claim.text for claim in figure.claims if not claim.met]
            if not options.quick:
                write(DOCS, of, {name: figure}, names=list(FIGURES))
    print(f"\n{len(missed)} claims are not met{': ' if missed else '.'}{'; '.join(missed)}")
    return 0


def measured(name: str, folder: Path, scale: Scale) -> Figure:
    """Printed as soon as it is known."""
    began = time.monotonic()
    with Processes() as processes:
        figure = FIGURES[name](Place(folder, processes, scale))
    print(f"\n{name}: {figure.title} ({time.monotonic() - began:.0f} s)\n\n{table(figure)}", flush=True)
    return figure


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fifth of it; writes nothing")
    parser.add_argument("names", nargs="*", choices=[*FIGURES, []], metavar="name", help=", ".join(FIGURES))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
