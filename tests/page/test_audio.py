"""The audio outlives the tab, in headless Chromium's IndexedDB and under its Web Locks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import BrowserContext, Page, expect

from tests.support.fake_transcriber import FakeTranscriber, Refusal
from tests.support.page_scene import SENTENCES, SPEECH, AddSpeech, Services, card, eventually, is_live

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEPT = """() => new Promise((resolve, reject) => {
    const opening = indexedDB.open("transcription-audio");
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
        const asking = opening.result.transaction("audio").objectStore("audio").getAllKeys();
        asking.onsuccess = () => { opening.result.close(); resolve(asking.result); };
    };
})"""


async def begin_upload(page: Page, api: FakeTranscriber) -> str:
    """An upload that goes on and on; returns its id once it is under way and its audio is stored."""
    api.stalls = True
    await page.get_by_label("Choose files").set_input_files(SPEECH)
    await eventually(lambda: api.stalled == 1)
    job_id = await page.locator("[data-job-id]").first.get_attribute("data-job-id") or ""
    await page.wait_for_function(f"async () => (await ({KEPT})()).includes('{job_id}')")
    return job_id


async def kept(page: Page) -> list[str]:
    """The ids of the jobs whose audio is in the database."""
    return list(await page.evaluate(KEPT))


@asynccontextmanager
async def another_tab(context: BrowserContext, services: Services) -> AsyncIterator[Page]:
    tab = await context.new_page()
    await tab.goto(services.page_url)
    await is_live(tab)
    yield tab
    await tab.close()


async def is_queued_once(page: Page, api: FakeTranscriber, job_id: str) -> None:
    await expect(card(page, job_id)).to_have_attribute("data-status", "queued")
    assert list(api.jobs) == [job_id]
    assert api.uploads[job_id].size == SPEECH.stat().st_size
    assert api.uploads[job_id].file_name == SPEECH.name
    assert created(api) == 1


def created(api: FakeTranscriber) -> int:
    return api.requests.count("POST /v1/jobs 202")


async def test_an_upload_cut_off_by_a_reload_goes_on_and_makes_one_job(
    page: Page, api: FakeTranscriber
) -> None:
    job_id = await begin_upload(page, api)
    await page.reload()
    await expect(card(page, job_id)).to_have_attribute("data-status", "uploading")
    await eventually(lambda: len(refused(api)) == 1 and api.stalled == 1)
    api.stalls = False
    await page.reload()
    await is_queued_once(page, api, job_id)


def refused(api: FakeTranscriber) -> list[str]:
    """The uploads that their tab gave up."""
    return [line for line in api.requests if line == "POST /v1/jobs 499"]


async def test_an_upload_whose_tab_was_closed_goes_on_when_the_page_is_opened_again(
    page: Page, context: BrowserContext, api: FakeTranscriber, services: Services
) -> None:
    job_id = await begin_upload(page, api)
    await page.close()
    await eventually(lambda: api.stalled == 0)
    api.stalls = False
    async with another_tab(context, services) as later:
        await is_queued_once(later, api, job_id)


async def test_a_second_tab_waits_while_the_first_uploads_and_takes_over_when_it_is_closed(
    page: Page, context: BrowserContext, api: FakeTranscriber, services: Services
) -> None:
    async with another_tab(context, services) as second:
        job_id = await begin_upload(page, api)
        await expect(card(second, job_id)).to_have_attribute("data-status", "uploading")
        await second.reload()
        await expect(card(second, job_id)).to_have_attribute("data-status", "uploading")
        assert api.stalled == 1
        api.stalls = False
        await page.close()
        await is_queued_once(second, api, job_id)


async def test_a_tab_that_hears_of_an_upload_before_it_has_begun_waits_for_it(
    page: Page, context: BrowserContext, api: FakeTranscriber, services: Services
) -> None:
    await page.evaluate(
        """() => {
            const request = navigator.locks.request.bind(navigator.locks);
            navigator.locks.request = async (...asked) => {
                await new Promise((resolve) => setTimeout(resolve, 300));
                return await request(...asked);
            };
        }"""
    )
    async with another_tab(context, services) as second:
        statuses = await second.evaluate_handle(
            """() => {
                const statuses = new Set();
                new MutationObserver(() => {
                    for (const card of document.querySelectorAll("[data-job-id]")) statuses.add(card.dataset.status);
                }).observe(document.body, { subtree: true, childList: true, attributes: true });
                return statuses;
            }"""
        )
        await page.get_by_label("Choose files").set_input_files(SPEECH)
        await eventually(lambda: created(api) == 1)
        (job_id,) = api.jobs
        await is_queued_once(second, api, job_id)
        assert await statuses.evaluate("(statuses) => [...statuses]") == ["uploading", "queued"]


async def test_an_upload_can_be_cancelled_from_another_tab_and_stays_so(
    page: Page, context: BrowserContext, api: FakeTranscriber, services: Services
) -> None:
    job_id = await begin_upload(page, api)
    async with another_tab(context, services) as second:
        await second.get_by_role("button", name="Cancel jfk.wav").click()
        await expect(card(page, job_id)).to_have_attribute("data-status", "cancelled")
        await eventually(lambda: api.stalled == 0)
    api.stalls = False
    await page.reload()
    await expect(card(page, job_id)).to_have_attribute("data-status", "cancelled")
    await page.get_by_role("button", name="Try again jfk.wav").click()
    await is_queued_once(page, api, job_id)


async def test_a_refused_file_stays_refused_after_a_reload(page: Page, api: FakeTranscriber) -> None:
    api.refusal = Refusal(422, "not_audio", "the file is not audio")
    await page.get_by_label("Choose files").set_input_files(SPEECH)
    await expect(page.get_by_text("The file is not audio")).to_be_visible()
    api.refusal = None
    await page.reload()
    await expect(page.get_by_text("The file is not audio")).to_be_visible()
    await expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    assert created(api) == 0


async def test_the_recording_plays_after_a_reload(
    page: Page, api: FakeTranscriber, add_speech: AddSpeech
) -> None:
    job_id = await add_speech()
    api.complete(job_id, *SENTENCES)
    await expect(card(page, job_id)).to_have_attribute("data-status", "completed")
    await page.reload()
    player = card(page, job_id).locator("audio")
    await expect(player).to_have_js_property("readyState", 4)
    assert round(await player.evaluate("audio => audio.duration")) == 11


async def test_the_audio_goes_with_its_job(page: Page, add_speech: AddSpeech) -> None:
    stays, goes = await add_speech(), await add_speech()
    await page.wait_for_function(f"async () => (await ({KEPT})()).length === 2")
    await card(page, goes).get_by_role("button", name="Remove").click()
    await expect(card(page, goes)).to_have_count(0)
    await page.wait_for_function(f"async () => (await ({KEPT})()).length === 1")
    assert await kept(page) == [stays]


async def test_a_retried_job_has_the_same_recording(
    page: Page, api: FakeTranscriber, add_speech: AddSpeech
) -> None:
    job_id = await add_speech()
    api.move(job_id, status="failed", error={"code": "engine", "message": "The engine stopped."})
    await page.get_by_role("button", name="Try again jfk.wav").click()
    await expect(card(page, f"{job_id}-again")).to_be_visible()
    await page.wait_for_function(f"async () => (await ({KEPT})()).length === 2")
    assert sorted(await kept(page)) == [job_id, f"{job_id}-again"]


async def test_a_tab_that_is_opened_sweeps_away_what_no_job_has_and_no_tab_is_uploading(
    page: Page, context: BrowserContext, api: FakeTranscriber, services: Services
) -> None:
    job_id = await begin_upload(page, api)
    # The list of another tab may be heard of later than its audio; its lock is there before both.
    await page.evaluate(
        """() => new Promise((held) => {
            const forEver = () => (held(), new Promise(() => {}));
            navigator.locks.request("transcription-upload-begun", forEver);
        })"""
    )
    await page.evaluate("""() => new Promise((resolve) => {
        const opening = indexedDB.open("transcription-audio");
        opening.onsuccess = () => {
            const store = opening.result.transaction("audio", "readwrite").objectStore("audio");
            for (const jobId of ["begun", "of-no-job"]) {
                store.put({ file: new File(["x"], "x.wav"), options: {} }, jobId);
            }
            store.transaction.oncomplete = () => { opening.result.close(); resolve(); };
        };
    })""")
    async with another_tab(context, services) as second:
        await second.wait_for_function(f"async () => !(await ({KEPT})()).includes('of-no-job')")
        assert sorted(await kept(second)) == sorted(["begun", job_id])


async def test_a_full_disk_costs_only_the_survival(
    page: Page, context: BrowserContext, api: FakeTranscriber
) -> None:
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(f"uncaught: {error}"))
    devtools = await context.new_cdp_session(page)
    await devtools.send("Storage.overrideQuotaForOrigin", {"origin": page.url.rstrip("/"), "quotaSize": 1000})
    await page.get_by_label("Choose files").set_input_files(SPEECH)
    await eventually(lambda: created(api) == 1)
    (job_id,) = api.jobs
    api.complete(job_id, *SENTENCES)
    await expect(card(page, job_id).locator("audio")).to_have_js_property("readyState", 4)
    assert len(errors) == 1
    assert "recordings may not survive a reload" in errors[0]
    assert await kept(page) == []
