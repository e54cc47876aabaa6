"""Personal data shows nothing of itself wherever it is printed or logged; JSON for Kafka has it."""

import io
import json
import logging
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import date, datetime
from functools import cache
from typing import get_args

import pytest
import structlog
from pydantic import BaseModel, SecretStr, ValidationError

import events.attestation
from events.audit import Acted, Actor, Arguments
from events.dead_letter import DeadLetter, FieldError, Header, Original
from events.deadline import Deadline
from events.decision import (
    Authorized,
    Claim,
    ClockReading,
    Decision,
    Measured,
    PolicyDocumentReference,
    PolicyReference,
    Program,
    Reference,
    Review,
    StatedProcedure,
)
from events.decode import decode
from events.personal_types import Private
from events.request import AuthorizationRequest, Diagnosis, Member, PastProcedure
from events.revision import PolicyRevision, RevisionSignature
from events.schemas import EVENTS
from events.shadow import ShadowDifference
from events.topics import TOPICS
from events.verdict import AuthorizationExtended, AuthorizationReviewed
from tests.support import generator
from tests.support.packaged import packaged_library
from workers.decide.handler import decide
from workers.process.logs import configure

MARK = "ZEBULON-4711"
"""A value that occurs nowhere by chance."""
ATTESTED = {
    one
    for one in vars(events.attestation).values()
    if isinstance(one, type) and issubclass(one, BaseModel) and one.__module__ == events.attestation.__name__
}
RECORDED = {Acted, Actor, Arguments}
"""Models of who changed something: those who run this, who are to be named, and nobody whose care is asked about."""
NOT_PERSONAL = (
    {
        FieldError,
        ClockReading,
        PolicyReference,
        PolicyDocumentReference,
        Program,
        Reference,
        PolicyRevision,
        RevisionSignature,
    }
    | ATTESTED
    | RECORDED
)
"""Models that say something of the event's shape or of the policy, and nothing of any member."""

Shown = Callable[[BaseModel], str]


@cache
def request_with_marks() -> AuthorizationRequest:
    # A code that is none is not read: so it is put there.
    diagnosed = Diagnosis.model_construct(system="icd-10-cm", code=MARK)
    past = PastProcedure.model_construct(system="cpt", code=MARK)
    return requested().model_copy(update={"diagnoses": (diagnosed,), "procedures": (past,)})


@cache
def requested() -> AuthorizationRequest:
    made = generator.request(7, 7)
    made["request_id"] = made["prior_authorization_number"] = MARK
    made["supersedes"] = f"{MARK}-2"
    made["member"]["member_id"] = MARK
    made["diagnoses"] = [{"system": "icd-10-cm", "code": "C92.02"}]
    made["diagnoses"].append({"system": "icd-10-cm", "code": "C50.911"})
    made["service_lines"][0] |= {"system": "cpt", "code": "38242", "service_date": "2025-05-06"}
    made["service_lines"].append({**made["service_lines"][0], "line": 99, "code": MARK})
    made["clinical"] = {}
    made["member"] |= {"birth_date": "1957-02-03", "sex": "female"}
    made["service_lines"][0]["clinical"] = {MARK: MARK}
    return decode(generator.encode(made), bare_allowed=True).request


@cache
def events_with_marks() -> tuple[BaseModel, ...]:
    asked = requested().model_dump(mode="json")
    # The packaged policy refuses facts of a line.
    asked["service_lines"][0]["clinical"] = None
    decision = decide(
        decode(json.dumps(asked).encode(), bare_allowed=True),
        packaged_library(),
    )
    encoded = b64encode(MARK.encode()).decode()
    letter = DeadLetter(
        reason="schema_violation",
        message="",
        errors=(FieldError(path="request_id", message="missing"),),
        request_id=MARK,
        original=Original(
            topic="t",
            key_base64=SecretStr(encoded),
            value_base64=SecretStr(encoded),
            headers=(Header(name=MARK, value_base64=SecretStr(encoded)),),
        ),
    )
    difference = ShadowDifference.model_validate(
        {
            "request_id": MARK,
            "decision_id": decision.decision_id,
            "policy_number": "L.2.03.402",
            **dict.fromkeys(("sha256", "known_through", "draft_sha256"), "0" * 64),
            "kind": "stricter",
            "lines": (
                {
                    "line": 1,
                    "kind": "stricter",
                    "from": "medically_necessary",
                    "to": "investigational",
                    "rules_before": (),
                    "rules_after": (),
                },
            ),
        }
    )
    claim = Claim(value=True, procedures=(StatedProcedure(system="cpt", code=MARK),))
    return request_with_marks(), decision, claim, reviewed(decision), letter, difference, *said_of_it()


