"""The project's pages as they are read: links, headings, and what a person would type."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from tests.support.process import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "convex/react/README.md"])
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
WORDS_BEFORE = re.compile(r"[A-Z_]+=\S*|sudo|\.venv/bin/python|-m")
REDIRECTION = re.compile(r"[0-9]?[<>|&;].*")


def read(path: Path) -> str:
    return path.read_text("utf-8")


def fenced(text: str, *languages: str) -> list[str]:
    return [content for language, content in FENCED.findall(text) if language in languages]


def links(text: str) -> list[str]:
    """Where the page's links lead; not those of its code."""
    return LINK.findall(re.sub(r"`[^`\n]*`", "", FENCED.sub("", text)))


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings, and those that are written out."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE)
    made = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return made | set(re.findall(r'<a id="([^"]+)">', text))


def commands(text: str, program: str) -> Iterator[list[str]]:
    """The arguments of every call of `program` in the page's blocks of shell."""
    for block in fenced(text, "sh", "console"):
        for line in block.splitlines():
            if program not in line:
                continue
            words = shlex.split(line.removeprefix("$ "), comments=True)
            while words and WORDS_BEFORE.fullmatch(words[0]):
                del words[0]
            if words[:1] == [program]:
                end = next((at for at, word in enumerate(words) if REDIRECTION.fullmatch(word)), None)
                yield words[1:end]
