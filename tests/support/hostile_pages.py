"""Texts that would do something to a page, were they more than text."""

from collections.abc import Iterator
from typing import Any

from fastapi import Request
from nicegui import Client, ui

from tests.support.unprintable import EVIL, UNSEEN, unseen
from workers.dashboard.sign_in.roles import VISITOR, Role, Visitor

IMAGE = "<img src=x onerror=\"window.pwned='image'\">"
MARKUP = (
    IMAGE,
    "</script><script>window.pwned='script'</script>",
    "<svg/onload=window.pwned='svg'>",
    "{{constructor.constructor('window.pwned=1')()}}",
    "${window.pwned='template'}",
    "`+(window.pwned='tick')+`",
    "```\n<b onclick=1>\n```",
    "' onmouseover=window.pwned=1 x='",
    '" aria-label="another" role="button',
    "javascript:window.pwned='link'",
    "[a](javascript:window.pwned=1)",
    "&lt;img&gt; &#x202e; &amp;",
)
LONG = "W" * 4_000
HOSTILE = (*MARKUP, *EVIL, "".join(UNSEEN), f"{IMAGE}\u202e\x9b31m\x00{LONG}", LONG)
EVERYTHING = " ".join(HOSTILE)

RAW = {"nicegui-html", "nicegui-markdown", "nicegui-code", "script", "style", "iframe", "object", "embed"}
"""Elements that show what they are given as something else than text."""


def client() -> Client:
    """A page of its own, in which elements are made; there is no browser."""
    asked = Request({"type": "http", "headers": [], "query_string": b"", "path": "/", VISITOR: Visitor(Role.ACT)})
    return Client(ui.page(""), request=asked)


def texts(page: Client) -> list[str]:
    """Whatever a page would send a browser to show."""
    return [text for one in page.elements.values() for part in (one._props, _text(one)) for text in _texts(part)]  # noqa: SLF001 (what it sends, before it does)


def tags(page: Client) -> set[str]:
    return {one.tag for one in page.elements.values()}


def _text(element: Any) -> Any:
    return element._text  # noqa: SLF001


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _texts(name)
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)


def dangerous(page: Client) -> set[str]:
    """What of a page does something, or shows nothing."""
    return set().union(*map(unseen, texts(page)))
