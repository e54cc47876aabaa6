"""Constructs of other rule languages: what to write here instead, or why there is nothing.

Authors bring the words of DMN and FEEL, CQL, JSON Logic, JSON Schema, MongoDB and rule engines. Each has a sentence
here, which replaces "unknown field" wherever such a word stands.
"""

import re
from collections.abc import Mapping
from typing import Any

_LOWER = "write `at_least: …`, which includes the value, or `above: …`, which does not"
_UPPER = "write `below: …`, which excludes the value, or `at_most: …`, which does not"
_BRANCHES = "rules are the only branches: write one for each case, in order; the first whose `when` holds decides"
_CALCULATED = "nothing is calculated, so that every case can be proved; ask for the result as a fact of its own"
_TEXTS = (
    "texts are not compared; declare a `choice` of the values that matter, or derive a fact from codes by `derived`"
)
_MISSING = (
    "no condition asks whether a fact is known: one that is missing is never false, and is asked for where it matters; "
    "leave this out"
)
_ENTRIES = "write `{count: …, where: …, at_least: 1}`"
_EXPRESSIONS = "expressions are not read; write the condition as data, for instance `{fact: …, is: …}`"
_TIME = "write `{days_between: [A, B], at_least: …, below: …}`, in days, or with `months_between` or `years_between`"

_TOLD: tuple[tuple[str, str], ...] = (
    ("== = eq equal equals equal_to is_equal", "write `{fact: …, is: …}`"),
    ("!= <> ne neq not_equal not_equals is_not", "write `{not: {fact: …, is: …}}`"),
    (">= > gte gt ge greater greater_than greater_or_equal more_than over exceeds exclusiveMinimum", _LOWER),
    ("min minimum", f"{_LOWER}; the least of several values is not calculated"),
    ("<= < lte lt le less less_than less_or_equal up_to under exclusiveMaximum", _UPPER),
    ("max maximum", f"{_UPPER}; the greatest of several values is not calculated"),
    ("between range interval", "write both ends, `{fact: …, at_least: …, below: …}`, or with `above` and `at_most`"),
    ("and && all_of allOf every_of conjunction", "write `{all: […]}`"),
    ("or || any_of anyOf disjunction", "write `{any: […]}`"),
    ("none none_of noneOf nor", "write `{not: {any: […]}}`"),
    ("unless except negate", "write `{not: …}`"),
    ("xor oneOf exactly", "write `{all: [{at_least: 1, of: […]}, {not: {at_least: 2, of: […]}}]}`"),
    ("one_of in_list enum", "write `{fact: …, in: […]}`"),
    ("contains has includes_any intersects", "write `{fact: …, includes: …}` for each value of a set, under `any`"),
    ("contains_all includes_all superset_of", "write `{fact: …, includes: …}` for each value of a set, under `all`"),
    ("exists is_null is_known is_missing present defined null unknown", _MISSING),
    ("matches match regex regexp pattern like starts_with ilike glob", _TEXTS),
    ("sum add plus subtract minus multiply divide average avg mean median total", _CALCULATED),
    ("+ - * / % formula compute calculate", _CALCULATED),
    (
        "score scores weight weights points threshold",
        "there are no scores; write how many must hold, `{at_least: 2, of: […]}`, or the combinations that suffice",
    ),
    ("some for_each foreach any_entry", _ENTRIES),
    (
        "every for_all forall",
        "write `{not: {count: …, where: {not: …}, at_least: 1}}`: no entry of which it does not hold",
    ),
    ("size cardinality length_of", "write `{count: …, at_least: …}`"),
    ("if then else elif else_if switch", _BRANCHES),
    ("default always", "write a last rule with `when: {otherwise: true}`"),
    ("priority salience hit_policy hitPolicy", "rules decide in their order; move the rule up or down"),
    ("expression expr script function cql feel jsonlogic logic", _EXPRESSIONS),
    (
        "operator op operands args",
        "the test is the key: write `{fact: …, is: …}`, or one of `in`, `includes`, `at_least` and `below`",
    ),
    ("age older_than younger_than", "write `{years_between: [birth_date, service_date], at_least: …}`, or `below`"),
    ("today now current_date", "there is no clock: write `service_date` or `submitted_on` in `days_between`"),
    ("within within_days before after days_since days_ago during", _TIME),
    ("$ref ref use import imports extends", "a document stands alone; name a condition, and write `{condition: …}`"),
    (
        "var variable let define definition",
        "write a named condition under `conditions`, and `{condition: …}` where it holds",
    ),
    ("inputs variables parameters data", "what can be known of a case is declared under `facts`"),
    ("tests test cases scenarios", "write `examples`: requests, each with the determination that must come"),
    ("decision_table table lookup", _BRANCHES),
)
SENTENCES: Mapping[str, str] = {word: told for words, told in _TOLD for word in words.split()}
"""For each word, what to write here."""

_EXPRESSION = re.compile(r"[<>=!]=|[<>]|&&|\|\||\b(and|or|AND|OR|in|IN)\b.*\w|\w\(")


def instead(name: str) -> str | None:
    """What to write instead of a field of another language; None if the name belongs to none."""
    told = SENTENCES.get(name) or SENTENCES.get(re.sub(r"[ -]+", "_", name.strip().lower()))
    return f"`{name}` cannot be written here; {told}" if told is not None else None


def instead_of(value: Any) -> str | None:
    """What to write instead of a condition in another language; None if it looks like none."""
    if isinstance(value, dict):
        return next((told for name in value if (told := instead(str(name))) is not None), None)
    return _EXPRESSIONS if isinstance(value, str) and _EXPRESSION.search(value) else None
