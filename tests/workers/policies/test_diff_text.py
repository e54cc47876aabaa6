"""Changes as text: long lists of conditions end with the number of cases that they leave out."""

from functools import cache
from io import StringIO

from rich.console import Console

from policy_core.compare.answers import Comparison, compare
from policy_core.document.models import PolicyDocument
from policy_core.evaluate.determine import Policy
from tests.support.bombs import Json, chained_parity, document, is_
from tests.support.cases import other
from workers.policies.attestation import attestation
from workers.policies.diff_text import comparison

FACTS = [f"f{at}" for at in range(12)]


def parity(when: Json) -> PolicyDocument:
    return document(FACTS, when, conditions=[*chained_parity(FACTS), {"id": "bomb", "says": "It.", "when": when}])


@cache
def long_difference() -> Comparison:
    """Every one of 4,096 cases changes, half of them each way, and each needs a condition of its own."""
    odd: Json = {"condition": "odd-11"}
    return compare(Policy(parity(odd)), Policy(parity({"not": odd})))


def printed(found: Comparison) -> str:
    console = Console(file=StringIO(), width=200, color_system=None)
    console.print(comparison(found))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_cases_that_no_condition_covers_are_counted_in_the_text() -> None:
    text = printed(long_difference())

    assert "2,048 of 4,096" in text
    assert text.count("or 52 more conditions, in the JSON output") == 2
    assert text.count("… and 1,984 further cases, too many to write as conditions") == 2


def test_a_whole_list_of_conditions_counts_nothing_further() -> None:
    one = document(FACTS, is_("f0"))

    assert "further" not in printed(compare(Policy(one), Policy(document(FACTS, is_("f1")))))
    assert "further" not in printed(compare(other(), other()))


def test_the_attestation_counts_what_no_condition_covers() -> None:
    """An attestation says how many cases its conditions leave out, and says nothing of it where they are whole."""
    found = attestation(long_difference()).changes
    whole = attestation(compare(Policy(document(FACTS, is_("f0"))), Policy(document(FACTS, is_("f1")))))

    assert [(change.more_conditions, change.further_cases) for change in found] == [(True, 1_984)] * 2
    assert [len(change.conditions) for change in found] == [64, 64]
    assert {(change.more_conditions, change.further_cases) for change in whole.changes} == {(None, None)}
    assert b"further_cases" not in whole.to_json()


def test_numbers_of_cases_of_any_size_are_attested() -> None:
    """Seventy facts have more cases than a double has digits; their numbers are exact."""
    facts = [f"f{at}" for at in range(70)]
    every = document(facts, {"all": [is_(fact) for fact in facts]})
    found = attestation(compare(Policy(every), Policy(document(facts, {"any": [is_(fact) for fact in facts]}))))

    assert found.cases_that_change == 2**70 - 2
    assert str(2**70 - 2).encode() in found.to_json()
    assert type(found).model_validate_json(found.to_json()) == found