def said_of_it() -> tuple[BaseModel, ...]:
    """What reviewers say of a request, and what is announced of it."""
    named = {"request_id": MARK, "decision_id": "0" * 32}
    verdict = {
        **named,
        "verdict_id": MARK,
        "reviewer": {"role": "physician", "license_state": "MS", "license_number": MARK, "specialty": MARK},
        "lines": [{"line": 1, "action": "A6", "text": MARK, "authorized": {"code": "38242", "units": 1}}],
        "decided_at": "2025-05-06T09:00:00Z",
    }
    extension = {"extension_id": MARK, "request_id": MARK, "until": "2025-05-06T09:00:00Z", "reason": MARK}
    deadline = {**named, "clock": "c", "rule": "r", "kind": "overdue", "due_at": "2025-05-06T09:00:00Z", "late": False}
    return (
        AuthorizationReviewed.model_validate(verdict),
        AuthorizationExtended.model_validate(extension),
        Deadline.model_validate(deadline),
    )


def reviewed(decision: Decision) -> Decision:
    """A decision made from a verdict, for which the models are there already."""
    authorized = Authorized.model_validate({"code": MARK, "units": 1, "from": "2025-05-06", "through": "2025-05-07"})
    review = Review(
        verdict_id=MARK,
        role="physician",
        license_state="MS",
        npi="1234567893",
        specialty=MARK,
        decided_at=datetime.fromisoformat("2025-05-06T09:00:00Z"),
        reasons=(MARK,),
        text=MARK,
    )
    first, *others = decision.lines
    tested = (Measured(name="line.units", value=MARK),)
    lines = (first.model_copy(update={"authorized": authorized, "review": review, "tested": tested}), *others)
    return decision.model_copy(update={"lines": lines, "supersedes_decision": "0" * 32})


def parts(value: object) -> Iterator[BaseModel]:
    """A model and all models within it."""
    if isinstance(value, BaseModel):
        yield value
        for name in type(value).model_fields:
            yield from parts(getattr(value, name))
    elif isinstance(value, tuple):
        for one in value:
            yield from parts(one)


