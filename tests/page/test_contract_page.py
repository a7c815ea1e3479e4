"""The pages of the contracts in a browser: readable by everybody, on a phone, in light and in dark, as they are served."""

from pathlib import Path

import pytest
import yaml
from playwright.async_api import Browser

from openapi.page import render
from tests.page.test_accessibility import SIZES, faults
from tests.support.gateway_app import running_gateway
from tests.support.live_server import live_server
from transcriber.app import build
from transcriber.settings import parse

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOO_WIDE = """[...document.body.querySelectorAll("*")]
    .filter((element) => !element.closest("pre") && element.getBoundingClientRect().right > innerWidth)
    .map((element) => element.outerHTML.slice(0, 80))"""
GROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module", params=["gateway", "transcriber"])
def url(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("contract")
    if request.param == "gateway":
        with running_gateway(folder) as gateway:
            yield gateway.url
    else:
        environ = {"TRANSCRIBER_DATA_DIR": str(folder), "GROQ_API_KEY": "made-up"}
        with live_server(build(parse(environ))) as served:
            yield served


def brief(name: str) -> str:
    """The page of a part of the contract, with all that a whole one has: of the whole, axe would take half a minute."""
    document = yaml.safe_load(Path(f"openapi/{name}.yaml").read_text("utf-8"))
    document["paths"] = dict(list(document["paths"].items())[:2])
    return render(document)


async def test_the_page_as_it_is_served_has_its_style_and_fits(browser: Browser, url: str) -> None:
    page = await browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    await page.goto(f"{url}/docs")
    assert complaints == []  # of the policy, if it kept the page from its style
    for scheme, ground in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(22, 24, 28)")):
        await page.emulate_media(color_scheme=scheme)
        assert await page.evaluate(GROUND) == ground
    for width, height in SIZES.values():
        await page.set_viewport_size({"width": width, "height": height})
        assert await page.evaluate(TOO_WIDE) == []
    await page.close()


@pytest.mark.parametrize(("scheme", "size"), [("light", "desktop"), ("dark", "phone")])
async def test_the_page_is_readable_by_everybody(browser: Browser, scheme: str, size: str) -> None:
    width, height = SIZES[size]
    page = await browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    await page.set_content(brief("gateway"))
    assert await faults(page) == []
    await page.close()
