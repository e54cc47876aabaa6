"""How large a document may be at all: what is beyond is refused at once, and what is within can be looked at whole."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_core.document.models import PolicyDocument
from policy_core.document.problems import PolicyDocumentError
from policy_core.evaluate.determine import Policy
from policy_core.loading.check import MOST_PROBLEMS, check
from policy_core.loading.load import parse
from policy_core.loading.size_limit import DEEPEST, LARGEST, LARGEST_NUMBER, LONGEST, MOST_PARTS, too_large
from tests.support.bombs import document, is_
from tests.support.cases import OTHER_FILE, PACKAGED_FILE, other, packaged, problems
from tests.support.documents import explained, plain

MARGIN = 10


def parts(tree: Any) -> list[tuple[int, Any]]:
    """Every part of a tree with its depth, the naive way."""
    found = [(0, tree)]
    below = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    for one in below:
        found += [(depth + 1, part) for depth, part in parts(one)]
    return found


@pytest.mark.parametrize("policy", [packaged(), other(), explained()], ids=lambda one: one.number)
def test_a_real_document_is_a_small_part_of_the_largest(policy: Policy) -> None:
    written = policy.document.canonical()
    found = parts(json.loads(written))

    assert len(written) * MARGIN < LARGEST
    assert len(found) * MARGIN < MOST_PARTS
    assert max(depth for depth, _ in found) * 4 < DEEPEST
    assert max(len(part) for _, part in found if isinstance(part, str)) * MARGIN < LONGEST


def nested(depth: int) -> Any:
    tree: Any = "x"
    for _ in range(depth):
        tree = [tree]
    return tree


@pytest.mark.parametrize(
    ("most", "beyond"),
    [
        (["x"] * (MOST_PARTS - 1), ["x"] * MOST_PARTS),
        ({f"k{at}": [] for at in range(MOST_PARTS - 1)}, {f"k{at}": [] for at in range(MOST_PARTS)}),
        (nested(DEEPEST), nested(DEEPEST + 1)),
        ("x" * LONGEST, "x" * (LONGEST + 1)),
        ({"x" * LONGEST: 1}, {"x" * (LONGEST + 1): 1}),
        (LARGEST_NUMBER, LARGEST_NUMBER + 1),
        (-LARGEST_NUMBER, -(10**4000)),
        (1.5, float("inf")),
        (True, float("nan")),
    ],
    ids=["items", "keys", "depth", "text", "key", "number", "huge number", "infinity", "not a number"],
)
def test_the_largest_is_taken_and_what_is_a_bit_larger_is_not(most: Any, beyond: Any) -> None:
    assert too_large(most) is None
    assert too_large(beyond) is not None
    assert too_large({"a": [beyond]}) is not None


@settings(max_examples=10, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
        lambda one: st.lists(one, max_size=4) | st.dictionaries(st.text(max_size=3), one, max_size=4),
    ),
    st.integers(-3, 3),
)
def test_parts_are_counted_alike_in_json_and_yaml(tree: Any, more: int) -> None:
    """The parts of a document are counted as a reader would count them, in JSON and in YAML alike."""
    rest = MOST_PARTS + more - len(parts(tree)) - 2
    whole = {"part": tree, "rest": [None] * rest}

    assert (too_large(whole) is not None) == (more > 0)
    if abs(more) == 1:
        assert (MANY in problems(json.dumps(whole))[0]) == (more > 0)


BEGUN = "format: 1\nnumber: X-1\n"
MANY = "more than 20,000 mappings, lists and values: not a policy document; make several policies of it"
DEEP = "nested more than 40 deep; give parts of it names under `conditions`"
LONG = "a text of more than 10,000 characters; cite the published text instead of copying it"
BOMBS = {
    "items": ("revisions: [" + "1," * 350_000 + "]\n", 3, MANY),
    "lines": ("revisions:\n" + "  - 1\n" * 150_000, 20_000, MANY),
    "mappings": ("rules: [" + "{}," * 300_000 + "]\n", 3, MANY),
    "deep lists": ("rules: " + "[" * 900_000 + "\n", 3, DEEP),
    "deep mappings": ("rules: " + "{a: " * 200_000 + "\n", 3, DEEP),
    "deep dashes": ("rules:\n  " + "- " * 400_000 + "x\n", 4, DEEP),
    "a deep condition": ("rules: " + "{not: " * 300 + "x" + "}" * 300 + "\n", 3, DEEP),
    "a text": ("title: " + "a" * 900_000 + "\n", 3, LONG),
    "a long number": ("format: " + "9" * 900_000 + "\n", 3, LONG),
}


@pytest.mark.parametrize(("text", "line", "message"), BOMBS.values(), ids=BOMBS)
def test_a_yaml_bomb_is_refused_where_it_goes_too_far(text: str, line: int, message: str) -> None:
    [found] = problems(BEGUN.replace("format: 1\n", "title: T\n") + text)

    assert found.startswith(f"policy.yaml:{line}:")
    assert found.endswith(message)


def test_a_file_larger_than_a_document_may_be_is_not_looked_at() -> None:
    assert problems(b"[" * (LARGEST + 1)) == ["policy.yaml: larger than 1,000,000 bytes: not a policy document"]


@pytest.mark.parametrize("written", ["9" * 300, "9" * 5000, "0x" + "f" * 9000, "1e999", "-1e400", ".inf", ".nan"])
def test_an_impossible_number_is_refused_with_its_line(written: str) -> None:
    """A number that no document may contain is refused with its line."""
    text = OTHER_FILE.read_text("utf-8").replace("format: 1", f"format: {written}", 1)

    found = problems(text)

    assert len(found) == 1
    assert found[0].startswith("policy.yaml:")


def test_aliases_are_refused_before_they_are_followed() -> None:
    text = BEGUN + "a: &a [x, x]\n" + "".join(f"b{at}: [*a, *a]\n" for at in range(100))

    [found] = problems(text)

    assert "anchors (&) and aliases (*) have no place here" in found


def test_of_many_mistakes_the_first_are_told() -> None:
    tree = plain(OTHER_FILE.read_text("utf-8"))
    tree["revisions"] = [1] * 400
    shapes = problems(json.dumps(tree))
    wrong = document(["a"], is_("a"), indications=[_indication(at) for at in range(400)])

    assert len(shapes) == len(check(wrong)) == MOST_PROBLEMS


def _indication(at: int) -> dict[str, Any]:
    return {"id": f"i{at}", "says": "No.", "statement": "none", "since": "2020-01-01", "when": is_("b")}


LISTS = {
    "facts": 500,
    "conditions": 1_000,
    "editions": 200,
    "statements": 500,
    "indications": 500,
    "rules": 500,
    "exceptions": 100,
    "clocks": 100,
    "clock_for": 100,
    "validity": 100,
    "adverse_review": 100,
    "revisions": 500,
}


@pytest.mark.parametrize(("name", "most"), LISTS.items(), ids=LISTS)
def test_a_list_that_multiplies_has_its_own_limit(name: str, most: int) -> None:
    """A list that others are multiplied with has a limit of its own."""
    tree = plain(PACKAGED_FILE.read_text("utf-8"))
    tree[name] = [min(tree[name], key=lambda one: len(parts(one)))] * (most + 1)

    with pytest.raises(PolicyDocumentError, match=f"{name}: .*at most {most:,} "):
        parse(json.dumps(tree).encode(), "policy.yaml")


def test_a_document_as_large_as_one_may_be_is_checked_whole() -> None:
    tree = plain(OTHER_FILE.read_text("utf-8"))
    [system] = [one for one in tree["codes"]["systems"] if one["system"] == "ev-local"]
    room = (MOST_PARTS - len(parts(tree))) // 3
    tree["codes"]["listed"] += [{"system": system["system"], "code": f"Z.{at}"} for at in range(room)]

    made = parse(json.dumps(tree).encode(), "policy.yaml")

    assert len(made.codes.listed) > room
    assert PolicyDocument.model_validate_json(made.canonical(), strict=True).canonical() == made.canonical()