def reachable(kind: object) -> Iterator[type[BaseModel]]:
    """The models that an annotation names, and all that their fields name."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
        for field in kind.model_fields.values():
            yield from reachable(field.annotation)
    for one in get_args(kind):
        yield from reachable(one)


def shows(text: str) -> bool:
    return MARK in text or b64encode(MARK.encode()).decode() in text


PERSONAL_PARTS = [
    pytest.param(part, id=f"{type(event).__name__}: {type(part).__name__}")
    for event in events_with_marks()
    for part in {type(one): one for one in parts(event) if type(one) not in NOT_PERSONAL}.values()
]
WAYS: dict[str, Shown] = {
    "repr": repr,
    "str": str,
    "format": "{}".format,
    "percent": lambda model: "%s %r" % (model, model),  # noqa: UP031 (the way itself is under test)
    "f-string": lambda model: f"{model} {model!r} {model!s}",
    "in a list": lambda model: str([model, (model,), {"key": model}]),
}


# --- Printed and formatted -----------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("model", PERSONAL_PARTS)
def test_a_personal_model_prints_as_its_name(model: BaseModel, way: str) -> None:
    text = WAYS[way](model)
    assert type(model).__name__ in text
    assert "personal data not shown" in text
    assert not shows(text)


def test_the_models_under_test_hold_what_they_do_not_show() -> None:
    for event in events_with_marks():
        assert shows(event.model_dump_json())


def test_every_personal_model_of_the_events_is_under_test() -> None:
    tested = {type(part) for event in events_with_marks() for part in parts(event)}
    personal = {model for _, event in EVENTS for model in reachable(event) if model not in NOT_PERSONAL}
    assert personal - tested == set()


def test_every_event_model_is_private_unless_declared_open() -> None:
    """Every model of an event is private unless it is declared not to be."""
    open_ones = {model for _, event in EVENTS for model in reachable(event) if not issubclass(model, Private)}
    assert open_ones == NOT_PERSONAL


def test_an_event_is_private_exactly_where_its_topic_is_personal() -> None:
    personal = {kind for topic in TOPICS if topic.personal for kind in topic.events}
    assert {kind for kind, model in EVENTS if issubclass(model, Private)} == personal


def test_an_event_that_is_not_personal_shows_itself() -> None:
    assert "path='lines'" in repr(FieldError(path="lines", message="missing"))


@pytest.mark.parametrize("event", [event for _, event in EVENTS], ids=lambda event: event.__name__)
def test_a_refusal_names_the_field_and_not_its_value(event: type[BaseModel]) -> None:
    with pytest.raises(ValidationError) as caught:
        event.model_validate({name: [MARK] for name in event.model_fields})
    assert next(iter(event.model_fields)) in str(caught.value)
    assert [text for text in (str(caught.value), repr(caught.value)) if shows(text)] == []


# --- Logged --------------------------------------------------------------------------------------------


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What is logged as the workers log it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    configure("DEBUG", "json", written)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("model", PERSONAL_PARTS)
def test_a_logged_personal_model_shows_nothing(model: BaseModel, stream: io.StringIO) -> None:
    """A personal model that is logged by mistake shows nothing."""
    logging.getLogger("plain").warning("%s %r", model, model, extra={"model": model, "models": [model]})
    structlog.get_logger("structured").warning(
        "logged", model=model, models=[model], by_name={"model": (model,)}, text=f"{model}"
    )
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert all(type(model).__name__ in line for line in lines)
    assert [line for line in lines if shows(line)] == []


def test_bytes_that_are_logged_show_their_number(stream: io.StringIO) -> None:
    structlog.get_logger("structured").warning("logged", value=MARK.encode())
    assert '"12 bytes"' in stream.getvalue()
    assert not shows(stream.getvalue())


@pytest.mark.parametrize("logger", ["plain", "structured"])
def test_a_logged_refusal_with_its_traceback_shows_no_value(logger: str, stream: io.StringIO) -> None:
    """A refusal that is logged with its traceback shows no value."""
    try:
        AuthorizationRequest.model_validate({"member": MARK, "urgency": MARK, "diagnoses": [MARK]})
    except ValidationError:
        if logger == "plain":
            logging.getLogger("plain").exception("refused")
        else:
            structlog.get_logger("structured").exception("refused")
    assert "ValidationError" in stream.getvalue()
    assert MARK not in stream.getvalue()


# --- On the wire ---------------------------------------------------------------------------------------


def test_a_personal_text_is_in_the_json_and_nowhere_else() -> None:
    request = request_with_marks()
    assert f'"member_id":"{MARK}"' in request.model_dump_json()
    assert not shows(str(request.model_dump()["member"]))
    assert not shows(str(request.member.member_id))
    assert request.member.member_id.get_secret_value() == MARK


def test_a_birth_date_and_a_sex_are_in_the_json_and_nowhere_else() -> None:
    member = request_with_marks().member
    assert member.birth_date is not None
    assert member.sex is not None
    assert '"birth_date":"1957-02-03","sex":"female"' in member.model_dump_json()
    shown = [f"{way!s} {way!r}" for way in (member, member.birth_date, member.sex, member.model_dump())]
    assert [text for text in shown if "1957" in text or "female" in text] == []
    assert (member.birth_date.get_secret_value(), member.sex.get_secret_value()) == (date(1957, 2, 3), "female")


@pytest.mark.parametrize(("name", "value"), [("birth_date", "1957-02-30"), ("sex", "femme"), ("birth_date", 19570203)])
def test_a_refused_birth_date_or_sex_is_not_repeated(name: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        Member.model_validate({"member_id": "M", "line_of_business": "fep", name: value})
    assert name in str(caught.value)
    assert [text for text in (str(caught.value), repr(caught.value)) if str(value) in text] == []


def test_what_a_dead_letter_keeps_is_in_its_json() -> None:
    letter = next(one for one in events_with_marks() if isinstance(one, DeadLetter))
    assert letter.to_json().decode().count(b64encode(MARK.encode()).decode()) == 3


def test_a_decision_repeats_neither_the_member_nor_the_provider() -> None:
    request = request_with_marks()
    decision = next(one for one in events_with_marks() if isinstance(one, Decision))
    fields = {name for part in parts(decision) for name in type(part).model_fields}
    of_the_member = {"member", "member_id", "birth_date", "sex", "prior_authorization_number"}
    assert fields & (of_the_member | {"provider", "npi"}) == set()
    assert request.provider.npi not in decision.to_json().decode()


def test_the_schemas_mark_personal_texts() -> None:
    schema = AuthorizationRequest.model_json_schema()
    member = schema["$defs"]["Member"]["properties"]
    assert member["member_id"]["x-personal"] is True
    for name in ("birth_date", "sex"):
        assert [one.get("x-personal") for one in member[name]["anyOf"]] == [True, None]
    number = schema["properties"]["prior_authorization_number"]
    assert [one.get("x-personal") for one in number["anyOf"]] == [True, None]
