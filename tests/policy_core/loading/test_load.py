"""Files that are no documents, and whatever bytes: a document or problems, never anything else."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policy_core.determinations import Determination
from policy_core.document.models import PolicyDocument
from policy_core.document.problems import PolicyDocumentError, did_you_mean
from policy_core.evaluate.determine import Policy
from policy_core.history.library import PACKAGED
from policy_core.loading.load import load, parse
from policy_core.loading.size_limit import LARGEST
from tests.support.cases import (
    COVERED,
    OTHER_FILE,
    PACKAGED_FILE,
    case,
    first_line,
    other,
    packaged,
    problems,
)
from tests.support.documents import at, every_path, plain

REAL = PACKAGED_FILE.read_text("utf-8")
OTHER = OTHER_FILE.read_text("utf-8")
SCHEMA = json.loads((PACKAGED.parent / "policy.schema.json").read_text("utf-8"))


def edited(old: str, new: str, text: str = REAL) -> str:
    assert old in text, f"the document no longer has {old!r}"
    return text.replace(old, new, 1)


def line_of(marker: str, text: str) -> int:
    """The number of the one line that has `marker`."""
    (found,) = [number for number, line in enumerate(text.splitlines(), start=1) if marker in line]
    return found


# --- files that are no documents -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "policy.yaml: not a mapping; a document begins with `format: 1`"),
        (b"- format: 1\n", "policy.yaml: not a mapping; a document begins with `format: 1`"),
        (b"a policy in prose\n", "policy.yaml: not a mapping; a document begins with `format: 1`"),
        (b"format: 1\nnumber: [\n", "policy.yaml:3: not YAML: nothing stands where a value belongs"),
        (b"format: 1\nnumber: \xe9\n", "policy.yaml: not UTF-8 at byte 18"),
        (b"a: " + b"[" * 1000, "policy.yaml:1: nested more than 40 deep"),
        (b" " * (LARGEST + 1), "policy.yaml: larger than 1,000,000 bytes: not a policy document"),
        (b"format: 1\nformat: 1\n", "policy.yaml:2: not YAML: the key `format` stands twice; write it once"),
        (b"format: 1\n---\nformat: 1\n", "policy.yaml:2: not YAML: a second document begins"),
        (b"format: 1\nnumber: !secret X\n", "policy.yaml:2: tags (!) have no place here"),
        (b"format: 1\nnumber: &one X\n", "policy.yaml:2: anchors (&) and aliases (*) have no place here"),
        (b"format: 1\nnumber: *one\n", "policy.yaml:2: anchors (&) and aliases (*) have no place here"),
    ],
    ids=lambda value: value[:20].decode("utf-8", "replace") if isinstance(value, bytes) else None,
)
def test_a_file_that_is_no_document_is_refused(raw: bytes, expected: str) -> None:
    (found,) = problems(raw)

    assert found.startswith(expected)


def test_a_deep_duplicate_key_is_reported_with_its_line() -> None:
    """A key that occurs twice deep in a document is reported with its line."""
    text = edited("    kind: date\n", "    kind: date\n    kind: choice\n")

    (found,) = problems(text)

    line = line_of("    kind: date", text) + 1
    assert found == f"policy.yaml:{line}: not YAML: the key `kind` stands twice; write it once"


def test_yes_and_no_are_words() -> None:
    text = edited("title: Continuous glucose monitors", "title: no", OTHER)

    assert parse(text.encode(), "policy.yaml").title == "no"


def test_a_document_may_be_json_with_a_byte_order_mark(tmp_path: Path) -> None:
    """A document may be written as JSON and with a byte order mark."""
    file = tmp_path / "policy.yaml"
    file.write_text("\ufeff" + json.dumps(plain(OTHER)), "utf-8")

    assert other().document == load(file)


def test_a_file_that_is_not_there_is_refused_as_a_document_is(tmp_path: Path) -> None:
    with pytest.raises(PolicyDocumentError, match="cannot be read: No such file or directory"):
        load(tmp_path / "policy.yaml")


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("relapsd", ["relapsed", "remission"], "did you mean `relapsed`?"),
        ("x", ["relapsed", "remission"], "known: relapsed, remission"),
        ("x", [], "none is declared"),
    ],
)
def test_a_hint_is_the_closest_word_or_all_of_them(word: str, known: list[str], expected: str) -> None:
    assert expected == did_you_mean(word, known)


# --- whatever the bytes ----------------------------------------------------------------------------


def document_or_problems(raw: bytes) -> PolicyDocument | list[str]:
    """The only two things that may come of any bytes; another exception fails the test."""
    try:
        return parse(raw, "fuzz.yaml")
    except PolicyDocumentError as error:
        return str(error).splitlines()


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_random_bytes_give_a_problem_and_no_other_exception(raw: bytes) -> None:
    found = document_or_problems(raw)

    assert isinstance(found, list)
    assert found[0].startswith("fuzz.yaml")


TOKENS = (
    *("{", "}", "[", "]", ":", ",", "- ", "\n", "  ", "#", "'", '"', "|", ">", "? ", "&a ", "*a", "!a ", "<<: ", "="),
    *("null", "true", "0", "-1", "1.5", ".nan", ".inf", "1e9", "2016-03-08", "2016-02-30", "\x00", "\u2028", "\ufeff"),
    *("is", "in", "not", "all: []", "{}", "[]", "policy_not_on_record", "clinical", "9" * 5000),
)


@pytest.mark.parametrize("key", ["{a: [b]}", "{a: {}}", "[a, {b: [c]}]", "[]", "{}", "[a]"])
@pytest.mark.parametrize("form", ["format: 1\n? {key}\n: d\n", "format: 1\nfacts:\n  - {key}: d\n"])
def test_a_list_or_mapping_as_a_name_is_a_problem(key: str, form: str) -> None:
    found = document_or_problems(form.replace("{key}", key).encode())

    assert isinstance(found, list)
    assert "no name" in "".join(found)


@st.composite
def mutated(draw: st.DrawFn, text: str, most: int) -> bytes:
    """The text with a few pieces replaced, repeated or removed."""
    for _ in range(draw(st.integers(1, most))):
        at = draw(st.integers(0, len(text)))
        end = min(len(text), at + draw(st.sampled_from([0, 0, 1, 4, 30, 400])))
        piece = draw(st.sampled_from(TOKENS) | st.just(text[at:end] * 2))
        text = text[:at] + piece + text[end:]
    return text.encode("utf-8", "surrogatepass")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated(OTHER, 4))
def test_a_mutated_document_gives_a_document_or_problems(raw: bytes) -> None:
    assert document_or_problems(raw)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated(REAL, 2))
def test_a_mutated_packaged_document_loads_or_has_problems(raw: bytes) -> None:
    """The packaged document, mutated, gives a document or problems."""
    assert document_or_problems(raw)


NODES: list[Any] = [None, True, 0, 1.5, "", "x", [], {}, ["x"], {"x": "x"}, {"fact": "x", "is": []}, {"not": {}}]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_replaced_part_gives_a_document_or_problems(data: st.DataObject) -> None:
    """A document with any part replaced gives a document or problems."""
    tree = plain(OTHER)
    *above, last = data.draw(st.sampled_from(list(every_path(tree))))
    at(tree, tuple(above))[last] = data.draw(st.sampled_from(NODES))

    assert document_or_problems(json.dumps(tree).encode())


# --- presumptions ----------------------------------------------------------------------------------


def test_a_fact_is_asked_for_once_its_presumption_is_off() -> None:
    """A presumption that the document turns off no longer answers its fact, which is then asked for."""
    text = edited("    presumed:\n      value: true\n", "    presumed:\n      enabled: false\n      value: true\n")
    turned_off = Policy(parse(text.encode(), "policy.yaml"))

    asked = first_line(case(clinical=COVERED), turned_off).answer

    assert first_line(case(clinical=COVERED)).answer.determination is Determination.MEDICALLY_NECESSARY
    assert asked.determination is Determination.INFORMATION_NEEDED
    assert [one.path for one in asked.missing] == ["clinical.infusion.donor_is_transplant_donor"]
    assert turned_off.sha256 != packaged().sha256
