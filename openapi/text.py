"""Words of the contract as HTML: escaped, with the little Markdown that they have."""

import json
import re
from collections.abc import Iterable
from html import escape
from typing import Any

PARAGRAPH = re.compile(r"\n\s*\n")
CODE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\[([^\]]+)\]\((https?://[^)\s]+)\)")


def code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def written(value: Any) -> str:
    """A text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def line(markdown: str) -> str:
    """Code and links; nothing else of it is markup."""
    text = CODE.sub(r"<code>\1</code>", escape(markdown.strip()))
    return LINK.sub(r'<a href="\2">\1</a>', text)


def paragraphs(markdown: str) -> str:
    return "".join(f"<p>{line(one)}</p>" for one in PARAGRAPH.split(markdown.strip()) if one)


def terms(rows: Iterable[tuple[str, str]]) -> str:
    """A list of names, each with what is said of it, both as HTML; nothing where there are none."""
    lines = "".join(f"<dt>{name}</dt><dd>{said}</dd>" for name, said in rows)
    return f"<dl>{lines}</dl>" if lines else ""
