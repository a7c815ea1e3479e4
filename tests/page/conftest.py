"""The page on a real Convex backend, with a transcription API that moves on command; one browser for each file of tests."""

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page

from stack.ports import ANY, choose
from stack.stack import Stack
from stack.workspace import Keys
from tests.support.chromium import running_chromium
from tests.support.fake_transcriber import FakeTranscriber, fake_transcriber
from tests.support.page_scene import SPEECH, AddSpeech, Services, add, is_live


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    directory = tmp_path_factory.mktemp("page")
    keys = Keys.made_up()
    with fake_transcriber() as api:
        ports = replace(choose(ANY), transcriber=int(api.url.rpartition(":")[2]))
        with Stack(data=directory, ports=ports, keys=keys, environment=os.environ) as stack:
            stack.start("convex", "page")
            api.site_url, api.key = f"http://127.0.0.1:{ports.convex_site}", keys.webhook_key
            yield Services(api=api, stack=stack)


@pytest.fixture
def api(services: Services) -> Iterator[FakeTranscriber]:
    site_url = services.api.site_url
    services.api.jobs.clear()
    services.api.requests.clear()
    yield services.api
    services.api.site_url, services.api.refusal = site_url, None
    services.api.stalls = False


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with running_chromium(
        "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"
    ) as chromium:
        yield chromium


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(permissions=["clipboard-read", "clipboard-write", "microphone"])
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(context: BrowserContext, services: Services) -> Page:
    page = await context.new_page()
    await page.goto(services.page_url)
    await is_live(page)
    return page


@pytest_asyncio.fixture(loop_scope="module")
async def add_speech(page: Page, api: FakeTranscriber) -> AddSpeech:
    """Choose the sample as a person would; returns the id of its job once the API has it."""

    async def add_it() -> str:
        return await add(page, api, SPEECH)

    return add_it
