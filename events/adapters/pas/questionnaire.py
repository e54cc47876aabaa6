"""Writes our questionnaire: an R4 Questionnaire that asks for facts, each under its path as link id.

`clinical_answers` reads its answers. This module knows nothing of policies: who calls it says what is asked.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

Kind = Literal["choice", "boolean", "date", "set", "number", "list"]


class Question(NamedTuple):
    """What is asked of one fact."""

    path: str
    """The link id, `clinical.transplant.type`."""
    kind: Kind
    text: str
    options: Sequence[tuple[str, str]] = ()
    """The values of a `choice` or a `set`, each with its text."""


def questionnaire(name: str, url: str, version: str, title: str, questions: Sequence[Question]) -> dict[str, Any]:
    """The Questionnaire.

    Args:
        name: Identifies it beside others: the policy's number.
        url: The canonical, by which answers name it.
        version: Behind `|` in the canonical: the day of the policy's revision.
        title: For people.
        questions: In the order in which they are asked.
    """
    return {
        "resourceType": "Questionnaire",
        "id": "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name)[:64],
        "url": url,
        "version": version,
        "name": "Q_" + "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name),
        "title": title,
        "status": "active",
        "subjectType": ["Patient"],
        "date": version,
        "item": [_item(question, f"{url}/codes") for question in questions],
    }


_TYPES: Mapping[Kind, str] = {"set": "choice", "number": "decimal", "list": "text"}
"""The items of FHIR whose name is not the kind's; a list is answered in words, for the reviewer."""


def _item(question: Question, system: str) -> dict[str, Any]:
    is_listed = question.kind in ("choice", "set")
    item: dict[str, Any] = {
        "linkId": question.path,
        "text": question.text,
        "type": _TYPES.get(question.kind, question.kind),
        "required": False,
    }
    if question.kind == "set":
        item["repeats"] = True
    if is_listed:
        item["answerOption"] = [
            {"valueCoding": {"system": system, "code": code, "display": text}} for code, text in question.options
        ]
    return item
