"""The page for everybody: axe finds nothing, the keyboard reaches everything, small screens and large letters fit."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, WebSocketRoute, expect

from tests.support.chromium import NODE_MODULES
from tests.support.fake_transcriber import FakeTranscriber
from tests.support.page_scene import (
    SENTENCES,
    SPEECH,
    AddSpeech,
    Services,
    add,
    card,
    convex_stopped,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

AXE = NODE_MODULES / "axe-core" / "axe.min.js"
SIZES = {"phone": (390, 844), "desktop": (1280, 800)}


async def faults(page: Page) -> list[str]:
    """What axe finds, of any impact, with the element that has it."""
    if not await page.evaluate("'axe' in window"):
        await page.add_script_tag(path=AXE)
    found: dict[str, Any] = await page.evaluate("axe.run(document)")
    return [
        f"{violation['id']} ({violation['impact']}): {node['html'][:120]} {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


async def is_sound(page: Page) -> None:
    """No fault on a phone and a desktop, in light and in dark."""
    for size, (width, height) in SIZES.items():
        await page.set_viewport_size({"width": width, "height": height})
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)
            assert (size, scheme, await faults(page)) == (size, scheme, [])


async def test_axe_finds_a_fault_where_there_is_one(page: Page) -> None:
    await page.evaluate("document.body.insertAdjacentHTML('beforeend', '<button></button>')")
    assert [fault for fault in await faults(page) if fault.startswith("button-name (critical)")]


async def test_the_empty_list_is_accessible(page: Page) -> None:
    await is_sound(page)


async def test_uploading_is_accessible(page: Page, api: FakeTranscriber) -> None:
    api.stalls = True
    await page.get_by_label("Choose files").set_input_files(SPEECH)
    await expect(page.locator('[data-status="uploading"]')).to_be_visible()
    await is_sound(page)


async def test_processing_is_accessible(page: Page, api: FakeTranscriber, add_speech: AddSpeech) -> None:
    job_id, _queued = await add_speech(), await add_speech()
    api.move(job_id, status="processing", progress=37)
    await expect(card(page, job_id)).to_have_attribute("data-progress", "37")
    await is_sound(page)


async def test_a_completed_job_that_plays_is_accessible(
    page: Page, api: FakeTranscriber, add_speech: AddSpeech
) -> None:
    job_id = await add_speech()
    api.complete(job_id, *SENTENCES)
    await card(page, job_id).get_by_role("button", name="Play from 0:04").click()
    await expect(card(page, job_id).locator("[aria-current]")).to_be_visible()
    await is_sound(page)


async def test_failures_and_problems_are_accessible(
    page: Page, api: FakeTranscriber, add_speech: AddSpeech
) -> None:
    failed = await add_speech()
    api.move(failed, status="failed", error={"code": "engine", "message": "The engine stopped."})
    await expect(card(page, failed)).to_have_attribute("data-status", "failed")
    del api.jobs[failed]
    await page.evaluate("indexedDB.deleteDatabase('transcription-audio')")
    await card(page, failed).get_by_role("button", name="Try again").click()
    await expect(card(page, failed).get_by_role("alert")).to_contain_text("Choose the file again.")
    await is_sound(page)


async def test_reconnecting_is_accessible(page: Page, services: Services) -> None:
    async with convex_stopped(services):
        await expect(page.locator("[data-connection]")).to_have_attribute("data-connection", "polling")
        await is_sound(page)


async def test_a_page_that_cannot_be_drawn_is_accessible_and_takes_the_focus(
    page: Page, services: Services
) -> None:
    await page.route_web_socket("**/sync", asks_for_a_function_that_is_not_deployed)
    await page.evaluate(
        """localStorage.setItem("transcription-jobs/a-job-that-nobody-knows", JSON.stringify(
            { jobId: "a-job-that-nobody-knows", name: "a.wav", addedAt: 0, accepted: true }))"""
    )
    await page.goto(services.page_url)
    await expect(page.get_by_role("alert")).to_contain_text("This page cannot show your transcriptions")
    assert await page.evaluate("document.activeElement.tagName") == "H1"
    await is_sound(page)


def asks_for_a_function_that_is_not_deployed(client: WebSocketRoute) -> None:
    server = client.connect_to_server()
    client.on_message(lambda message: server.send(str(message).replace(":list", ":notDeployed")))


async def is_too_wide(page: Page) -> list[str]:
    """What reaches beyond the right edge of the screen."""
    return list(
        await page.evaluate(
            """[...document.body.querySelectorAll("*")]
                .filter((element) => element.getBoundingClientRect().right > innerWidth)
                .map((element) => element.outerHTML.slice(0, 80))"""
        )
    )


async def test_nothing_is_wider_than_a_small_screen_or_than_large_letters_allow(
    page: Page, api: FakeTranscriber
) -> None:
    job_id = await add(
        page, api, SPEECH, "A-recording-with-a-long-name-without-any-room-to-break-it-in-two.wav"
    )
    failed = await add(page, api, SPEECH)
    api.move(failed, status="failed", error={"code": "engine", "message": "x" * 90})
    api.complete(job_id, *SENTENCES)
    await expect(card(page, job_id).locator("audio")).to_be_visible()
    await expect(card(page, failed)).to_have_attribute("data-status", "failed")
    await page.set_viewport_size({"width": 320, "height": 640})
    assert await is_too_wide(page) == []
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.add_style_tag(content="html { font-size: 200%; }")
    assert await is_too_wide(page) == []


async def test_everything_to_touch_is_24_pixels_wide_and_high(
    page: Page, api: FakeTranscriber, add_speech: AddSpeech
) -> None:
    job_id = await add_speech()
    api.complete(job_id, *SENTENCES)
    await expect(card(page, job_id).locator("audio")).to_be_visible()
    await page.set_viewport_size({"width": 390, "height": 844})
    sizes = await page.evaluate(
        """[...document.querySelectorAll("button, label, audio")].map((element) => {
            const { width, height } = element.getBoundingClientRect();
            return [Math.min(width, height), element.outerHTML.slice(0, 80)];
        })"""
    )
    assert len(sizes) >= 10
    assert [size for size in sizes if size[0] < 24] == []


async def test_a_change_of_state_is_announced_once_and_a_per_cent_is_not(
    page: Page, api: FakeTranscriber, add_speech: AddSpeech
) -> None:
    job_id = await add_speech()
    await page.evaluate("""() => {
        window.announced = [];
        new MutationObserver((changes) => {
            for (const { target } of changes) {
                const region = target.parentElement?.closest("[role=status], [role=alert], [aria-live]");
                if (region) window.announced.push(region.textContent);
            }
        }).observe(document.body, { childList: true, characterData: true, subtree: true });
    }""")
    for progress in range(5, 95, 10):
        api.move(job_id, status="processing", progress=progress)
        await expect(card(page, job_id)).to_have_attribute("data-progress", str(progress))
    api.complete(job_id, *SENTENCES)
    await expect(card(page, job_id)).to_have_attribute("data-status", "completed")
    assert await page.evaluate("window.announced") == ["jfk.wav: Transcribing", "jfk.wav: Done"]


async def test_a_long_text_is_one_stop_of_the_tab_key(
    page: Page, api: FakeTranscriber, add_speech: AddSpeech
) -> None:
    job_id = await add_speech()
    api.complete(job_id, *((float(second), second + 1.0, "Again.") for second in range(11)))
    times = card(page, job_id).get_by_role("button", name="Play from")
    await expect(times).to_have_count(11)
    await tab_to(page, "Play from 0:00")
    await page.keyboard.press("Tab")
    assert "Copy" in await page.evaluate("document.activeElement.textContent")


Press = Callable[[str, str], Awaitable[None]]


@pytest_asyncio.fixture(loop_scope="module")
async def press(page: Page) -> Press:
    """Press a key on the button of this name, come to by Tab alone."""

    async def press_on(name: str, key: str) -> None:
        await tab_to(page, name)
        await page.keyboard.press(key)

    return press_on


async def tab_to(page: Page, name: str) -> None:
    for _ in range(60):
        await page.keyboard.press("Tab")
        if name in await page.evaluate(
            "document.activeElement.ariaLabel ?? document.activeElement.textContent"
        ):
            return
    raise AssertionError(f"Tab does not come to {name!r}")


async def has_focus(page: Page) -> None:
    """The focus is somewhere: nothing that went away took it along."""
    await page.wait_for_function("document.activeElement !== document.body")


async def test_the_whole_journey_is_made_by_keyboard_and_the_focus_is_never_lost(
    page: Page, api: FakeTranscriber, press: Press
) -> None:
    # From here on the browser hands its choosers over; asked for only when one opens, that could come too late.
    page.on("filechooser", lambda _: None)
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.type") == "file"
    async with page.expect_file_chooser() as chooser:
        await page.keyboard.press("Enter")
    api.stalls = True
    await (await chooser.value).set_files(SPEECH)
    await expect(page.locator('[data-status="uploading"]')).to_be_visible()

    await press("Cancel jfk.wav", "Enter")
    await expect(page.locator('[data-status="cancelled"]')).to_be_visible()
    await has_focus(page)
    assert await page.evaluate("document.activeElement.textContent") == "jfk.wav"
    api.stalls = False
    await press("Try again jfk.wav", "Space")
    await expect(page.locator('[data-status="queued"]')).to_be_visible()
    await has_focus(page)

    (job_id,) = api.jobs
    api.complete(job_id, *SENTENCES)
    player = card(page, job_id).locator("audio")
    await expect(player).to_have_js_property("readyState", 4)
    await tab_to(page, "jfk.wav")
    await page.keyboard.press("Space")
    await expect(player).to_have_js_property("paused", False)
    await tab_to(page, "Play from 0:00")
    await page.keyboard.press("ArrowDown")
    assert await page.evaluate("document.activeElement.ariaLabel") == "Play from 0:04"
    await page.keyboard.press("Enter")
    await expect(card(page, job_id).locator("[aria-current]")).to_contain_text("ask not")
    await has_focus(page)
    await press("Copy the text of jfk.wav", "Enter")
    await expect(card(page, job_id).get_by_text("Copied.")).to_be_visible()
    async with page.expect_download():
        await press("Download jfk.wav as .srt", "Enter")
    await has_focus(page)
    await press("Remove jfk.wav", "Enter")
    await expect(card(page, job_id)).to_have_count(0)
    await has_focus(page)
    assert await page.evaluate("document.activeElement.textContent") == "Recordings"
