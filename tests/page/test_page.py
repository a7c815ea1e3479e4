"""The page in headless Chromium, with the real Convex backend and a transcription API that moves on command."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.bench.traffic import traffic
from tests.support.fake_transcriber import FakeTranscriber, Refusal
from tests.support.page_scene import SENTENCES, SPEECH, AddSpeech, Services, card, convex_stopped, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_recording_goes_from_queued_to_its_text_without_a_reload_or_a_poll(
    page: Page, api: FakeTranscriber, add_speech: AddSpeech
) -> None:
    job_id = await add_speech()
    job = card(page, job_id)
    assert api.uploads[job_id].size == SPEECH.stat().st_size
    api.move(job_id, status="processing", progress=37)
    await expect(job.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "37")
    await expect(job).to_contain_text("37 %")
    api.complete(job_id, *SENTENCES)
    await expect(job).to_have_attribute("data-status", "completed")
    await expect(job.get_by_role("listitem")).to_have_text(
        ["0:00And so my fellow Americans,", "0:04ask not what your country can do for you."]
    )
    await expect(job.get_by_role("progressbar")).to_have_count(0)
    assert api.requests == ["POST /v1/jobs 202"]


async def test_a_file_dropped_anywhere_on_the_page_becomes_a_job(page: Page, api: FakeTranscriber) -> None:
    transfer = await page.evaluate_handle(
        """() => {
            const transfer = new DataTransfer();
            transfer.items.add(new File(["RIFF"], "dropped.wav", { type: "audio/wav" }));
            return transfer;
        }"""
    )
    await page.dispatch_event("h1", "dragover", {"dataTransfer": transfer})
    await expect(page.get_by_text("Let go to add it")).to_be_visible()
    await page.dispatch_event("h1", "drop", {"dataTransfer": transfer})
    await eventually(lambda: bool(api.jobs))
    assert [upload.file_name for upload in api.uploads.values()][-1] == "dropped.wav"


async def test_what_is_spoken_into_the_microphone_becomes_a_job(page: Page, api: FakeTranscriber) -> None:
    await page.get_by_role("button", name="Record").click()
    stop = page.get_by_role("button", name="Stop and add")
    await expect(stop).to_contain_text("0:01")
    await stop.click()
    await eventually(lambda: bool(api.jobs))
    upload = list(api.uploads.values())[-1]
    assert re.fullmatch(r"Recording \d{4}-\d\d-\d\d \d\d\.\d\d\.\d\d\.webm", upload.file_name)
    assert upload.size > 1000


async def test_the_list_and_the_text_survive_a_reload(
    page: Page, api: FakeTranscriber, add_speech: AddSpeech
) -> None:
    finished, unfinished = await add_speech(), await add_speech()
    api.complete(finished, *SENTENCES)
    await expect(card(page, finished)).to_have_attribute("data-status", "completed")
    await page.reload()
    await expect(card(page, finished)).to_contain_text("And so my fellow Americans,")
    await expect(card(page, finished)).to_contain_text("jfk.wav")
    api.move(unfinished, status="processing", progress=5)
    await expect(card(page, unfinished)).to_have_attribute("data-progress", "5")
    assert not [line for line in api.requests if line.startswith("GET")]


async def test_a_cancelled_job_says_so_and_can_be_tried_again(page: Page, add_speech: AddSpeech) -> None:
    job_id = await add_speech()
    await page.get_by_role("button", name="Cancel jfk.wav").click()
    await expect(card(page, job_id)).to_have_attribute("data-status", "cancelled")
    await page.get_by_role("button", name="Try again jfk.wav").click()
    await expect(card(page, f"{job_id}-again")).to_have_attribute("data-status", "queued")


async def test_a_removed_job_is_gone_after_a_reload_too(page: Page, add_speech: AddSpeech) -> None:
    job_id = await add_speech()
    await page.get_by_role("button", name="Remove jfk.wav").click()
    await expect(card(page, job_id)).to_have_count(0)
    await page.reload()
    await expect(page.get_by_text("None yet.")).to_be_visible()


async def test_a_failed_job_shows_why(page: Page, api: FakeTranscriber, add_speech: AddSpeech) -> None:
    job_id = await add_speech()
    reason = {"code": "decode_failed", "message": "The recording ends in the middle of a frame."}
    api.move(job_id, status="failed", error=reason)
    await expect(card(page, job_id)).to_have_attribute("data-status", "failed")
    await expect(card(page, job_id)).to_contain_text("The recording ends in the middle of a frame.")


async def test_a_refused_upload_shows_the_refusal_and_can_be_sent_again(
    page: Page, api: FakeTranscriber
) -> None:
    api.refusal = Refusal(429, "queue_full", "1000 jobs are waiting. Try again in a minute.")
    await page.get_by_label("Choose files").set_input_files(SPEECH)
    await expect(page.get_by_text("1000 jobs are waiting.")).to_be_visible()
    api.refusal = None
    await page.get_by_role("button", name="Try again jfk.wav").click()
    await eventually(lambda: bool(api.jobs))
    (job_id,) = api.jobs
    await expect(card(page, job_id)).to_have_attribute("data-status", "queued")


async def test_the_text_is_copied_and_downloaded_as_it_is(
    page: Page, api: FakeTranscriber, add_speech: AddSpeech
) -> None:
    job_id = await add_speech()
    text = api.complete(job_id, *SENTENCES)["result"]["text"]
    await card(page, job_id).get_by_role("button", name="Copy").click()
    await expect(card(page, job_id).get_by_text("Copied.")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == text
    assert await downloaded(page, "Download jfk.wav as .txt") == ("jfk.txt", text)
    assert await downloaded(page, "Download jfk.wav as .srt") == ("jfk.srt", f"srt: {text}")
    assert await downloaded(page, "Download jfk.wav as .vtt") == ("jfk.vtt", f"vtt: {text}")


async def downloaded(page: Page, button: str) -> tuple[str, str]:
    async with page.expect_download() as waiting:
        await page.get_by_role("button", name=button).click()
    download = await waiting.value
    return download.suggested_filename, (await download.path()).read_text()


async def test_without_the_live_connection_the_api_is_asked_every_ten_seconds_until_it_is_back(
    page: Page, api: FakeTranscriber, add_speech: AddSpeech, services: Services
) -> None:
    await with_own_clock(page)
    seen = await traffic(page)
    job_id = await add_speech()
    job, badge = card(page, job_id), page.locator("[data-connection]")
    async with convex_stopped(services):
        await expect(badge).to_have_attribute("data-connection", "polling")
        api.move(job_id, status="processing", progress=61)
        assert asked(api, job_id) == []
        await page.clock.fast_forward("10")
        await expect(job).to_have_attribute("data-progress", "61")
        await page.clock.fast_forward("10")
        await eventually(lambda: asked(api, job_id) == ["200", "304"])
        # A header of the page's own would need one.
        assert seen.preflights == []
    await page.clock.fast_forward("20")  # the Convex client waits up to 16 s between its attempts
    await expect(badge).to_have_attribute("data-connection", "live")
    before = asked(api, job_id)
    # Convex missed what the API said meanwhile: its state is older than what is shown.
    await expect(job).to_have_attribute("data-sequence", "2")
    await page.clock.fast_forward("20")
    api.complete(job_id, *SENTENCES)
    await expect(job).to_have_attribute("data-status", "completed")
    assert asked(api, job_id) == before


async def test_an_answer_older_than_what_is_shown_changes_nothing(
    page: Page, api: FakeTranscriber, add_speech: AddSpeech, services: Services
) -> None:
    await with_own_clock(page)
    job_id = await add_speech()
    older = api.move(job_id, status="processing", progress=10)
    api.move(job_id, progress=90)
    await expect(card(page, job_id)).to_have_attribute("data-progress", "90")
    api.jobs[job_id] = older
    async with convex_stopped(services):
        await expect(page.locator("[data-connection]")).to_have_attribute("data-connection", "polling")
        async with page.expect_response(f"**/v1/jobs/{job_id}") as answer:
            await page.clock.fast_forward("10")
        await (await answer.value).finished()
        await page.clock.fast_forward("1")
        await expect(card(page, job_id)).to_have_attribute("data-progress", "90")


async def with_own_clock(page: Page) -> None:
    """Load the page again with a clock that the test can put forward."""
    await page.clock.install()
    await page.reload()
    await expect(page.locator("[data-connection]")).to_have_attribute("data-connection", "live")


def asked(api: FakeTranscriber, job_id: str) -> list[str]:
    """The statuses of the answers to the page's questions for the job."""
    question = f"GET /v1/jobs/{job_id} "
    return [line.removeprefix(question) for line in api.requests if line.startswith(question)]
