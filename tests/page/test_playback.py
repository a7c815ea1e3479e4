"""Playing a recording in headless Chromium: the text follows, and leaves the user alone."""

import io
from pathlib import Path

import av
import pytest
import pytest_asyncio
from playwright.async_api import FilePayload, Locator, Page, expect

from tests.support.fake_transcriber import FakeTranscriber
from tests.support.page_scene import SENTENCES, SPEECH, AddSpeech, card, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

# One part each half second: more than the box shows.
MANY_PARTS = tuple((n / 2, n / 2 + 0.5, f"Part {n}, long enough to be read.") for n in range(22))


@pytest_asyncio.fixture(loop_scope="module")
async def job(page: Page, api: FakeTranscriber, add_speech: AddSpeech) -> Locator:
    """A completed job whose player is ready."""
    return await completed(page, api, await add_speech(), SENTENCES)


async def completed(
    page: Page, api: FakeTranscriber, job_id: str, parts: tuple[tuple[float, float, str], ...]
) -> Locator:
    api.complete(job_id, *parts)
    job = card(page, job_id)
    await expect(job.locator("audio")).to_have_js_property("readyState", 4)
    return job


async def test_a_parts_time_plays_from_there_and_marks_the_part(job: Locator) -> None:
    await job.get_by_role("button", name="Play from 0:04").click()
    player, parts = job.locator("audio"), job.get_by_role("listitem")
    await expect(parts.nth(1)).to_have_attribute("aria-current", "true")
    await expect(job.locator("[aria-current]")).to_have_count(1)
    assert await player.evaluate("audio => audio.currentTime") >= 4.2
    await expect(player).to_have_js_property("paused", False)
    await job.get_by_role("button", name="Play from 0:00").click()
    await expect(parts.nth(0)).to_have_attribute("aria-current", "true")


async def test_nothing_is_marked_before_it_plays_and_after_its_end(job: Locator) -> None:
    await expect(job.locator("[aria-current]")).to_have_count(0)
    await job.locator("audio").evaluate("audio => { audio.currentTime = 10.8; return audio.play(); }")
    await expect(job.locator("[aria-current]")).to_have_count(1)
    await expect(job.locator("audio")).to_have_js_property("ended", True)
    await expect(job.locator("[aria-current]")).to_have_count(0)


async def test_the_player_is_named_after_its_recording(job: Locator) -> None:
    await expect(job.locator("audio")).to_have_attribute("aria-label", "jfk.wav")


async def test_one_player_pauses_the_other(page: Page, api: FakeTranscriber, add_speech: AddSpeech) -> None:
    first = await completed(page, api, await add_speech(), SENTENCES)
    second = await completed(page, api, await add_speech(), SENTENCES)
    await first.get_by_role("button", name="Play from 0:00").click()
    await expect(first.locator("audio")).to_have_js_property("paused", False)
    await second.get_by_role("button", name="Play from 0:00").click()
    await expect(second.locator("audio")).to_have_js_property("paused", False)
    await expect(first.locator("audio")).to_have_js_property("paused", True)


@pytest_asyncio.fixture(loop_scope="module")
async def long_job(page: Page, api: FakeTranscriber, add_speech: AddSpeech) -> Locator:
    """Its text does not fit into its box, which is moved down the page so that the page could scroll too."""
    job = await completed(page, api, await add_speech(), MANY_PARTS)
    await page.set_viewport_size({"width": 800, "height": 500})
    await page.evaluate("window.scrollTo(0, 0)")
    return job


def words(job: Locator) -> Locator:
    return job.get_by_role("region", name="Text of jfk.wav")


async def play_at(job: Locator, seconds: float) -> None:
    await job.locator("audio").evaluate(
        "(audio, seconds) => { audio.currentTime = seconds; return audio.play(); }", seconds
    )
    await expect(job.locator("[aria-current]")).to_contain_text(f"Part {round(seconds * 2)},")


async def test_the_spoken_part_is_kept_in_view_without_moving_the_page(page: Page, long_job: Locator) -> None:
    await play_at(long_job, 10)
    box, part = words(long_job), long_job.locator("[aria-current]")
    await eventually_inside(box, part)
    assert await page.evaluate("window.scrollY") == 0


async def eventually_inside(box: Locator, part: Locator) -> None:
    await box.page.wait_for_function(
        """([box, part]) => {
            const [outer, inner] = [box.getBoundingClientRect(), part.getBoundingClientRect()];
            return outer.top <= inner.top && inner.bottom <= outer.bottom;
        }""",
        arg=[await box.element_handle(), await part.element_handle()],
    )


@pytest.mark.parametrize("hand", ["the wheel", "the keyboard"])
async def test_the_text_stays_where_the_user_has_it(page: Page, long_job: Locator, hand: str) -> None:
    await page.emulate_media(reduced_motion="reduce")  # so that it would be seen at once if the text moved
    box = words(long_job)
    if hand == "the wheel":
        await box.dispatch_event("wheel")
    else:
        await page.keyboard.press("Tab")
        await box.evaluate("box => box.focus({ preventScroll: true })")
    before = await box.evaluate("box => box.scrollTop")
    await play_at(long_job, 10)
    await play_at(long_job, 9)
    assert await box.evaluate("box => box.scrollTop") == before


