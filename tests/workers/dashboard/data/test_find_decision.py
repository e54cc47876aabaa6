"""A decision that is found is shown with the words of its document, or without them if the document is not known."""

import json
from types import SimpleNamespace
from typing import Any

from events.decision import PolicyDocumentReference
from policy_core.document.models import PolicyDocument
from tests.support.every_decision import EXAMPLES
from tests.support.packaged import packaged_library
from workers.configuration.settings import read
from workers.dashboard.data import find_decision
from workers.dashboard.data.consumer import Reader
from workers.dashboard.data.find_decision import Found

NUMBER = "L.2.03.402"


def decided(name: str) -> Any:
    """The record of an example."""
    value = (EXAMPLES / "authorization.decided.v1" / "valid" / f"{name}.json").read_bytes()
    return SimpleNamespace(topic="authorization.decisions", partition=1, offset=2, timestamp=0, value=value)


def texts(found: Found, title: str) -> list[str]:
    return [right for section in found.sections if section.title == title for _, right in section.rows]


def test_a_reader_knows_the_documents_of_every_revision() -> None:
    reader, library = Reader(read()), packaged_library()

    for one in library.chain(NUMBER):
        named = PolicyDocumentReference(number=NUMBER, sha256=one.sha256, known_through=one.digest)
        assert reader.document(named) == one.document
    unknown = PolicyDocumentReference(number=NUMBER, sha256="0" * 64, known_through="0" * 64)
    other = named.model_copy(update={"number": "EV-12"})
    assert (reader.document(unknown), reader.document(other)) == (None, None)


def test_a_decision_is_shown_with_the_words_of_its_document() -> None:
    found = find_decision.found(decided("everything-stated"), Reader(read()).document)

    assert all(text.startswith("sha256 ") for text in texts(found, "Sentences of the published text it rests on"))
    assert [text for text in texts(found, "Why, statement by statement") if text.startswith("see ")] == []


def test_a_decision_is_shown_without_its_document() -> None:
    asked: list[PolicyDocumentReference] = []

    def nothing(named: PolicyDocumentReference) -> PolicyDocument | None:
        asked.append(named)
        return None

    record = decided("everything-stated")
    found = find_decision.found(record, nothing)

    data = json.loads(record.value)["data"]
    assert [named.model_dump() for named in asked] == data["policies"]
    assert set(texts(found, "Sentences of the published text it rests on")) == {"the policy document has its digest"}
    assert [text for text in texts(found, "Why, statement by statement") if text.startswith("see ")]
    assert texts(found, "Under which version")[-1] == data["decision_id"]
