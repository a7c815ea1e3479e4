from collections.abc import Callable

import pytest

from tests.support.container import Image, build


@pytest.fixture(scope="session")
def images():
    """Gives the image of a target of the Dockerfile, built once."""
    built: dict[str, Image] = {}

    def image(target: str) -> Image:
        if target not in built:
            built[target] = build(target)
        return built[target]

    given: Callable[[str], Image] = image
    yield given
    for one in built.values():
        one.remove()
