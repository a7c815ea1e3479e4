"""Writes what is served of each contract beside its YAML: the same as JSON, and as a page for people.

`python -m openapi.build` writes; with `--check` it names what is not as it would be written, and ends with 1.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from openapi.document import FOLDER, NAMES, read
from openapi.page import render


def built(source: Path) -> Mapping[Path, str]:
    """What belongs beside the contract `source`, by its path."""
    document = read(source)
    return {
        source.with_suffix(".json"): json.dumps(document, ensure_ascii=False, indent=1) + "\n",
        source.with_suffix(".html"): render(document),
    }


def main(arguments: Sequence[str], *, folder: Path = FOLDER) -> int:
    stale = {
        path: text
        for name in NAMES
        for path, text in built(folder / f"{name}.yaml").items()
        if not path.exists() or path.read_text("utf-8") != text
    }
    for path, text in stale.items():
        if "--check" in arguments:
            print(f"openapi/{path.name} is not what its YAML says: run `make contract`", file=sys.stderr)
        else:
            path.write_text(text, "utf-8")
            print(f"openapi/{path.name}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
