"""The largest request that is accepted gives answers that fit their topics, whatever its alphabet and its facts."""

import json
from datetime import date, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.origin_headers import SUPERSEDES, RecordPosition
from events.request import MOST_DIAGNOSES, MOST_LINES
from events.topics import ANSWERED, CASE_EVENTS, DECISIONS, LARGEST_RECORD, LEDGER, LINKS
from tests.support import naive
from tests.support.packaged import packaged_document, packaged_library
from tests.support.sizes import size
from workers.configuration.settings import read
from workers.decide.handler import DecisionHandler
from workers.kafka.records import OutgoingRecord, Record
from workers.ledger.pointers import PointerHandler
from workers.ledger.supersedes_links import Link

LIBRARY = packaged_library()
DOCUMENT = packaged_document()
# One byte, two where JSON escapes it, two, three and four in UTF-8.
ALPHABET = ("x", '"', "\\", "é", "€", "\U0001f600")
LONG_ID = 256
LONG_CODE = 64
ICD_10 = [f"C{number}{n}{m}" for number in (90, 91, 92, 50) for n in range(10) for m in range(3)]
ICD_9 = [f"{number}.{n:02}" for number in (174, 201, 202, 204) for n in range(100)]
ABSENT = object()
FACTS = st.fixed_dictionaries({path: st.sampled_from([ABSENT, *values]) for path, values in naive.FACTS.items()})


def clinical(facts: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path, value in facts.items():
        if value is not ABSENT:
            *above, name = path.split(".")[1:]
            place = found
            for key in above:
                place = place.setdefault(key, {})
            place[name] = sorted(value) if isinstance(value, frozenset) else value
    return found


def largest(character: str, facts: dict[str, Any], days: list[date], code: str, codes: list[str]) -> bytes:
    """A request in which everything is as long, and as many, as it may be."""
    dated = [days[n % len(days)] + timedelta(days=n // len(days)) for n in range(MOST_LINES)]
    systems = ["cpt"] if code else ["icd-10-pcs"]
    data = {
        "request_id": character * LONG_ID,
        "supersedes": character * (LONG_ID - 1) + "y",
        "certification": "initial",
        "urgency": "standard",
        "submitted_at": "2025-04-21T09:00:00.123456-05:00",
        "prior_authorization_number": character * 256,
        "policy_number": "L.2.03.402",
        "member": {"member_id": character * 256, "line_of_business": "commercial"},
        "provider": {"npi": "1234567893"},
        "diagnoses": [{"system": "icd-10-cm" if one[0] == "C" else "icd-9-cm", "code": one} for one in codes],
        "service_lines": [
            {
                "line": 2**31 - 1 - n,
                "system": systems[0],
                "code": code or character * LONG_CODE,
                "units": 2**31 - 1,
                "service_date": day.isoformat(),
            }
            for n, day in enumerate(dated)
        ],
        "clinical": clinical(facts),
    }
    envelope = {
        "specversion": "1.0",
        "type": "authorization.requested.v1",
        "id": character * 512,
        "correlationid": "\x01" * 512,
        "source": character * 2048,
        "traceparent": f"01-{'1' * 32}-{'1' * 16}-01-{'x' * 200}",
        "data": data,
    }
    return json.dumps(envelope, ensure_ascii=False).encode()


def answered(value: bytes, mode: Any) -> list[OutgoingRecord]:
    handler = DecisionHandler(LIBRARY, read(mode=mode, source="\x01" * 200))
    return list(handler([Record("authorization.requests", 11, 2**62, 2**62, b"key", value)]))


DAYS = [[date(2025, 5, 6)], [date(2011, 8, 11)], [date(2011, 8, 11), date(2016, 3, 7), date(2025, 5, 6)]]
CODES = [ICD_10[:MOST_DIAGNOSES], ICD_9[::4][:MOST_DIAGNOSES], [*ICD_10[::3][:50], *ICD_9[::9]][:MOST_DIAGNOSES]]


@pytest.mark.parametrize("mode", ["structured", "binary"])
@pytest.mark.parametrize("character", ALPHABET)
def test_the_largest_requests_are_decided_and_fit(character: str, mode: Any) -> None:
    """The largest requests of every alphabet are decided, and their answers fit."""
    sizes = set()
    for days, codes, code in product(DAYS, CODES, ("38242", "86812", "")):
        facts = dict.fromkeys(naive.FACTS, ABSENT)
        sent = answered(largest(character, facts, days, code, codes), mode)
        assert [one.topic for one in sent] == [DECISIONS, ANSWERED, CASE_EVENTS]
        assert all(len(one.key) <= 4 * LONG_ID for one in sent)
        sizes.add(max(map(size, sent)))
    assert max(sizes) <= LARGEST_RECORD
    assert max(sizes) > 500_000, "these are no large ones"


@settings(suppress_health_check=list(HealthCheck), deadline=None, max_examples=60)
@given(
    st.sampled_from(ALPHABET),
    FACTS,
    st.lists(st.dates(date(1998, 1, 1), date(2026, 12, 31)), min_size=1, max_size=4),
    st.sampled_from(["38242", "38240", "86812", "99999", ""]),
    st.permutations([*ICD_10, *ICD_9[::4]]),
)
def test_no_facts_dates_or_codes_make_an_answer_too_large(
    character: str, facts: dict[str, Any], days: list[date], code: str, codes: list[str]
) -> None:
    """No facts, dates or codes make an answer that does not fit."""
    sent = answered(largest(character, facts, days, code, codes[:MOST_DIAGNOSES]), "structured")
    assert max(map(size, sent)) <= LARGEST_RECORD


@pytest.mark.parametrize("character", ALPHABET)
def test_pointers_and_links_of_the_longest_ids_are_small(character: str) -> None:
    name, before = character * LONG_ID, (character * (LONG_ID - 1) + "y")
    origin = ((SUPERSEDES, before.encode()), ("dli-cause", b"authorization.requests/11/999999999999999999"))
    decision = Record("authorization.decisions", 11, 2**62, 2**62, name.encode(), b"{}", origin)
    sent = PointerHandler(read())([decision])
    assert [one.topic for one in sent] == [LEDGER, LINKS]
    assert max(map(size, sent)) <= 8_000
    assert len(Link(before, RecordPosition("t" * 249, 11, 2**62)).written()) <= 4_000


def test_foreign_records_among_decisions_make_no_large_record() -> None:
    """A record among the decisions that is not one of ours makes no large record."""
    forged = Record("authorization.decisions", 0, 1, 1, b"k" * 900_000, b"{}", ((SUPERSEDES, b"x" * 900_000),))
    assert max(map(size, PointerHandler(read())([forged]))) <= 1_000
