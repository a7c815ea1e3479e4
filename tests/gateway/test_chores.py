"""What is done beside the requests, where the store does not answer."""

import pytest

from gateway.chores import recall
from gateway.errors import StoreUnavailable
from tests.support.store import A


class Failing:
    """A store that cannot be asked."""

    def __init__(self, error):
        self._error = error

    async def stats(self):
        raise self._error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StoreUnavailable("no answer"), "no answer"),
        (OSError(5, "Input/output error"), "[Errno 5] Input/output error"),
        (TimeoutError(), "TimeoutError()"),
    ],
)
async def test_a_start_goes_on_where_the_store_does_not_say_who_is_held(caplog, error, said):
    await recall(Failing(error), [A])
    (line,) = caplog.records
    assert (line.getMessage(), line.fields["error"]) == ("store.unavailable", said)
