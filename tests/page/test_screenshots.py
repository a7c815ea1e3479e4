"""The pictures in docs/images are of the page as it is. `make screenshots` takes new ones."""

import base64
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.support.fake_transcriber import FakeTranscriber
from tests.support.page_scene import SENTENCES, SPEECH, Services, add, card, is_live

pytestmark = pytest.mark.asyncio(loop_scope="module")

IMAGES = Path(__file__).parents[2] / "docs" / "images"

# Of 255, anywhere in both pictures made small: another word, place or colour is above it, another smoothing of edges below.
DIFFERENCE_AT_MOST = 10

DIFFERENCE = """async ([one, other]) => {
    const small = async (base64) => {
        const image = new Image();
        image.src = `data:image/png;base64,${base64}`;
        await image.decode();
        const [width, height] = [image.width / 16, image.height / 16].map(Math.round);
        const canvas = Object.assign(document.createElement("canvas"), { width, height });
        const drawing = canvas.getContext("2d");
        drawing.imageSmoothingQuality = "high";
        drawing.drawImage(image, 0, 0, width, height);
        return { width, height, colours: drawing.getImageData(0, 0, width, height).data };
    };
    const [a, b] = [await small(one), await small(other)];
    if (a.width !== b.width || a.height !== b.height) return 255;
    return a.colours.reduce((most, colour, n) => Math.max(most, Math.abs(colour - b.colours[n])), 0);
}"""


@dataclass(frozen=True, slots=True)
class Screen:
    name: str
    width: int
    height: int
    scale: int


SCREENS = (Screen("phone", 390, 844, 2), Screen("desktop", 1280, 800, 1))


@pytest.fixture(params=SCREENS, ids=lambda screen: screen.name)
def screen(request: pytest.FixtureRequest) -> Screen:
    return request.param


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> Literal["light", "dark"]:
    return request.param


@pytest_asyncio.fixture(loop_scope="module")
async def page(
    browser: Browser, services: Services, screen: Screen, scheme: Literal["light", "dark"]
) -> AsyncIterator[Page]:
    """The same time, place and language wherever the test runs."""
    context = await browser.new_context(
        viewport={"width": screen.width, "height": screen.height},
        device_scale_factor=screen.scale,
        color_scheme=scheme,
        locale="en-US",
        timezone_id="UTC",
    )
    page = await context.new_page()
    await page.clock.set_fixed_time("2026-11-22T10:00:00Z")
    await page.goto(services.page_url)
    await is_live(page)
    yield page
    await context.close()


async def test_the_pictures_are_of_the_page_as_it_is(
    page: Page, api: FakeTranscriber, screen: Screen, scheme: str
) -> None:
    await show_one_of_each(page, api)
    picture = await page.screenshot(full_page=True, animations="disabled")
    file = IMAGES / f"page-{screen.name}-{scheme}.png"
    if os.environ.get("RENEW_SCREENSHOTS"):
        IMAGES.mkdir(exist_ok=True)
        file.write_bytes(picture)
    assert file.exists(), f"there is no {file.name}: run `make screenshots` and look at it"
    encoded = [base64.b64encode(content).decode() for content in (picture, file.read_bytes())]
    difference = await page.evaluate(DIFFERENCE, encoded)
    assert difference <= DIFFERENCE_AT_MOST, f"{file.name} is stale: run `make screenshots` and look at it"


async def show_one_of_each(page: Page, api: FakeTranscriber) -> None:
    failed = await add(page, api, SPEECH, "Voice memo 14.m4a")
    api.move(
        failed,
        status="failed",
        error={"code": "audio_truncated", "message": "the file ends early, after 3.0 s of sound"},
    )
    completed = await add(page, api, SPEECH, "Inaugural address.wav")
    api.complete(completed, *SENTENCES)
    processing = await add(page, api, SPEECH, "Interview, second part.mp3")
    api.move(processing, status="processing", progress=62)
    queued = await add(page, api, SPEECH, "Board meeting 2026-11-20.ogg")
    await expect(card(page, queued)).to_have_attribute("data-status", "queued")
    await expect(card(page, processing)).to_have_attribute("data-progress", "62")
    await expect(card(page, failed)).to_have_attribute("data-status", "failed")
    await show_the_second_part(page, completed)


async def show_the_second_part(page: Page, job_id: str) -> None:
    player = card(page, job_id).locator("audio")
    # A phone's screen does not reach so far; the player comes when it is seen.
    await card(page, job_id).scroll_into_view_if_needed()
    await expect(player).to_have_js_property("readyState", 4)
    await player.evaluate("audio => { audio.currentTime = 6; }")
    await expect(card(page, job_id).locator("[aria-current]")).to_contain_text("ask not what")
    await page.evaluate("window.scrollTo(0, 0)")
