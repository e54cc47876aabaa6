"""Words of other rule languages: each is told what to write here, at its place."""

import re

import pytest

from policy_core.document.models import PolicyDocument
from policy_core.loading.other_languages import SENTENCES, instead, instead_of
from tests.support.cases import OTHER_FILE, problems

OTHER = OTHER_FILE.read_text("utf-8")
WHEN = "when: {fact: clinical.monitor, is: professional}"
LINE = OTHER[: OTHER.index(WHEN)].count("\n") + 1
WRITTEN = re.compile(r"`\{(\w+): ")
LANGUAGE = {
    *("fact", "line", "request", "count", "at_least", "days_between", "years_between"),
    *("all", "any", "not", "condition"),
}
"""The first words of conditions that a sentence may tell an author to write."""


@pytest.mark.parametrize("word", SENTENCES)
def test_a_word_in_a_condition_is_told_what_to_write(word: str) -> None:
    """Alone, where no shape of a condition stands, and beside one."""
    alone = problems(OTHER.replace(WHEN, f'when: {{fact: clinical.monitor, "{word}": professional}}', 1))
    beside = problems(OTHER.replace(WHEN, f'when: {{fact: clinical.monitor, is: professional, "{word}": 1}}', 1))

    told = f"`{word}` cannot be written here; {SENTENCES[word]}"
    assert alone == [f"policy.yaml:{LINE}: rules.0.when: {told}"]
    assert beside == [f"policy.yaml:{LINE}: rules.0.when.{word}: {told}"]


@pytest.mark.parametrize("word", ["if", "score", "priority", "hit-policy"])
def test_a_word_in_a_rule_is_told_what_to_write(word: str) -> None:
    [told] = problems(OTHER.replace(WHEN, f"{WHEN}\n    {word}: 1", 1))

    assert told == f"policy.yaml:{LINE + 1}: rules.0.{word}: {instead(word)}"


@pytest.mark.parametrize("name", ["tests", "inputs", "imports"])
def test_a_word_at_the_top_is_told_what_to_write(name: str) -> None:
    [told] = problems(f"{OTHER}{name}: []\n")

    assert told.endswith(f": {name}: {instead(name)}")


@pytest.mark.parametrize(
    "text",
    ["clinical.age >= 65", "a and b", "exists(x)", "monitor = 1 or monitor == 2", "x in [1, 2]", "!a || b"],
)
def test_an_expression_is_told_to_be_data(text: str) -> None:
    [told] = problems(OTHER.replace(WHEN, f'when: "{text}"', 1))

    assert told.startswith(f"policy.yaml:{LINE}: rules.0.when: expressions are not read; write the condition as data")


@pytest.mark.parametrize("value", ["professional", "type_1", ["a"], 3, None, {}, {"fact": "clinical.monitor"}])
def test_what_is_of_no_other_language_has_no_sentence(value: object) -> None:
    assert instead_of(value) is None


def test_no_word_is_a_field_of_the_format() -> None:
    """A field in a wrong place has a message of its own."""
    schema = PolicyDocument.model_json_schema(by_alias=True)
    fields = {name for part in (schema, *schema["$defs"].values()) for name in part.get("properties", {})}

    assert fields & set(SENTENCES) == set()


def test_a_sentence_tells_only_of_what_the_language_has() -> None:
    told = {word for sentence in SENTENCES.values() for word in WRITTEN.findall(sentence)}

    assert told != set()
    assert told <= LANGUAGE


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{fact: clinical.monitor, >=: 3}", "not YAML: a text cannot begin with `>`; a limit is written `at_least: …`"),
        ("\n      >=: 3", "not YAML: `>` and `|` begin a text of several lines; a limit is written `at_least: …`"),
        ("{fact: clinical.monitor, !=: 3}", "tags (!) have no place here; write the plain value, or put the text in"),
    ],
)
def test_what_yaml_does_not_read_is_told_too(written: str, message: str) -> None:
    [told] = problems(OTHER.replace(WHEN, f"when: {written}", 1))

    line = LINE + written.count("\n")
    assert told.startswith(f"policy.yaml:{line}: {message}")
