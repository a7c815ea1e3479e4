"""What `make bench` measures of the page, in short forms that have to hold on any machine."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.bench.figures import page_latency, page_requests
from tests.bench.figures.page_requests import CUT, LIVE, MENDED, POLL_SECONDS, POLLING, Followed
from tests.bench.result import quantile
from tests.bench.watching import product

JOB_SECONDS = 12.0
CUT_SHARE = 0.2
POLL_INTERVAL_SECONDS = 10.0
"""The page's, by default; the job ends before the first poll."""
PATIENCE_SECONDS = 5.0


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Followed]:
    folder = tmp_path_factory.mktemp("requests")
    with product(folder) as (running, groq):
        return asyncio.run(
            page_requests.follow(running, groq, folder / "page", seconds=JOB_SECONDS, cut_share=CUT_SHARE)
        )


def test_a_completed_job_is_in_the_dom_within_a_second_and_visible_in_the_next_frame(tmp_path: Path) -> None:
    run = page_latency.follow(tmp_path, pages=2, jobs=20)
    assert len(run.jobs) == 20
    assert run.clock_error_ms < 50
    assert run.on_slowest()[0] > 0
    assert quantile(run.on_slowest(), 0.99) < 1000
    assert run.unseen() == 0


def test_a_live_page_asks_nothing_after_the_upload(followed: Mapping[str, Followed]) -> None:
    asked = [request.method for request in followed[LIVE].traffic.requests]
    assert asked == ["POST"]
    assert followed[LIVE].late_ms < 1000


def test_a_page_whose_live_connection_is_gone_asks_at_its_interval_and_no_more_once_it_has_the_text(
    followed: Mapping[str, Followed],
) -> None:
    page = followed[CUT]
    (poll,) = page.traffic.polls
    assert page.cut_at is not None
    assert 0 <= poll.at - page.cut_at - POLL_INTERVAL_SECONDS < PATIENCE_SECONDS
    assert poll.at < page.ended
    assert page.needless() == 0
    assert page.traffic.sockets > 0


def test_a_page_whose_live_connection_came_back_learns_of_the_end_without_asking(
    followed: Mapping[str, Followed],
) -> None:
    page = followed[MENDED]
    assert page.traffic.polls == []
    assert page.traffic.sockets > 0
    assert page.needless() == 0


def test_a_page_that_polls_is_seen_to_poll(followed: Mapping[str, Followed]) -> None:
    page = followed[POLLING]
    most = (page.ended - page.began) / POLL_SECONDS
    assert most / 2 < len(page.traffic.polls) <= most
