"""The HTML report: a single file with embedded charts, suitable for print and screen readers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pygal
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from pygal.style import Style

from policy_core.compare.strictness import UNDECIDED, Kind
from policy_core.determinations import CONSEQUENCES, Determination
from policy_core.evaluate.determine import Policy
from workers.console.printable import printable, words
from workers.replay.what_if import OR
from workers.replay.what_if_report import CHANGED, SAYS, Report, responsible

TEMPLATE = Path(__file__).parent / "what_if_page.html"
MONTHS_SHOWN = 36
"""The number of latest service months on the chart."""

# Readable on light and dark backgrounds; order, legend and the table make colours optional.
_COLORS = {Kind.STRICTER: "#b3541e", Kind.LOOSER: "#2b6cb0", Kind.RECLASSIFIED: "#7a5ea8", Kind.EVIDENCE: "#8a8f98"}


def html(report: Report, examples: Mapping[tuple[str, str, str], Sequence[str]], before: Policy, after: Policy) -> str:
    """Render the page."""
    environment = Environment(
        autoescape=True, finalize=_escaped, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"words": words, "number": lambda count: f"{count:,}", "share": _share}
    template = environment.from_string(TEMPLATE.read_text("utf-8"))
    return template.render(
        report=report,
        kinds=[(kind, SAYS[kind]) for kind in (*CHANGED, Kind.UNCHANGED)],
        lines={kind: report.lines(kind) for kind in Kind},
        all_lines=sum(report.counts.lines.values()),
        all_requests=sum(report.counts.requests.values()),
        pairs=report.pairs(),
        matrix=_matrix(report),
        examples=examples,
        rules=_sentences(before, after),
        responsible=responsible,
        businesses=_by_business(report),
        months=_by_month(report),
        chart_of_pairs=_pairs_chart(report),
        chart_of_months=_months_chart(report),
        before=before,
        after=after,
        consequence=_consequence,
        named=_named(report, before, after),
    )


def _escaped(value: Any) -> Any:
    """Page content: escaped text, or markup made here."""
    return printable(value, "\n") if isinstance(value, str) and not isinstance(value, Markup) else value


def _share(count: int, of: int) -> str:
    share = 100 * count / of if of else 0.0
    if not share:
        return "0 %"
    return f"{share:.1f} %" if share >= 0.1 else "< 0.1 %"  # noqa: PLR2004 (the smallest readable share)


def _consequence(determination: str) -> str:
    """Who acts next, in words."""
    if determination == UNDECIDED:
        return "no decision"
    found = CONSEQUENCES[Determination(determination)]
    return f"{found.action}, {words(found.acts_next)}"


def _sentences(before: Policy, after: Policy) -> dict[str, str]:
    """The rules' texts by id, from the later document."""
    return {rule.id: rule.says for policy in (before, after) for rule in policy.document.rules}


def _named(report: Report, before: Policy, after: Policy) -> list[str]:
    """The rules responsible for the pairs, in document order."""
    ids = _sentences(before, after)
    responsible = {
        id_ for row in report.pairs() for rules in row.rules for id_ in (rules.before + OR + rules.after).split(OR)
    }
    return [name for name in ids if name in responsible]


def _matrix(report: Report) -> dict[str, Any]:
    """The non-zero counts of lines from each determination to each other."""
    found = {(before, after): 0 for _, before, after in report.counts.lines}
    kinds = {}
    for (kind, before, after), count in report.counts.lines.items():
        if kind not in {Kind.UNCHANGED, Kind.EVIDENCE}:
            kinds[before, after] = kind
        found[before, after] += count
    order = [*map(str, Determination), UNDECIDED]
    rows = [determination for determination in order if any(before == determination for before, _ in found)]
    columns = [determination for determination in order if any(after == determination for _, after in found)]
    return {"rows": rows, "columns": columns, "lines": found, "kinds": kinds}


def _by_business(report: Report) -> list[tuple[str, dict[str, int]]]:
    made: dict[str, dict[str, int]] = {}
    for (business, kind), count in sorted(report.counts.businesses.items()):
        made.setdefault(business, dict.fromkeys(Kind, 0))[kind] = count
    return list(made.items())


def _by_month(report: Report) -> list[tuple[str, dict[str, int]]]:
    made: dict[str, dict[str, int]] = {}
    for (month, kind), count in sorted(report.counts.months.items()):
        made.setdefault(month, dict.fromkeys(Kind, 0))[kind] = count
    return list(made.items())[-MONTHS_SHOWN:]


# --- charts --------------------------------------------------------------------------------------------------------


def _config(kinds: Sequence[Kind]) -> dict[str, Any]:
    style = Style(
        background="transparent",
        plot_background="transparent",
        foreground="currentColor",
        foreground_strong="currentColor",
        foreground_subtle="currentColor",
        opacity="1",
        opacity_hover="1",
        colors=tuple(_COLORS[kind] for kind in kinds) or ("#8a8f98",),
        font_family="inherit",
        label_font_size=13,
        major_label_font_size=13,
        legend_font_size=13,
        value_font_size=12,
    )
    return {"style": style, "js": [], "explicit_size": False, "show_legend": True, "legend_at_bottom": True}


def _render(chart: Any, says: str) -> Markup:
    # The report page has no scripts.
    chart.add_xml_filter(_without_scripts)
    svg = chart.render(is_unicode=True, disable_xml_declaration=True)
    # Screen readers read this sentence and the table instead of the SVG.
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{Markup.escape(says)}" ', 1)
    return Markup(svg)  # noqa: S704 (made here, from counts and fixed words; pygal escapes what it is given)


def _without_scripts(root: Any) -> Any:
    for parent in list(root.iter()):
        for child in [element for element in parent if str(element.tag).endswith("script")]:
            parent.remove(child)
    return root


def _pairs_chart(report: Report) -> Markup | None:
    pairs = report.pairs()[:12]
    if not pairs:
        return None
    kinds = [kind for kind in CHANGED if any(pair.kind == kind for pair in pairs)]
    chart = pygal.HorizontalStackedBar(**_config(kinds), width=900, height=90 + 42 * len(pairs), print_values=True)
    chart.value_formatter = lambda count: f"{count:,.0f}" if count else ""
    listed = list(reversed(pairs))
    chart.x_labels = [f"{words(pair.before)} → {words(pair.after)}" for pair in listed]
    for kind in kinds:
        chart.add(words(kind), [pair.lines if pair.kind == kind else None for pair in listed])
    return _render(chart, "Lines that change, by determination before and after; the table below has the numbers.")


def _months_chart(report: Report) -> Markup | None:
    months = _by_month(report)
    kinds = [kind for kind in CHANGED if any(counts[kind] for _, counts in months)]
    if not kinds:
        return None
    chart = pygal.StackedBar(**_config(kinds), width=900, height=340, x_label_rotation=60)
    chart.value_formatter = lambda count: f"{count:,.0f}"
    chart.x_labels = [month for month, _ in months]
    for kind in kinds:
        chart.add(words(kind), [counts[kind] for _, counts in months])
    return _render(chart, "Lines that change, by month of service; the table below has the numbers.")
