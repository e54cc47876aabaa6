"""Explain mistakes in a document's file: what is written there, and what to write instead.

YAML's parser and the models report mistakes in their own terms. Analysts know neither, so each kind of mistake has a
sentence here.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from policy_core.document.conditions import DATE_END, QUANTITY, TESTED
from policy_core.document.part import (
    CODE,
    CODE_AND_SYSTEM,
    CODES,
    DIGEST,
    FACT_PATH,
    IDENTIFIER,
    STATE,
    TIME_ZONE,
    UNIT,
    WORD,
)
from policy_core.document.problems import did_you_mean
from policy_core.loading.other_languages import instead, instead_of

_MOST_SHOWN = 60
"""Maximum length of quoted text."""


class Written(NamedTuple):
    """A refused value: its field, its value, and its text in the file."""

    field: str
    value: Any
    text: str

    @property
    def shown(self) -> str:
        """The text in backquotes, shortened to fit in a sentence."""
        short = self.text if len(self.text) <= _MOST_SHOWN else self.text[:_MOST_SHOWN] + "…"
        return f"`{short}`"


# --- what the models refuse ----------------------------------------------------------------------------------------

_FORMS = {
    IDENTIFIER: "is not a name; write letters, digits, dots, hyphens and underscores, for instance `first-criterion`",
    WORD: "is not a word of the policy; write lower-case letters, digits and underscores, for instance `no_training`",
    CODE: "is not a code; write its capital letters, digits and dots, for instance `E11.9`",
    CODES: "is neither a code nor a range of codes; write `E11.9`, or `C81-C96` without spaces",
    CODE_AND_SYSTEM: "is not a system and a code; write both with one space between them, for instance `hcpcs A1234`",
    DIGEST: "is not the SHA-256 of a sentence: 64 digits of 0-9 and a-f; `dli policy verify-source` prints it",
    STATE: "is not a state; write its two capital letters, for instance `MS`",
    UNIT: "is not a unit; write it as UCUM does, for instance `kg/m2`",
    QUANTITY: "is not a number; write a whole one, `35`, or a decimal in quotes, of at most 15 digits on each side",
    DATE_END: "is not a day; write `service_date`, `submitted_on`, `birth_date`, or the path of a fact that is a date",
    TESTED: "is not a value; write a word, or a code behind its system, for instance `hcpcs A1234`",
    TIME_ZONE: "is not the name of a time zone; write one of IANA's, for instance `America/Chicago`",
}
_CALENDAR = re.compile(r"\d{4}-\d{2}-\d{2}")
_REFUSALS = {"denied", "deny", "denial", "refused", "rejected", "not_covered", "noncovered"}
_APPROVALS = {"approved", "approve", "approval", "certified", "covered", "authorized", "allowed"}


def _form(wrong: Written, context: dict[str, Any]) -> str:
    pattern = context["pattern"]
    if pattern == FACT_PATH:
        return f"{wrong.shown} is not the path of a fact; {_path_hint(wrong.text)}"
    return f"{wrong.shown} {_FORMS[pattern]}"


def _path_hint(text: str) -> str:
    words = [re.sub(r"[^a-z0-9]+", "_", word.lower()).strip("_") for word in text.split(".")]
    likely = ".".join(["clinical", *(word for word in words if word and word != "clinical")])
    if re.fullmatch(FACT_PATH, likely) and len(likely) <= _MOST_SHOWN:
        return f"write `{likely}`"
    example = "for instance `clinical.disease.type`"
    return f"it begins with `clinical.`, or `line.` if each line has its own, and goes on in lower case, {example}"


def _choice(wrong: Written, context: dict[str, Any]) -> str:
    known = re.findall(r"'([^']*)'", context["expected"]) or [context["expected"]]
    if known == ["True"]:
        return "only `otherwise: true` can be written; for the opposite, leave the rule out"
    if len(known) == 1:
        return f"{wrong.shown} cannot be written here; write `{wrong.field}: {known[0]}`, without quotes"
    word = wrong.text.lower().replace(" ", "_").replace("-", "_")
    if wrong.field == "determination" and word in _REFUSALS and "criteria_not_met" in known:
        return (
            f"{wrong.shown} cannot be written: no document refuses care; write `criteria_not_met` or "
            "`investigational`, and a physician decides"
        )
    if wrong.field == "determination" and word in _APPROVALS and "medically_necessary" in known:
        return f"{wrong.shown} is not a determination; did you mean `medically_necessary`?"
    hint = did_you_mean(wrong.text, known)
    listing = "" if hint.startswith("known") else f" Known: {', '.join(known)}"
    return f"{wrong.shown} cannot be written here; {hint}{listing}"


def _day(wrong: Written, context: dict[str, Any]) -> str:  # noqa: ARG001 (all kinds have the same signature)
    if _CALENDAR.fullmatch(wrong.text):
        return f"{wrong.shown} is not in the calendar; write a year, a month of 01 to 12 and a day that this month has"
    return f"{wrong.shown} is not a day; write it as year-month-day, for instance `2025-03-28`"


def _at_least(wrong: Written, context: dict[str, Any]) -> str:
    return f"{wrong.shown} is too small; write {context['ge']:,} or more"


def _at_most(wrong: Written, context: dict[str, Any]) -> str:
    return f"{wrong.shown} is too large; write {context['le']:,} or less"


def _too_few(wrong: Written, context: dict[str, Any]) -> str:  # noqa: ARG001
    return f"empty; write at least one, or leave `{wrong.field}` out where it is not required"


def _too_many(wrong: Written, context: dict[str, Any]) -> str:  # noqa: ARG001
    return f"too many; at most {context['max_length']:,} can be written"


def _too_long(wrong: Written, context: dict[str, Any]) -> str:
    return f"{wrong.shown} is too long; write at most {context['max_length']:,} characters"


def _own(wrong: Written, context: dict[str, Any]) -> str:  # noqa: ARG001
    return str(context["error"])


def _says(sentence: str) -> Callable[[Written, dict[str, Any]], str]:
    return lambda wrong, context: sentence.format(field=wrong.field, shown=wrong.shown)  # noqa: ARG005


_SENTENCES: dict[str, Callable[[Written, dict[str, Any]], str]] = {
    "missing": _says("missing; write `{field}: …`"),
    "value_error": _own,
    "string_pattern_mismatch": _form,
    "literal_error": _choice,
    "enum": _choice,
    "date_from_datetime_parsing": _day,
    "date_parsing": _day,
    "date_type": _day,
    "date_from_datetime_inexact": _day,
    "greater_than_equal": _at_least,
    "less_than_equal": _at_most,
    "too_short": _too_few,
    "too_long": _too_many,
    "string_too_short": _says("empty; write a text"),
    "string_too_long": _too_long,
    "bool_type": _says("{shown} is neither true nor false; write `{field}: true` or `{field}: false`, without quotes"),
    "int_type": _says("{shown} is not a whole number; write digits without quotes"),
    "int_from_float": _says("{shown} is not a whole number; write digits without a point"),
    "tuple_type": _says("{shown} is not a list; write `{field}: […]`, or one `- …` a line below it"),
    "model_type": _says("{shown} is not a mapping; write `key: value` lines below `{field}:`"),
    "model_attributes_type": _says("{shown} is not a mapping; write `key: value` lines below `{field}:`"),
}
_NOT_TEXT = {
    bool: "true and false are no text",
    int: "a number where text belongs",
    float: "a number where text belongs",
}


def sentence(kind: str, own_message: str, context: dict[str, Any], wrong: Written, fields: Sequence[str]) -> str:
    """Explain a mistake found by a model to the author.

    Args:
        kind: Pydantic's type of the error.
        own_message: Pydantic's message, used for errors that the models raise themselves.
        context: Pydantic's context of the error.
        wrong: The field and its value.
        fields: All field names in the format.
    """
    if kind == "extra_forbidden":
        return _unknown(wrong.field, fields)
    if kind == "condition_shape":
        return instead_of(wrong.value) or own_message
    if kind == "string_type":
        return _no_text(wrong)
    return _SENTENCES[kind](wrong, context) if kind in _SENTENCES else own_message


def _unknown(name: str, fields: Sequence[str]) -> str:
    if name in fields:
        return f"unknown field; `{name}` is a field of other parts and cannot stand here; remove it"
    return instead(name) or f"unknown field; {did_you_mean(name, fields)}"


def _no_text(wrong: Written) -> str:
    if wrong.value is None:
        return f"empty; write `{wrong.field}: …`"
    if isinstance(wrong.value, list | dict):
        return f"{wrong.shown} is not a text; write it in one line, or in quotes"
    return f'{_NOT_TEXT[type(wrong.value)]}; write it in quotes: "{wrong.text}"'


# --- what YAML refuses ---------------------------------------------------------------------------------------------

_QUOTES = "put the whole text in quotes"
_LIMIT = f"a limit is written `at_least: …` or `below: …`; of a text, {_QUOTES}"
_SYNTAX: tuple[tuple[str, str], ...] = (
    (
        "mapping values are not allowed here",
        f"a second colon in one text, or a line indented too far; {_QUOTES}, or indent it less",
    ),
    ("character '\\t'", "a tab; indent with spaces"),
    ("expected the node content", "nothing stands where a value belongs; a bracket may be open, or a comma too many"),
    ("character '>' that cannot start", f"a text cannot begin with `>`; {_LIMIT}"),
    ("expected chomping or indentation indicators", f"`>` and `|` begin a text of several lines; {_LIMIT}"),
    ("cannot start any token", f"a text cannot begin with this character; {_QUOTES}"),
    ("expected <block end>, but found '-'", "a list begins where none can; check the indentation of this line"),
    ("expected <block end>", f"what stands here does not fit what is before it; {_QUOTES}, or mend the indentation"),
    (
        "could not find expected ':'",
        "a line that is neither `key: value` nor `- …`; mend its indentation, or write the key",
    ),
    ("found another document", "a second document begins; a file has one, so remove `---`"),
    ("special characters are not allowed", "a control character; remove it"),
    ("found unknown escape character", "a backslash in double quotes; use single quotes"),
)
_OPENED: tuple[tuple[str, str], ...] = (
    ("found unexpected end of stream", "the quotation mark that opens here is never closed"),
    ("expected ',' or ']'", "the bracket `[` that opens here is not closed, or a comma is missing in it"),
    ("expected ',' or '}'", "the brace `{` that opens here is not closed, or a comma is missing in it"),
    ("did not find expected ',' or '}'", "the brace `{` that opens here is not closed, or a comma is missing in it"),
)


_TWICE = re.compile(r'found duplicate key "?([^"\n]{1,60})')


class SyntaxMistake(NamedTuple):
    """A YAML syntax error: its message, and whether to report the line where the construct begins."""

    message: str
    at_beginning: bool


def syntax(problem: str) -> SyntaxMistake:
    """Explain a syntax error; `problem` is the YAML parser's message."""
    if twice := _TWICE.match(problem):
        return SyntaxMistake(f"not YAML: the key `{twice[1]}` stands twice; write it once", False)
    for part, message in _OPENED:
        if part in problem:
            return SyntaxMistake(f"not YAML: {message}", True)
    for part, message in _SYNTAX:
        if part in problem:
            return SyntaxMistake(f"not YAML: {message}", False)
    return SyntaxMistake(f"not YAML: {problem}", False)
