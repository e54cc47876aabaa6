"""The report of `dli replay verify` as a table, and its findings as sentences."""

from typing import Any

from rich.table import Table

from workers.console.printable import words
from workers.replay.verify import IDENTICAL, KINDS
from workers.replay.verify_report import Report


def table(report: Report) -> Table:
    """The report's counts."""
    made = Table(header_style="bold", box=None, show_header=False)
    made.add_column()
    made.add_column(justify="right")
    made.add_column()
    made.add_row("requests", f"{report.requests:,}", "" if report.complete else "so far: the run was interrupted")
    parts = ", ".join(f"{report.identical[name]:,} {words(name)}s" for name in IDENTICAL)
    made.add_row("identical", f"{report.identical.total():,}", parts)
    for name, says in KINDS.items():
        made.add_row(words(name), f"{report.found[name]:,}", says if report.found[name] else "")
    for why, count in report.why.most_common():
        made.add_row("", f"{count:,}", why)
    return made


def sentence(finding: dict[str, Any]) -> str:
    """A finding on one line."""
    if finding["kind"] == "damaged":
        span = f"{finding['first']} to {finding['last']}"
        return f"damaged: {finding['topic']}/{finding['partition']}, offset {span}: {finding['why']}"
    where = finding.get("recorded", finding) if "offset" not in finding else finding
    parts = [f"{words(finding['kind'])}: {where['topic']}/{where['partition']}, offset {where['offset']}"]
    if "recorded" in finding and where is finding:
        parts.append(f"recorded at {finding['recorded']['topic']} offset {finding['recorded']['offset']}")
    parts += [finding[name] for name in ("request_id", "why") if name in finding]
    text = "; ".join(parts)
    return f"{text}: {', '.join(finding['fields'])}" if finding.get("fields") else text
