"""The page about the format: its examples are documents, and it names every module."""

import json
import re
from typing import Any

from policy_core.citations import verify
from policy_core.determinations import Determination
from policy_core.document.models import PolicyDocument
from policy_core.history.library import PACKAGED
from policy_core.loading.check import places
from tests.support.cases import (
    OTHER_FILE,
    PACKAGED_FILE,
    case,
    first_line,
    line,
)
from tests.support.documents import PAGE, blocks, explained, plain

REAL = PACKAGED_FILE.read_text("utf-8")
OTHER = OTHER_FILE.read_text("utf-8")
SCHEMA = json.loads((PACKAGED.parent / "policy.schema.json").read_text("utf-8"))


# --- the page about the format ---------------------------------------------------------------------


def test_the_pages_pieces_form_a_whole_document() -> None:
    """The pieces that the page explains form a whole document that agrees with its text."""
    document = explained().document

    report = verify(places(document), document.source.sections, blocks("text"))

    assert document.number == "EX-1"
    assert report.agrees
    assert report.sentences == 6


def test_the_page_explains_every_part_of_a_document() -> None:
    assert set(PolicyDocument.model_fields) == set(plain(blocks("yaml")))


def test_the_page_tells_truly_what_its_document_asks_for() -> None:
    def asked(clinical: dict[str, Any]) -> tuple[Determination, list[str]]:
        answer = first_line(case(line(code="HA1", system="own"), clinical=clinical), explained()).answer
        return answer.determination, [one.path for one in answer.missing]

    assert asked({"loss": {"degree": "severe"}}) == (Determination.MEDICALLY_NECESSARY, [])
    expected = (Determination.INFORMATION_NEEDED, ["clinical.loss.degree"])
    assert expected == asked({"aid": {"anchored": True}})


def test_the_page_names_every_module() -> None:
    folder = PACKAGED.parent
    modules = {one.relative_to(folder).as_posix() for one in folder.rglob("*.py") if one.name != "__init__.py"}

    assert modules == set(re.findall(r"^\| `([a-z/_]+\.py)` \|", PAGE, re.MULTILINE))
