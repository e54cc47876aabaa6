"""Codes that stand for all others when two documents are compared: none of them is a code that is listed."""

from typing import Any

import pytest

from policy_core.compare.answers import Comparison, compare
from policy_core.document.models import PolicyDocument
from policy_core.evaluate.determine import Policy
from tests.support.cases import packaged

OTHERS = "any other cpt code"


def of_codes(*codes: str, **system: Any) -> Policy:
    """The packaged policy with more CPT codes on its list, and the code system itself changed."""
    tree = packaged().document.model_dump(mode="json", by_alias=True)
    tree["codes"]["listed"] += [{"system": "cpt", "code": code, "says": "A code more."} for code in codes]
    [cpt] = [one for one in tree["codes"]["systems"] if one["system"] == "cpt"]
    cpt.update(system)
    return Policy(PolicyDocument.model_validate(tree, strict=False))


def codes_of(found: Comparison) -> set[str]:
    """The codes, by what they are called, whose answers change."""
    return {code for change in found.changes for where in change.where for code in where.codes}


LISTED = [("ZZZZZ",), ("ZZZZZ", "ZZZZY"), ("ZZZZZ", "ZZZZY", "ZZZZX", "ZZZZV")]


@pytest.mark.parametrize("listed", LISTED)
def test_codes_that_are_listed_anew_change_no_other_code(listed: tuple[str, ...]) -> None:
    """Whatever codes a revision lists, the answers of these change, and of those that are on no list nothing does."""
    assert codes_of(compare(of_codes(), of_codes(*listed))) == {f"cpt {code}" for code in listed}
    assert codes_of(compare(of_codes(*listed), of_codes())) == {f"cpt {code}" for code in listed}


@pytest.mark.parametrize("listed", LISTED)
def test_unlisted_codes_change_whatever_codes_are_listed(listed: tuple[str, ...]) -> None:
    """A code system that ends changes the answers of the codes on no list too, whichever codes stand on the list."""
    before, after = of_codes(*listed), of_codes(*listed, valid={"until": "2030-01-01"})
    found = compare(before, after)

    concerned = [change for change in found.changes if change.before.determination == "not_addressed"]
    assert OTHERS in {code for change in concerned for where in change.where for code in where.codes}


@pytest.mark.parametrize("dots", [(False, True), (True, False)])
def test_a_spelling_that_only_one_document_reads_changes(dots: tuple[bool, bool]) -> None:
    """A listed code with a dot is the same code only where dots are ignored; no other code's answer changes."""
    before, after = (of_codes("ZZZZZ", ignores_dots=ignored) for ignored in dots)

    assert "cpt Z.ZZZZ" in codes_of(compare(before, after))
    assert "cpt ZZZZZ" not in codes_of(compare(before, after))
