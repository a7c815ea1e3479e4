"""What the tests of the page share: the services around it, and how a job is found on it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import FilePayload, Locator, Page, expect

from stack.stack import Stack
from tests.support.chromium import PATIENCE_SECONDS
from tests.support.fake_transcriber import FakeTranscriber

SPEECH = Path(__file__).parents[1] / "data" / "jfk.wav"
SENTENCES = (
    (0.0, 4.2, "And so my fellow Americans,"),
    (4.2, 11.0, "ask not what your country can do for you."),
)

AddSpeech = Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Services:
    api: FakeTranscriber
    stack: Stack

    @property
    def page_url(self) -> str:
        return self.stack["page"].url


async def is_live(page: Page) -> None:
    await expect(page.locator("[data-connection]")).to_have_attribute("data-connection", "live")


def card(page: Page, job_id: str) -> Locator:
    return page.locator(f'[data-job-id="{job_id}"]')


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.02)


async def add(page: Page, api: FakeTranscriber, recording: Path, name: str | None = None) -> str:
    """Choose a file as a person would, under its own or another name; returns the id of its job once the page shows it."""
    known = set(api.jobs)
    await page.get_by_label("Choose files").set_input_files(as_chosen(recording, name))
    await eventually(lambda: len(api.jobs) > len(known))
    (job_id,) = set(api.jobs) - known
    await expect(card(page, job_id)).to_have_attribute("data-status", "queued")
    return job_id


def as_chosen(recording: Path, name: str | None) -> FilePayload:
    return FilePayload(name=name or recording.name, mimeType="audio/wav", buffer=recording.read_bytes())


@asynccontextmanager
async def convex_stopped(services: Services) -> AsyncIterator[None]:
    """Convex is gone within the block; it comes back as it was. What the API has to say meanwhile does not arrive."""
    site_url, services.api.site_url = services.api.site_url, None
    await asyncio.to_thread(services.stack.stop, "convex")
    try:
        yield
    finally:
        await asyncio.to_thread(services.stack.start, "convex")
        services.api.site_url = site_url
