"""How much memory a long recording takes: the whole hour is in `make bench`."""

from pathlib import Path

from tests.bench.figures.speech_memory import hear, spoken
from tests.bench.place import QUICK, Place
from tests.bench.processes import Processes


def test_memory_does_not_grow_with_the_length_of_a_recording(tmp_path: Path) -> None:
    """Twelve minutes, mostly pauses: as one piece it takes more than 500 MB, in windows 400."""
    with Processes() as processes:
        heard = hear(Place(tmp_path, processes, QUICK), spoken(690, pause_seconds=225))
    assert heard.idle_mb < heard.peak_mb < 460
