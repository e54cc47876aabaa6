"""What stands on the page for a committee is text, whatever it says."""

from html.parser import HTMLParser

import pygal
import pytest

from policy_core.compare.strictness import Kind
from workers.replay import what_if_page

HOSTILE = '"><script>alert(1)</script><a href="javascript:alert(1)" onclick="alert(1)">&quot;]]><![CDATA['


class _Seen(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("chart", [pygal.HorizontalStackedBar, pygal.StackedBar])
def test_a_chart_shows_hostile_words_without_obeying_them(chart: type) -> None:
    """A chart shows hostile words and does nothing of what they say."""
    drawn = chart(**what_if_page._config([Kind.STRICTER]), width=900, height=340, print_values=True, title=HOSTILE)  # noqa: SLF001 (the one place that says that markup is safe)
    drawn.x_labels = [HOSTILE]
    drawn.value_formatter = lambda count: f"{count} {HOSTILE}"
    drawn.add(HOSTILE, [7])
    seen = _Seen()
    seen.feed(str(what_if_page._render(drawn, HOSTILE)))  # noqa: SLF001 (as above)

    assert "script" not in seen.tags
    assert "a" not in seen.tags
    assert [name for name, _ in seen.attributes if name.startswith("on") or name == "href"] == []
    assert ("aria-label", HOSTILE) in seen.attributes
    assert "<script>alert(1)</script>" in seen.text
