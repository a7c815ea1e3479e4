"""A store that cannot grow, or cannot be written at all: producers are asked to come again, and nothing is lost."""

from tests.support.altered_gateway import Alterations
from tests.support.gateway_scene import scene
from tests.support.producers import Webhook
from tests.support.waiting import eventually

MOST_PAGES = 100
BIG = "x" * 20_000


def assert_come_again(answer):
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_store_that_is_full_refuses_and_lives_and_goes_on_when_there_is_room(tmp_path):
    with scene(tmp_path) as here:
        here.gateway.start(Alterations(most_pages=MOST_PAGES))
        sending = here.begin(lambda n: n <= 40, filler_bytes=len(BIG))
        eventually(lambda: here.ledger.unavailable)
        assert_come_again(here.post(Webhook("big", "thing.made", None, 1, BIG)))
        assert "full" in here.gateway.said()
        assert here.gateway.ask("GET", "/healthz").status == 200
        assert here.ledger.answers < 40
        here.gateway.stop()
        here.gateway.start()
        sending.result(20)
        account = here.close_account()
        assert (account.accepted, account.faults) == (40, [])


def test_a_disk_that_takes_no_more_writes_costs_no_event(tmp_path):
    with scene(tmp_path) as here:
        here.gateway.start()
        here.send(3)
        here.gateway.refuse_writes()
        sending = here.begin(lambda n: n <= 3, name="other")
        eventually(lambda: here.ledger.unavailable)
        assert_come_again(here.post(Webhook("one", "thing.made", None, 1)))
        assert here.gateway.ask("GET", "/readyz").status == 503
        assert here.gateway.ask("GET", "/healthz").status == 200
        here.gateway.allow_writes()
        sending.result(20)
        account = here.close_account()
        assert (account.accepted, account.faults) == (6, [])