async def test_without_the_audio_times_are_plain_text_and_a_sentence_says_why(
    page: Page, api: FakeTranscriber, add_speech: AddSpeech
) -> None:
    job_id = await add_speech()
    await page.evaluate("""() => new Promise((resolve) => {
        const opening = indexedDB.open("transcription-audio");
        opening.onsuccess = () => {
            const store = opening.result.transaction("audio", "readwrite").objectStore("audio");
            store.clear();
            store.transaction.oncomplete = () => { opening.result.close(); resolve(); };
        };
    })""")
    api.complete(job_id, *SENTENCES)
    job = card(page, job_id)
    await expect(job).to_contain_text("It cannot be played here")
    await expect(job.get_by_role("listitem").first).to_contain_text("0:00")
    await expect(job.get_by_role("button", name="Play from")).to_have_count(0)
    await expect(job.locator("audio")).to_have_count(0)


async def test_what_the_browser_cannot_play_is_said_instead_of_shown(
    page: Page, api: FakeTranscriber
) -> None:
    strange = FilePayload(name="strange.amr", mimeType="audio/amr", buffer=b"#!AMR\n" + bytes(500))
    await page.get_by_label("Choose files").set_input_files(strange)
    await eventually(lambda: bool(api.jobs))
    (job_id,) = api.jobs
    api.complete(job_id, *SENTENCES)
    job = card(page, job_id)
    await expect(job).to_contain_text("This browser cannot play this kind of recording.")
    await expect(job.locator("audio")).to_have_count(0)
    await expect(job.get_by_role("button", name="Play from")).to_have_count(0)


def without_a_length(speech: Path) -> bytes:
    """Minutes of speech as a MediaRecorder writes them: nothing in the file says how long it is or where a time is found."""
    file = io.BytesIO()
    with av.open(file, "w", format="webm", options={"live": "1"}) as spoken:
        stream = spoken.add_stream("libopus", rate=48_000)
        for _ in range(20):
            with av.open(speech) as recording:
                for frame in recording.decode(audio=0):
                    frame.pts = None
                    spoken.mux(stream.encode(frame))
        spoken.mux(stream.encode(None))
    return file.getvalue()


async def test_a_recording_that_does_not_say_its_length_can_be_played_from_a_part(
    page: Page, api: FakeTranscriber
) -> None:
    spoken = FilePayload(name="spoken.webm", mimeType="audio/webm", buffer=without_a_length(SPEECH))
    await page.get_by_label("Choose files").set_input_files(spoken)
    await eventually(lambda: bool(api.jobs))
    (job_id,) = api.jobs
    job = await completed(page, api, job_id, ((0.0, 200.0, "Ask not,"), (200.0, 220.0, "again.")))
    player = job.locator("audio")
    await page.wait_for_function("audio => audio.duration < 230", arg=await player.element_handle())
    await expect(player).to_have_js_property("currentTime", 0)
    await job.get_by_role("button", name="Play from 3:20").click()
    await expect(job.locator("[aria-current]")).to_have_text("3:20again.")


async def test_what_was_spoken_into_the_microphone_is_played(page: Page, api: FakeTranscriber) -> None:
    await page.get_by_role("button", name="Record").click()
    stop = page.get_by_role("button", name="Stop and add")
    await expect(stop).to_contain_text("0:01")
    await stop.click()
    await eventually(lambda: bool(api.jobs))
    (job_id,) = api.jobs
    job = await completed(page, api, job_id, ((0.0, 9.0, "Beep."),))
    await job.get_by_role("button", name="Play from 0:00").click()
    await expect(job.locator("[aria-current]")).to_have_text("0:00Beep.")


async def test_only_the_audio_of_jobs_on_the_screen_is_read(page: Page, api: FakeTranscriber) -> None:
    await page.get_by_label("Choose files").set_input_files([SPEECH] * 30)
    await eventually(lambda: len(api.jobs) == 30)
    for job_id in list(api.jobs):
        api.complete(job_id, *SENTENCES)
    await expect(page.locator('[data-status="completed"]')).to_have_count(30)
    await page.reload()
    await expect(page.locator("audio").first).to_be_visible()
    assert await page.locator("audio").count() < 10
    last = page.locator("[data-job-id]").last
    await last.scroll_into_view_if_needed()
    await expect(last.locator("audio")).to_have_js_property("readyState", 4)


async def test_the_addresses_of_recordings_are_given_back(
    page: Page, api: FakeTranscriber, add_speech: AddSpeech
) -> None:
    job = await completed(page, api, await add_speech(), SENTENCES)
    url = await job.locator("audio").get_attribute("src")
    assert await page.evaluate("url => fetch(url).then(() => true, () => false)", url)
    await job.get_by_role("button", name="Remove").click()
    await expect(job).to_have_count(0)
    assert not await page.evaluate("url => fetch(url).then(() => true, () => false)", url)
