"""`dli report public`: the figures of cases in a file, in four layouts."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.support.commands import dli
from tests.support.generated_cases import as_case, generated_cases
from tests.support.packaged import packaged_document
from workers.figures.definitions import BASIS, PARTS
from workers.figures.figures import public_figures
from workers.figures.layout import duration
from workers.figures.page import html
from workers.figures.read_cases import Extent

GOLDEN = Path(__file__).parent / "golden" / "public-2026.html"
CASES = [as_case(case) for case in generated_cases(7, 300)]
LINES = b"".join(case.packed() + b"\n" for case in CASES)
DEFINITIONS = [figure for part in PARTS for figure in part.figures]


def report(*arguments: str, given: bytes = LINES) -> tuple[int, str, str]:
    return dli("report", "public", "--year", "2026", "--from", "-", *arguments, given=given)


def test_the_page_is_the_golden_one() -> None:
    """To accept a change, write the page again: `dli report public --year 2026 --from - -o html`."""
    code, out, _ = report("-o", "html")

    assert code == 0
    assert out == GOLDEN.read_text("utf-8")


def test_the_page_has_no_script_no_address_and_no_request() -> None:
    page = html(public_figures(CASES, packaged_document(), 2026), Extent("file", {}, None))

    assert [word for word in ("<script", "http", "javascript:", "src=", "R-00000") if word in page] == []


def test_the_page_says_how_each_figure_is_counted() -> None:
    """The page says how each figure is counted and up to where."""
    extent = Extent("authorization.cases", {"0": 1_234, "1": 99}, "2027-02-01T00:00:00.000Z")
    page = html(public_figures(CASES, packaged_document(), 2026), extent).replace("&#39;", "'")

    assert [figure.says for figure in DEFINITIONS if figure.says not in page] == []
    assert [paragraph for paragraph in BASIS if paragraph not in page] == []
    assert "America/Chicago" in page
    assert "authorization.cases, up to these offsets by partition: 0: 1,234, 1: 99" in page


def test_what_a_document_says_is_text_on_the_page() -> None:
    hostile = packaged_document().model_copy(update={"title": "<script>alert(1)</script>\u202e"})
    page = html(public_figures(CASES, hostile, 2026), Extent("file", {}, None))

    assert "<script>" not in page
    assert "\u202e" not in page


def test_json_has_every_figure_with_its_definition_and_value() -> None:
    code, out, _ = report("-o", "json")
    found = json.loads(out)
    expected = public_figures(CASES, packaged_document(), 2026).values

    assert code == 0
    assert {figure["id"]: figure["value"] for figure in found["figures"]} == expected
    assert [figure["definition"] for figure in found["figures"]] == [figure.says for figure in DEFINITIONS]
    assert (found["policy"], found["year"], found["time_zone"]) == ("L.2.03.402", 2026, "America/Chicago")


def test_csv_has_a_row_for_each_number() -> None:
    _, out, _ = report("-o", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    found = {(row["figure"], row["measure"]): row["value"] for row in rows}
    expected = public_figures(CASES, packaged_document(), 2026).values

    assert found["2", "count"] == str(expected["2"]["count"])
    assert found["2", "machine.of"] == str(expected["2"]["machine"]["of"])
    assert {row["figure"] for row in rows} == {"", *expected}


def test_the_table_names_policy_year_and_every_figure() -> None:
    code, out, _ = report()

    assert code == 0
    assert "Year 2026 in the time zone America/Chicago; 300 cases" in out
    assert [figure.id for figure in DEFINITIONS if f"│ {figure.id.split()[0]} " not in out] == []


@pytest.mark.parametrize("line", [b'{"state": "final"}', b"not JSON", b"[1]"])
def test_a_line_that_is_no_case_is_named_without_its_content(line: bytes) -> None:
    code, out, err = report(given=LINES + line + b"\n")

    assert (code, out) == (1, "")
    assert "line 301 is no case" in err
    assert line.decode() not in err


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.0, "0.0 s"), (59.9, "59.9 s"), (90, "2 min"), (3_600, "1 h"), (100_000, "1 d 3 h 47 min"), (-7_200, "-2 h")],
)
def test_a_time_is_written_in_days_hours_and_minutes(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected
