"""What an analyst is told of a mistake: the file, the line, and what to write, never a library's own words."""

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from ruamel.yaml import YAML

from policy_core.document.models import PolicyDocument
from policy_core.loading.yaml_mistakes import Written, sentence
from tests.support.cases import OTHER_FILE, problems

OTHER = OTHER_FILE.read_text("utf-8")
LIBRARY_WORDS = re.compile(r"should be|should have|should match|valid |Tuple|dictionary|instance|Input|Extra|pattern")


class Slip(NamedTuple):
    """What an author wrote in place of what stands in the invented policy, and what it is told."""

    old: str
    new: str
    path: str
    message: str
    line_after: int = 0
    """Lines from the first changed one to the one that is named."""


TRAINED = "question: Is the member trained?"
UNTRAINED = "determination: criteria_not_met, reason: no_training"
FIRST_DAY = "since: 2018-01-01, on_record"

SLIPS = {
    "month 13": Slip(
        FIRST_DAY, "since: 2018-13-01, on_record", "editions.0.since", "`2018-13-01` is not in the calendar"
    ),
    "June 31": Slip(
        FIRST_DAY, "since: 2018-06-31, on_record", "editions.0.since", "`2018-06-31` is not in the calendar"
    ),
    "year 0": Slip(
        FIRST_DAY, "since: 0000-01-01, on_record", "editions.0.since", "`0000-01-01` is not in the calendar"
    ),
    "American day": Slip(
        FIRST_DAY, "since: 01/01/2018, on_record", "editions.0.since", "`01/01/2018` is not a day; write"
    ),
    "short day": Slip(
        FIRST_DAY, "since: 2018-1-1, on_record", "editions.0.since", "`2018-1-1` is not a day; write it as"
    ),
    "only a year": Slip(FIRST_DAY, "since: 2018, on_record", "editions.0.since", "`2018` is not a day; write it as"),
    "a moment": Slip(
        FIRST_DAY, "since: 2018-01-01T00:00:00Z, on_record", "editions.0.since", "`2018-01-01T00:00:00Z` is not a day"
    ),
    "colon in a text": Slip(TRAINED, "question: Is the member: trained?", "", "not YAML: a second colon in one text"),
    "text after quotes": Slip(
        TRAINED, 'question: "Is" the member trained?', "", "not YAML: what stands here does not fit"
    ),
    "percent sign": Slip(
        TRAINED, "question: %Is it?", "", "not YAML: a text cannot begin with this character; put the"
    ),
    "asterisk": Slip(
        TRAINED, "question: *Is it?", "", "anchors (&) and aliases (*) have no place here; write it out, or"
    ),
    "exclamation mark": Slip(
        TRAINED, "question: !Is it", "", "tags (!) have no place here; write the plain value, or put"
    ),
    "open quotation mark": Slip(
        TRAINED, 'question: "Is it?', "", "not YAML: the quotation mark that opens here is never"
    ),
    "open bracket": Slip(
        "sections: [head, ", "sections: [head, [", "", "not YAML: the bracket `[` that opens here is not"
    ),
    "open brace": Slip(
        "personal, professional]", "{personal, professional]", "", "not YAML: the brace `{` that opens here"
    ),
    "tab": Slip("    kind: date", "\tkind: date", "", "not YAML: a tab; indent with spaces"),
    "twice": Slip("    kind: date", "    kind: date\n    kind: set", "", "not YAML: the key `kind` stands twice", 1),
    "control character": Slip(TRAINED, "question: Is \x01it?", "", "not YAML: a control character; remove it"),
    "second document": Slip("facts:", "---\nfacts:", "", "not YAML: a second document begins"),
    "denied": Slip(
        UNTRAINED,
        "determination: denied, reason: no_training",
        "rules.2.outcomes.0.determination",
        "`denied` cannot be written: no document refuses care; write `criteria_not_met` or `investigational`",
    ),
    "approved": Slip(
        UNTRAINED,
        "determination: Approved",
        "rules.2.outcomes.0.determination",
        "`Approved` is not a determination; did you mean `medically_necessary`?",
    ),
    "misspelt determination": Slip(
        UNTRAINED,
        "determination: criteria_not_meet",
        "rules.2.outcomes.0.determination",
        "`criteria_not_meet` cannot be written here; did you mean `criteria_not_met`? Known: medically_",
    ),
    "another's determination": Slip(
        UNTRAINED,
        "determination: redirected",
        "rules.2.outcomes.0.determination",
        "`redirected` cannot be written here; known: medically_necessary, investigational, "
        "not_medically_necessary, criteria_not_met",
    ),
    "path without clinical": Slip(
        "{fact: clinical.monitor, is: professional}",
        "{fact: monitor, is: professional}",
        "rules.0.when.fact",
        "`monitor` is not the path of a fact; write `clinical.monitor`",
    ),
    "declared path without clinical": Slip(
        "path: clinical.diabetes.type",
        "path: Diabetes.Type of it",
        "facts.0.path",
        "`Diabetes.Type of it` is not the path of a fact; write `clinical.diabetes.type_of_it`",
    ),
    "no path at all": Slip(
        "path: clinical.diabetes.type",
        "path: clinical",
        "facts.0.path",
        "`clinical` is not the path of a fact; it begins",
    ),
    "code with a leading zero": Slip(
        "code: E2103",
        "code: 099.10",
        "codes.listed.0.code",
        'a number where text belongs; write it in quotes: "099.10"',
    ),
    "code like a number": Slip(
        "code: E2103", "code: 1E5", "codes.listed.0.code", 'a number where text belongs; write it in quotes: "1E5"'
    ),
    "truth as text": Slip(
        "title: Continuous glucose monitors",
        "title: true",
        "title",
        'true and false are no text; write it in quotes: "true"',
    ),
    "text as truth": Slip(
        "on_record: false",
        "on_record: no",
        "editions.0.on_record",
        "`no` is neither true nor false; write `on_record: true`",
    ),
    "nothing": Slip("title: Continuous glucose monitors", "title:", "title", "empty; write `title: …`"),
    "empty text": Slip("title: Continuous glucose monitors", 'title: ""', "title", "empty; write a text"),
    "spelt number": Slip(
        "{days: 3, hours: 12}", "{days: three}", "clocks.0.standard.days", "`three` is not a whole number; write digits"
    ),
    "decimal": Slip(
        "{days: 3, hours: 12}", "{days: 3.5}", "clocks.0.standard.days", "`3.5` is not a whole number; write dig"
    ),
    "negative": Slip(
        "{days: 3, hours: 12}", "{days: -3}", "clocks.0.standard.days", "`-3` is too small; write 0 or more"
    ),
    "large": Slip(
        "{days: 3, hours: 12}", "{days: 9999}", "clocks.0.standard.days", "`9999` is too large; write 3,650 or less"
    ),
    "one for a list": Slip(
        "kinds: [approval]", "kinds: approval", "revisions.0.kinds", "`approval` is not a list; write `kinds: […]`"
    ),
    "unknown kind": Slip(
        "kinds: [approval]",
        "kinds: [approved]",
        "revisions.0.kinds.0",
        "`approved` cannot be written here; did you mean `app",
    ),
    "name with a space": Slip(
        "id: grave-hypoglycemia", "id: grave one", "conditions.1.id", "`grave one` is not a name; write letters, digits"
    ),
    "reason in words": Slip(
        "reason: no_training",
        "reason: No training",
        "rules.2.outcomes.0.reason",
        "`No training` is not a word of the policy",
    ),
    "range with spaces": Slip(
        "codes: [E10]",
        "codes: [E10 - E11]",
        "facts.0.derived.0.codes.0",
        "`E10 - E11` is neither a code nor a range of codes",
    ),
    "digest in capitals": Slip(
        "sha256: 5254e3",
        "sha256: 5254E3",
        "facts.5.presumed.cites.0.sha256",
        "`5254E3637286c73b3e2e504dd0ac023abce991d2ec1f5",
    ),
    "system without a code": Slip(
        "codes: [ev-local L.10]",
        "codes: [ev-local]",
        "guidance.0.applies_to.codes.0",
        "`ev-local` is not a system and a code",
    ),
    "two shapes": Slip(
        "{fact: clinical.monitor, is: professional}",
        "{fact: clinical.monitor, is: professional, in: [personal]}",
        "rules.0.when.in",
        "unknown field; `in` is a field of other parts and cannot stand here; remove it",
    ),
    "otherwise not": Slip(
        "when: {otherwise: true}",
        "when: {otherwise: false}",
        "rules.5.when.otherwise",
        "only `otherwise: true` can be written",
    ),
}


