"""The file that TRANSCRIBER_CONFIG names."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from transcriber.settings import webhooks
from transcriber.settings.expand import expand
from transcriber.settings.words import did_you_mean

KEYS = ("webhooks",)


def read(path: Path, environment: Mapping[str, str], faults: list[str]) -> list[webhooks.Webhook]:
    """Its webhooks; every fault is noted, with the name of the variable where the file itself cannot be read."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"TRANSCRIBER_CONFIG is {str(path)!r}, which cannot be read: {error}")
        return []
    except tomllib.TOMLDecodeError as error:
        faults.append(f"TRANSCRIBER_CONFIG is {str(path)!r}, which is not TOML: {error}")
        return []
    unknown = sorted(content.keys() - set(KEYS))
    found = [f"there is an unknown key {key!r}{did_you_mean(key, KEYS)}" for key in unknown]
    expanded = expand({key: content[key] for key in KEYS if key in content}, environment, found)
    of_file = webhooks.of_tables(expanded.get("webhooks", []), found)
    faults.extend(f"{path}: {fault}" for fault in found)
    return of_file
