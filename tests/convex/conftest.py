from collections.abc import Iterator

import pytest

from tests.support.reconciling import COMPLETED, OF_EACH_OTHER, Sides, sides


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    with sides(tmp_path_factory.mktemp("sides"), completed=COMPLETED, of_each_other=OF_EACH_OTHER) as full:
        yield full


@pytest.fixture
def both(filled: Sides) -> Sides:
    """The API with hundreds of jobs, and a deployment without any."""
    filled.empty_convex()
    return filled
