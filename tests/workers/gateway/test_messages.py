"""The formats at the gateway."""

import pytest

from events.adapters.formats import FORMATS
from events.adapters.partner import LineOfBusinessRule, Partner
from workers.gateway.messages import answers_inquiry, as_inquiry, named, reading_by, resource_type

ISA = "ISA*00*          *00*          *ZZ*DELTAHOSP      *ZZ*MAGNOLIA       *250602*1405*^*00501*000000101*0*T*:~"
PARTNER = Partner(
    name="delta",
    time_zone="America/Chicago",
    lines_of_business=(LineOfBusinessRule.model_validate({"plan": "X", "is": "fep"}),),
)


def interchange(*purposes: str) -> bytes:
    sets = "".join(
        f"ST*278*{number:04}*005010X217~BHT*0007*{purpose}*A{number}*20250602*1405~SE*3*{number:04}~"
        for number, purpose in enumerate(purposes, 1)
    )
    return f"{ISA}GS*HI*A*B*20250602*1405*1*X*005010X217~{sets}GE*1*1~IEA*1*000000101~".encode()


def test_digests_are_those_of_the_integration() -> None:
    """Whoever the partner is and whenever it came: an answer names the message as the gateway does."""
    adapter = FORMATS["x12-278"].adapter
    value = interchange("13", "13")

    assert tuple(one.digest for one in reading_by(adapter)(value)) == tuple(
        one.message for one in adapter.read(value, PARTNER, 1_750_000_000_000)
    )


def test_what_is_an_answer_is_not_waited_for() -> None:
    """Nobody would ever answer it."""
    digests = reading_by(FORMATS["x12-278"].adapter)

    assert len(digests(interchange("13", "11", "13"))) == 2
    assert digests(interchange("11")) == ()
    assert len(digests(b"no interchange")) == 1


def test_headers_say_whose_answer_it_is() -> None:
    assert named([("partner", b"delta"), ("dli-message", b"ab"), ("else", None)]) == ("delta", "ab")
    assert named([("partner", None)]) == ("", "")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (b'{"resourceType": "Bundle"}', "Bundle"),
        (b"[]", None),
        (b'{"resourceType": 1}', None),
        (b"{", None),
        (b"", None),
    ],
)
def test_an_answer_says_what_resource_it_is(value: bytes, kind: str | None) -> None:
    assert resource_type(value) == kind


BUNDLE = b'{"resourceType": "Bundle", "type": "collection", "entry": [{"resource": {"resourceType": "Claim"}}]}'


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf"])
def test_what_is_sent_to_inquire_is_never_a_request(before: bytes) -> None:
    """Also where it says nowhere that it is an inquiry."""
    read = reading_by(FORMATS["pas"].adapter)

    assert [one.is_inquiry for one in read(BUNDLE)] == [False]
    assert [one.is_inquiry for one in read(as_inquiry(before + BUNDLE))] == [True]
    assert [one.digest for one in read(BUNDLE)] == [one.digest for one in read(as_inquiry(BUNDLE))]
    assert as_inquiry(as_inquiry(BUNDLE)) == as_inquiry(BUNDLE)
    assert as_inquiry(b"no JSON") == b"no JSON"


def test_an_answer_to_an_inquiry_is_told_from_others() -> None:
    """Its refusal too."""
    adapter = FORMATS["pas"].adapter
    [inquiry], [request] = (adapter.read(value, PARTNER, 0) for value in (as_inquiry(BUNDLE), BUNDLE))
    use = BUNDLE.replace(b'"Claim"', b'"Claim", "use": "preauthorization"')
    refused = [adapter.read(value, PARTNER, 0)[0] for value in (as_inquiry(use), use)]

    assert inquiry.refused is not None
    assert request.refused is not None
    assert [answers_inquiry(adapter.refuse(one, one.refused, 0)) for one in refused if one.refused] == [True, False]
    assert answers_inquiry(adapter.report(inquiry.model_copy(update={"refused": None}), None, None, 0))