@pytest.mark.parametrize("slip", SLIPS.values(), ids=SLIPS)
def test_every_slip_has_its_line_and_what_to_write(slip: Slip) -> None:
    """One problem, of the line that was changed, in words that mend it."""
    assert slip.old in OTHER
    line = OTHER[: OTHER.index(slip.old)].count("\n") + 1 + slip.line_after

    found = problems(OTHER.replace(slip.old, slip.new, 1))

    path = f" {slip.path}:" if slip.path else ""
    assert [one[: len(f"policy.yaml:{line}:{path} {slip.message}")] for one in found] == [
        f"policy.yaml:{line}:{path} {slip.message}"
    ]


# --- whatever stands there -----------------------------------------------------------------------------------------

WRONG: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    3.5,
    10**8,
    "",
    "a b",
    "clinical.x",
    "2018-13-01",
    "x" * 2_000,
    [],
    {},
    [None],
    [1],
    [[]],
    ["A b"],
    {"a": 1},
    {"is": "x"},
    {"all": []},
    {"otherwise": False},
)


def _plain() -> Any:
    tree = YAML(typ="safe", pure=True).load(OTHER)
    return json.loads(json.dumps(tree, default=str))


def _places(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _places(value, (*path, key))
    elif isinstance(node, list):
        for at, value in islice(enumerate(node), 2):
            yield from _places(value, (*path, at))


def _with(node: Any, path: tuple[str | int, ...], value: Any) -> Any:
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(node, dict):
        return {key: _with(below, rest, value) if key == head else below for key, below in node.items()}
    return [_with(below, rest, value) if at == head else below for at, below in enumerate(node)]


def _told(error: dict[str, Any], written: Written) -> str:
    return sentence(error["type"], error["msg"], error.get("ctx", {}), written, ["field"])


def test_no_wrong_value_is_reported_in_a_librarys_words() -> None:
    """Every place of a document, with every kind of wrong value: whatever the models say has a sentence of ours."""
    whole = _plain()
    told = set()
    for path in _places(whole):
        for wrong in WRONG:
            try:
                PolicyDocument.model_validate_json(json.dumps(_with(whole, path, wrong)), strict=True)
            except ValidationError as refused:
                for one in refused.errors(include_url=False):
                    written = Written("field", one["input"], str(one["input"]))
                    told.add((one["type"], _told(dict(one), written)))

    assert [message for _, message in told if LIBRARY_WORDS.search(message.split("`")[-1])] == []
    kinds = {kind for kind, _ in told}
    assert kinds >= {"missing", "literal_error", "date_parsing", "too_short", "int_type", "string_pattern_mismatch"}


def test_a_library_s_words_are_noticed() -> None:
    """The test above would see them."""
    assert LIBRARY_WORDS.search("Tuple should have at least 1 item after validation, not 0")
    assert LIBRARY_WORDS.search(sentence("unheard_of", "Input should be a valid thing", {}, Written("x", 1, "1"), []))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40), st.sampled_from([TRAINED, FIRST_DAY, "E2103"]))
def test_whatever_is_written_is_taken_or_told_with_a_line(text: str, old: str) -> None:
    """No text anywhere ends in another error, and none is refused without its line."""
    assert [one for one in problems(OTHER.replace(old, text, 1)) if not re.match(r"policy\.yaml:\d+: ", one)] == []
