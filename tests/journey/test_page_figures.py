"""What `make bench` measures of the page, in short forms that have to hold on any machine."""

import asyncio
import math
from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.bench.figures import page_latency, page_requests
from tests.bench.figures.page_requests import CUT, LIVE, MENDED, POLL_SECONDS, POLLING, Followed
from tests.bench.result import Figure, quantile
from tests.bench.traffic import Request, Traffic
from tests.bench.watching import product

JOB_SECONDS = 14.0
CUT_SHARE = 0.4
POLL_INTERVAL_SECONDS = 10.0
"""The page's, by default: the first poll after the cut comes 1.6 s after the job's end."""
PATIENCE_SECONDS = 5.0


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Followed]:
    folder = tmp_path_factory.mktemp("requests")
    with product(folder) as (running, groq):
        return asyncio.run(
            page_requests.follow(running, groq, folder / "page", seconds=JOB_SECONDS, cut_share=CUT_SHARE)
        )


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> page_latency.Run:
    return page_latency.follow(tmp_path_factory.mktemp("latency"), pages=2, jobs=20)


def test_a_completed_job_is_in_the_dom_within_a_second_and_visible_in_the_next_frame(
    seen: page_latency.Run,
) -> None:
    assert len(seen.jobs) == 20
    assert seen.clock_error_ms < 50
    assert seen.on_slowest()[0] > 0
    assert quantile(seen.on_slowest(), 0.99) < 1000
    assert seen.unseen() == 0


def test_the_figure_of_a_run_has_every_number_and_is_held_to_its_claims(seen: page_latency.Run) -> None:
    shown = page_latency.figure(replace(seen, pages=1), seen)
    assert_is_whole(shown)
    missed = {claim.text for claim in shown.claims if not claim.met}
    assert {text for text in missed if "the aim" not in text and "clock" not in text} == set()
    assert "With 2 pages" in shown.how


def test_a_text_that_comes_late_or_is_not_visible_does_not_meet_the_claims(seen: page_latency.Run) -> None:
    late = [replace(arrival, dom=arrival.dom + 1000, is_visible=False) for arrival in seen.jobs[-1].arrivals]
    among = replace(seen, jobs=[*seen.jobs[:-1], replace(seen.jobs[-1], arrivals=late)])
    missed = {claim.text for claim in page_latency.figure(seen, among).claims if not claim.met}
    assert {"p99, the slowest of 2 pages", "texts not visible in the next frame"} <= missed


def test_a_live_page_asks_nothing_after_the_upload(followed: Mapping[str, Followed]) -> None:
    assert methods(followed[LIVE]) == ["POST"]
    assert followed[LIVE].late_ms < 1000


def test_a_page_whose_live_connection_is_gone_asks_at_its_interval_and_no_more_once_it_has_the_text(
    followed: Mapping[str, Followed],
) -> None:
    page = followed[CUT]
    assert methods(page) == ["POST", "GET"]
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
    assert methods(page) == ["POST"]
    assert page.traffic.sockets > 0


def test_a_page_that_polls_is_seen_to_poll(followed: Mapping[str, Followed]) -> None:
    page = followed[POLLING]
    most = (page.ended - page.began) / POLL_SECONDS
    assert most / 2 < len(page.traffic.polls) <= most


def test_the_figure_of_followed_pages_has_every_number(followed: Mapping[str, Followed]) -> None:
    shown = page_requests.figure(followed, JOB_SECONDS)
    assert_is_whole(shown)
    assert [row[0] for row in shown.rows] == list(page_requests.WHAT.values())


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_the_claims_see_a_request_of_any_method_but_the_upload(method: str) -> None:
    quiet = made_up([Request(0.0, "POST", UPLOAD)])
    polling = made_up(asking("GET", every_seconds=2.0))
    silent = {LIVE: quiet, CUT: quiet, MENDED: quiet, POLLING: polling}
    assert missed_claims(silent) == []
    busy = made_up(asking(method, every_seconds=0.5))
    assert "fewer requests, live" in missed_claims({**silent, LIVE: busy})
    assert "fewer requests, cut half-way" in missed_claims({**silent, CUT: busy})
    assert "fewer requests, cut and back" in missed_claims({**silent, MENDED: busy})


def test_the_claims_see_a_request_after_the_text_was_there() -> None:
    polling = made_up(asking("GET", every_seconds=2.0))
    quiet = made_up([Request(0.0, "POST", UPLOAD), Request(61.0, "GET", UPLOAD)])
    pages = {LIVE: quiet, CUT: quiet, MENDED: quiet, POLLING: polling}
    assert missed_claims(pages) == ["requests after the text was there"]


UPLOAD = "http://127.0.0.1:8000/v1/jobs"


def asking(method: str, *, every_seconds: float) -> list[Request]:
    """For a minute, after the upload; every POST looks like another upload."""
    count = int(60 / every_seconds)
    asked = [Request((number + 1) * every_seconds, method, UPLOAD) for number in range(count)]
    return [Request(0.0, "POST", UPLOAD), *asked]


def made_up(requests: list[Request]) -> Followed:
    return Followed(traffic=Traffic(requests=requests), began=0.0, cut_at=None, ended=60.0, late_ms=1.0)


def missed_claims(followed: Mapping[str, Followed]) -> list[str]:
    return [claim.text for claim in page_requests.figure(followed, 60.0).claims if not claim.met]


def methods(page: Followed) -> list[str]:
    """Of all its requests, in their order."""
    return [request.method for request in page.traffic.requests]


def assert_is_whole(shown: Figure) -> None:
    """Every row has a finite number for each column, and every claim one of its own."""
    cells = [cell for row in shown.rows for cell in row if not isinstance(cell, str)]
    points = [y for panel in shown.panels for series in panel.series for _, y in series.points]
    assert all(len(row) == len(shown.columns) for row in shown.rows)
    assert all(map(math.isfinite, [*cells, *points, *(claim.value for claim in shown.claims)]))
    assert len(cells) == len(shown.rows) * (len(shown.columns) - 1)
    assert points
