"""The FHIR Questionnaire of a policy: one question for each of its facts."""

from typing import Any

from events.adapters.pas.questionnaire import Question, questionnaire
from policy_core.document.models import FactDeclaration, PolicyDocument

BASE = "https://dli-authorization.example/Questionnaire/"
"""Before the policy's number, unless another URL is given."""


def questionnaire_of(document: PolicyDocument, number: str, url: str | None = None) -> dict[str, Any]:
    """The Questionnaire of a document; `url` is its canonical, as partners' configurations have it."""
    day = document.revisions[-1].date.isoformat()
    return questionnaire(number, url or BASE + number, day, document.title, questions_of(document))


def questions_of(document: PolicyDocument) -> list[Question]:
    """What is asked of each fact of a policy, in its order."""
    return [_question(fact) for fact in document.facts]


def _question(fact: FactDeclaration) -> Question:
    options = [(value, value.replace("_", " ")) for value in fact.values]
    return Question(fact.path, fact.kind.value, fact.question, options)
