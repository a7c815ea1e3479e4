"""`npm run backfill` between a real API with hundreds of jobs and a real development backend."""

import re
from pathlib import Path

import pytest

from tests.support.reconciling import ALL, Sides, finish, held_api, sides

APPLIED = f"{ALL} jobs: {ALL} applied, 0 duplicate, 0 stale, 0 refused: done"


def cursors(out: str) -> list[str]:
    """Those that were printed to go on from, in order."""
    return re.findall(r"--cursor (\S+)", out)


def is_the_same(both: Sides) -> bool:
    ended = both.compare()
    return (ended.code, ended.last) == (0, f"{ALL} jobs: {ALL} the same, 0 different")


def test_every_job_is_in_convex_afterwards_as_the_api_has_it(both: Sides) -> None:
    ended = both.backfill()
    assert (ended.code, ended.err, ended.last) == (0, "", APPLIED)
    assert is_the_same(both)


def test_a_second_run_finds_every_job_there(both: Sides) -> None:
    both.backfill()
    ended = both.backfill()
    assert ended.code == 0
    assert ended.last == f"{ALL} jobs: 0 applied, {ALL} duplicate, 0 stale, 0 refused: done"


def test_a_dry_run_counts_the_jobs_and_posts_none(both: Sides) -> None:
    ended = both.backfill("--dry-run")
    assert (ended.code, ended.err) == (0, "")
    assert ended.last == (f"{ALL} jobs: 210 completed, 8 failed, 8 cancelled, 8 deleted; none was posted")
    assert both.in_convex(both.jobs("completed")[0]["jobId"]) is None


def test_a_later_page_is_where_a_printed_cursor_begins(both: Sides) -> None:
    pages = cursors(both.backfill().out)
    assert len(pages) == 12  # 226 jobs in pages of 20, then the deleted ones
    both.empty_convex()
    ended = both.backfill("--cursor", pages[9])
    assert ended.last == "34 jobs: 34 applied, 0 duplicate, 0 stale, 0 refused: done"


def test_a_backend_that_is_killed_in_the_middle_and_started_again_is_waited_for(both: Sides) -> None:
    with held_api(both.api_url) as held:
        running = both.start_backfill("--api", held.url)
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline().startswith("20 jobs: 20 applied")
        both.journey.stack["convex"].kill()
        held.go_on()
        said = running.stderr.readline()
        both.journey.stack.start("convex")
        ended = finish(running)
    assert said.startswith(f"{both.site_url} does not answer: ")
    assert said.endswith("; trying for up to 300 s\n")
    assert (ended.code, ended.err) == (0, "")
    assert is_the_same(both)


def test_a_run_that_lost_the_backend_in_the_middle_says_where_to_go_on(both: Sides) -> None:
    with held_api(both.api_url) as held:
        running = both.start_backfill("--api", held.url, "--patience", "1")
        assert running.stdout is not None
        first = cursors(running.stdout.readline())
        both.journey.stack["convex"].kill()
        held.go_on()
        ended = finish(running)
    assert ended.code == 1
    assert f"{both.site_url} does not answer: " in ended.err
    assert cursors(ended.err) == first
    both.journey.stack.start("convex")
    assert both.backfill("--cursor", *first).code == 0
    assert is_the_same(both)


def test_a_job_that_is_refused_is_named_with_the_reason_and_the_others_are_taken(both: Sides) -> None:
    job = both.jobs("completed")[5]
    both.post_to_convex(job | {"userId": "eve", "sequence": 1})
    ended = both.backfill()
    assert ended.code == 1
    assert ended.err == (
        f"{job['jobId']} is refused: owner_mismatch: Job {job['jobId']} belongs to another user.\n"
    )
    assert ended.last == f"{ALL} jobs: {ALL - 1} applied, 0 duplicate, 0 stale, 1 refused: done"


def test_what_convex_knows_better_stays(both: Sides) -> None:
    job = both.jobs("completed")[5]
    both.post_to_convex(job | {"sequence": 1_000})
    ended = both.backfill()
    assert ended.last == f"{ALL} jobs: {ALL - 1} applied, 0 duplicate, 1 stale, 0 refused: done"


@pytest.mark.parametrize(
    ("name", "answer"),
    [("TRANSCRIPTION_WEBHOOK_KEY", "401: unauthorized"), ("TRANSCRIBER_API_KEY", "401: unauthorized")],
)
def test_a_wrong_key_ends_it_at_once_and_is_named(both: Sides, name: str, answer: str) -> None:
    ended = both.backfill(**{name: "wrong"})
    assert ended.code == 1
    assert answer in ended.err
    assert name in ended.err
    assert "Stopped at 0 jobs" in ended.err


def test_updates_that_arrive_meanwhile_end_in_the_latest_state(tmp_path: Path) -> None:
    with sides(tmp_path, "gateway", completed=40, of_each_other=2) as both:
        both.empty_convex()  # the gateway has delivered, and will not do so again
        running = both.start_backfill()
        late = [both.add_job() for _ in range(10)]
        assert finish(running).code == 0
        for job_id in late:
            assert both.journey.end_in_convex(job_id)["status"] == "completed"
        assert both.compare().last == "56 jobs: 56 the same, 0 different"
