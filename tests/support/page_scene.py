"""What the tests of the page share: the services around it, and how a job is found on it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Locator, Page, expect

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
