"""The page in headless Chromium on the whole product: every service real, speech in, text out."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import FilePayload, Locator, Page, expect

from tests.support.chromium import running_chromium
from tests.support.product import DATA, SAID, SERVICES, Journey
from tests.support.waiting import eventually
from tests.support.wer import word_error_rate, words


@pytest.fixture
def page_url(product: Journey) -> str:
    if not product.stack["page"].running:
        product.stack.start("page")
    return product.stack["page"].url


@pytest_asyncio.fixture
async def page(page_url: str) -> AsyncIterator[Page]:
    async with running_chromium() as browser:
        page = await browser.new_page()
        await page.goto(page_url)
        await expect(page.locator("[data-connection]")).to_have_attribute("data-connection", "live")
        yield page


async def add(page: Page, recording: Path | FilePayload) -> Locator:
    """Choose a file as a person would; returns its job on the page."""
    await page.get_by_label("Choose files").set_input_files(recording)
    return page.locator("[data-job-id]")


async def text_of(job: Locator) -> str:
    return " ".join(await job.get_by_role("listitem").locator("span").all_inner_texts())


async def test_speech_becomes_text_on_the_page_without_a_poll_and_stays_there(page: Page) -> None:
    polls: list[str] = []
    page.on("request", lambda request: polls.append(request.url) if "/v1/jobs/" in request.url else None)
    job = await add(page, DATA / "jfk.wav")
    await expect(job).to_have_attribute("data-status", "completed")
    text = await text_of(job)
    assert word_error_rate(SAID, text) <= 0.2
    assert polls == []
    await page.reload()
    await expect(job).to_have_attribute("data-status", "completed")
    assert await text_of(job) == text


async def test_the_recording_is_played_from_a_part_of_its_text(page: Page) -> None:
    job = await add(page, DATA / "jfk.wav")
    await job.get_by_role("button", name="Play from").last.click()
    await expect(job.get_by_role("listitem").last).to_have_attribute("aria-current", "true")


async def test_the_subtitles_come_from_the_api(page: Page) -> None:
    job = await add(page, DATA / "austen-0880.wav")
    await expect(job).to_have_attribute("data-status", "completed")
    async with page.expect_download() as waiting:
        await job.get_by_role("button", name="Download austen-0880.wav as .srt").click()
    download = await waiting.value
    assert download.suggested_filename == "austen-0880.srt"
    assert (await download.path()).read_text().startswith("1\n00:00:0")


async def test_a_file_that_is_not_audio_is_refused_in_words(page: Page) -> None:
    notes = FilePayload(name="notes.txt", mimeType="text/plain", buffer=b"Words, only words.\n" * 50)
    job = await add(page, notes)
    await expect(job).to_have_attribute("data-status", "failed")
    await expect(job).to_contain_text("audio")
    await expect(job.get_by_role("button", name="Try again")).to_have_count(0)


async def test_a_job_cancelled_half_way_can_be_tried_again(page: Page, long_speech: Path) -> None:
    job = await add(page, long_speech)
    await expect(job).to_have_attribute("data-status", "processing")
    await job.get_by_role("button", name="Cancel").click()
    await expect(job).to_have_attribute("data-status", "cancelled")
    await job.get_by_role("button", name="Try again").click()
    await expect(job).to_have_count(2)
    await expect(job.first).to_have_attribute("data-status", "processing")
    await expect(job.last).to_have_attribute("data-status", "cancelled")
    await job.first.get_by_role("button", name="Remove").click()
    await expect(job).to_have_count(1)


async def test_a_removed_job_leaves_the_page_and_convex(page: Page, product: Journey) -> None:
    job = await add(page, DATA / "austen-0880.wav")
    await expect(job).to_have_attribute("data-status", "completed")
    job_id = await job.get_attribute("data-job-id") or ""
    await job.get_by_role("button", name="Remove").click()
    await expect(job).to_have_count(0)
    eventually(lambda: product.product.in_convex(job_id) is None, seconds=10)
    await page.reload()
    await expect(page.get_by_text("None yet.")).to_be_visible()


@pytest.mark.parametrize("victim", SERVICES)
async def test_a_job_ends_right_on_the_page_although_a_service_was_killed_half_way(
    page: Page, product: Journey, long_speech: Path, victim: str
) -> None:
    job = await add(page, long_speech)
    await expect(job).to_have_attribute("data-status", "processing")
    product.stack[victim].kill()
    product.stack.start(victim)
    await expect(job).to_have_attribute("data-status", "completed", timeout=90_000)
    shown = product.end_in_convex(await job.get_attribute("data-job-id") or "")
    assert words(await text_of(job)) == words(shown["result"]["text"])
