"""What tests of both contracts share."""

from collections.abc import Iterator

import pytest

from tests.support.contract import Phases


@pytest.fixture
def phases() -> Iterator[Phases]:
    """For every case to be noted in; at the end of one operation's test each phase has to have sent one."""
    noted = Phases()
    yield noted
    assert noted.missing == set()
