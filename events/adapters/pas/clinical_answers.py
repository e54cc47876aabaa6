"""Reads our questionnaire's answers: what a fact's link id is answered with becomes that fact, and nothing else does.

A QuestionnaireResponse counts if it names our questionnaire, of any version, and speaks for this Claim: the Claim's
supporting information refers to it, or to a Bundle that has it, or no Claim does. What cannot be read is noted, and
never guessed.
"""

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from events.adapters.partner import Partner
from events.adapters.pas.bundle import Found, Tree, extension, obj, objects, text
from events.adapters.pas.reading import Message, Wrong

SETS: Final = frozenset({"clinical.purposes"})
"""Facts with any number of values: a list, even of one."""
PERFORMED_ON: Final = re.compile(r"service_lines\.([1-9]\d{0,9})\.performed_on", re.ASCII)
"""The link id of on whom a line is performed, with the line's number."""
_FACT = re.compile(r"(?=.{1,256}$)clinical(?:\.[a-z][a-z0-9_]*){1,8}", re.ASCII)
_LEFT_OUT_STATUS = ("entered-in-error", "stopped")
_MOST_ANSWERS = 1_000


class Answers(NamedTuple):
    """What the questionnaires of a message state."""

    clinical: dict[str, Any]
    performed_on: dict[int, Any]
    """By line."""
    wrong: dict[str, Wrong]
    notes: list[str]


class _Answer(NamedTuple):
    link_id: str
    place: str
    values: list[Any]


def answers(message: Message, partner: Partner) -> Answers:
    """Every fact that is stated."""
    read = Answers({}, {}, {}, [])
    seen: dict[str, Any] = {}
    for found in _for_this_claim(message):
        if partner.questionnaire is None:
            read.notes.append(f"{found.place}: the partner's file names no questionnaire; left out")
        elif text(found.resource.get("questionnaire")).partition("|")[0] != partner.questionnaire:
            read.notes.append(f"{found.place}: answers to another questionnaire; left out")
        elif text(found.resource.get("status")) in _LEFT_OUT_STATUS or _is_of_another(message, found):
            read.notes.append(f"{found.place}: answers of another person, or taken back; left out")
        else:
            for answer in _answered(found.resource, found.place, read.notes):
                _take(answer, seen, read)
    return read


def _for_this_claim(message: Message) -> list[Found]:
    named = list(_named(message, message.claim))
    elsewhere = {
        id(found.resource)
        for claim in message.bundle.all("Claim")
        if claim.resource is not message.claim.resource
        for found in _named(message, claim)
    }
    loose = [one for one in message.bundle.all("QuestionnaireResponse") if id(one.resource) not in elsewhere]
    return list({id(one.resource): one for one in (*named, *loose)}.values())


def _named(message: Message, claim: Found) -> Iterator[Found]:
    """The responses to which a Claim's supporting information refers, unless it takes them back."""
    for info in objects(claim.resource.get("supportingInfo")):
        found = message.bundle.resolve(info.get("valueReference"), claim)
        if found is None or (claim is message.claim and _is_taken_back(info)):
            continue
        if found.type == "QuestionnaireResponse":
            yield found
        elif found.type == "Bundle":
            inside = f"{found.place}.entry["
            yield from (one for one in message.bundle.all("QuestionnaireResponse") if one.place.startswith(inside))


def _is_taken_back(info: Tree) -> bool:
    flag = extension(info, "modifierextension-infoCancelled", "extension-infoCancelled")
    return flag is not None and flag.get("valueBoolean") is True


def _is_of_another(message: Message, found: Found) -> bool:
    subject = message.bundle.resolve(found.resource.get("subject"), found)
    patient = message.bundle.resolve(message.claim.resource.get("patient"), message.claim)
    return subject is not None and patient is not None and subject.resource is not patient.resource


def _answered(element: Tree, place: str, notes: list[str]) -> Iterator[_Answer]:
    given = element.get("item")
    for index, item in enumerate(given if isinstance(given, list) else ()):
        here = f"{place}.item[{index}]"
        stated = obj(item).get("answer")
        listed = stated if isinstance(stated, list) else ()
        values = []
        for at, one in enumerate(listed):
            value = _value(obj(one))
            if value is None:
                notes.append(f"{here}.answer[{at}]: no code, boolean, number or day; left out")
            else:
                values.append(value)
            yield from _answered(obj(one), f"{here}.answer[{at}]", notes)
        if values:
            yield _Answer(text(obj(item).get("linkId")), here, values)
        yield from _answered(obj(item), here, notes)


def _value(answer: Tree) -> Any:
    if isinstance(found := answer.get("valueBoolean"), bool):
        return found
    for number in (answer.get("valueDecimal"), answer.get("valueInteger")):
        if isinstance(number, int | float) and not isinstance(number, bool):
            return number
    return text(obj(answer.get("valueCoding")).get("code")) or text(answer.get("valueDate")) or None


def _take(answer: _Answer, seen: dict[str, Any], read: Answers) -> None:
    link_id, values = answer.link_id, answer.values
    value = values if link_id in SETS or len(values) > 1 else values[0]
    line = PERFORMED_ON.fullmatch(link_id)
    if (line is None and not _FACT.fullmatch(link_id)) or len(seen) >= _MOST_ANSWERS:
        read.notes.append(f"{answer.place}: its link id is no fact; left out")
    elif link_id in seen:
        if seen[link_id] != value:
            path = "service_lines" if line else link_id
            read.wrong[path] = Wrong(answer.place, "invalid", "is answered twice, and not in the same way")
    elif line is not None:
        seen[link_id] = value
        read.performed_on[int(line[1])] = value
    else:
        seen[link_id] = value
        if not _put(read.clinical, link_id.split(".")[1:], value):
            read.wrong[link_id] = Wrong(answer.place, "invalid", "is answered both as a fact and as a group of facts")


def _put(fields: dict[str, Any], names: list[str], value: Any) -> bool:
    for name in names[:-1]:
        fields = fields.setdefault(name, {})
        if not isinstance(fields, dict):
            return False
    if names[-1] in fields:
        return False
    fields[names[-1]] = value
    return True
