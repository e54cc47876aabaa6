"""A person with marked values, in every event where a person's data may stand, and where a mark shows."""

import json
from collections.abc import Iterator
from typing import Any

from tests.support.requests import request

MARK = "MARKED"
PERSON = f"{MARK}-Mathilde-Musterfrau"
NAME = "marked_mathilde_musterfrau"
"""Of a person, spelled as fields are."""
MARKS = (MARK, NAME)
KEYS = (NAME, f"_{NAME}_1955", PERSON, f"{PERSON} of Musterstadt", f"{PERSON}.{NAME}", f"19551231 {NAME}")
"""A person's name as the key of an object, in every spelling."""
LINE = {"line": 1, "system": "cpt", "code": "38242", "units": 1, "service_date": "2025-06-01"}


def events() -> Iterator[bytes]:
    """Sound events and every kind of bad one, each with marked values wherever a person's data may stand."""
    member = {"member_id": PERSON, "line_of_business": "commercial"}
    sound: dict[str, Any] = {
        "member": member,
        "prior_authorization_number": f"{MARK}-PA-1",
        "certification": "revision",
    }
    for number in range(5):
        yield request(request_id=f"{MARK}-R-{number}", **sound)
    yield request(request_id=f"{MARK}-R-0", **sound)  # the same again
    for number in range(3):  # a circle
        yield request(request_id=f"{MARK}-C-{number}", supersedes=f"{MARK}-C-{(number + 1) % 3}", **sound)
    yield request(request_id=f"{MARK}-R-1", **sound | {"urgency": "expedited"})  # another under its id
    bad: tuple[dict[str, Any], ...] = (
        {"urgency": PERSON},
        {"policy_number": PERSON},
        {"service_lines": PERSON},
        {"service_lines": [{"line": 1, "system": PERSON, "code": PERSON, "units": PERSON, "service_date": PERSON}]},
        {"diagnoses": [{"system": "icd-10-cm", "code": PERSON}], "submitted_at": PERSON},
        {PERSON: PERSON},
        {f"{PERSON} of Musterstadt": {}},
        {"clinical": {"transplant": {PERSON: PERSON, "type": PERSON}, "purposes": [PERSON]}},
        {"member": {"member_id": [PERSON], "line_of_business": PERSON, "name": PERSON}},
        {"member": member | {"birth_date": PERSON, "sex": PERSON}},
        {"provider": {"npi": PERSON, "specialty": PERSON}},
        {"service_lines": [LINE | {"place_of_service": PERSON, "modifiers": [PERSON], "clinical": PERSON}]},
        {"supersedes": {"id": PERSON}},
        *({"clinical": {key: PERSON}} for key in KEYS),
        *({"clinical": {"transplant": {key: {key: 1}, "type": "allogeneic"}}} for key in KEYS),
        *({key: {key: [{key: PERSON}]}} for key in KEYS),
        *({"member": member | {key: 1}} for key in KEYS),
        *({"provider": {"npi": "1234567893", key: {key: key}}} for key in KEYS),
        *({"diagnoses": [{"system": "icd-10-cm", "code": "C92.02", key: 1}]} for key in KEYS),
        *({"service_lines": [LINE | {key: {key: 1}}]} for key in KEYS),
        *({"service_lines": [LINE, {key: key}, LINE]} for key in KEYS),
        *({"service_lines": [LINE | {"clinical": {key: {key: key}}, "units": 0}]} for key in KEYS),
    )
    for number, wrong in enumerate(bad):
        yield request(request_id=f"{MARK}-W-{number}", **sound | wrong)
    yield b"{" + PERSON.encode()
    yield f'["{PERSON}"]'.encode()
    yield f'{{"{PERSON}": 1, "{PERSON}": 2}}'.encode()
    yield json.dumps({"specversion": PERSON, "id": PERSON, "source": PERSON, "type": PERSON, "data": PERSON}).encode()
    yield json.dumps(
        {
            "specversion": "1.0",
            "id": PERSON,
            "source": PERSON,
            "type": "authorization.requested.v1",
            "datacontenttype": PERSON,
            "traceparent": PERSON,
            "data": json.loads(request(request_id=f"{MARK}-E-1", **sound)),
        }
    ).encode()


def leaks(texts: dict[str, str], marks: tuple[str, ...] = MARKS) -> dict[str, str]:
    """Where a marked value shows, with what stands around it."""
    return {
        name: text[max(text.find(mark) - 80, 0) : text.find(mark) + 80]
        for name, text in texts.items()
        for mark in marks
        if mark in text
    }
