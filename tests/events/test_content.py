"""What a request says: the same content for whatever says the same, in every version; other content for anything else.

Digests of it are kept for years. So its bytes are held here: a change of them makes every request that comes again a
conflict.
"""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.envelope import loads
from events.request import AuthorizationRequest
from tests.support import generator

Json = dict[str, Any]

repeatable = settings(derandomize=True, deadline=None, database=None, max_examples=300)

EVERYTHING: Json = {
    "request_id": "PA-1",
    "certification": "revision",
    "urgency": "standard",
    "submitted_at": "2025-04-21T09:00:00.5-05:00",
    "prior_authorization_number": "A-ä",
    "policy_number": "L.2.03.402",
    "supersedes": "PA-0",
    "first_submitted_at": "2025-03-31T17:30:00Z",
    "channel": "fax",
    "member": {"member_id": "M1", "line_of_business": "commercial"},
    "provider": {"npi": "1234567893"},
    "diagnoses": [{"system": "icd-10-cm", "code": "C92.02"}, {"system": "icd-9-cm", "code": "V42.82"}],
    "service_lines": [
        {
            "line": 2,
            "system": "cpt",
            "code": "38242",
            "units": 1,
            "service_date": "2025-05-06",
            "performed_on": "donor",
        },
        {"line": 1, "system": "icd-9-pcs", "code": "99.09", "units": 3, "service_date": "2014-05-06"},
    ],
    "clinical": {
        "purposes": ["prevent_relapse", "treat_relapse"],
        "transplant": {"type": "allogeneic", "graft_t_cell_depleted": False},
        "infusion": {"leukocyte_modification": "none"},
    },
}
CONTENT = (
    '{"certification":"revision","channel":"fax","clinical":{"infusion":{"leukocyte_modification":"none"},'
    '"purposes":["prevent_relapse","treat_relapse"],"transplant":{"graft_t_cell_depleted":false,"type":"allogeneic"}},'
    '"diagnoses":[{"code":"C92.02","system":"icd-10-cm"},{"code":"V42.82","system":"icd-9-cm"}],'
    '"first_submitted_at":"2025-03-31T17:30:00Z",'
    '"member":{"line_of_business":"commercial","member_id":"M1"},"policy_number":"L.2.03.402",'
    '"prior_authorization_number":"A-ä","provider":{"npi":"1234567893"},"request_id":"PA-1","service_lines":['
    '{"code":"38242","line":2,"performed_on":"donor","service_date":"2025-05-06","system":"cpt","units":1},'
    '{"code":"99.09","line":1,"service_date":"2014-05-06","system":"icd-9-pcs","units":3}],'
    '"submitted_at":"2025-04-21T09:00:00.500000-05:00","supersedes":"PA-0","urgency":"standard"}'
)
DESCRIBED: Json = {
    **EVERYTHING,
    "member": {**EVERYTHING["member"], "birth_date": "1957-02-03", "sex": "female"},
    "provider": {**EVERYTHING["provider"], "specialty": "207RH0003X"},
    "service_lines": [
        {
            **EVERYTHING["service_lines"][0],
            "place_of_service": "22",
            "modifiers": ["LT", "59", "26"],
            "clinical": {
                "levels": ["L4-L5", "L3-L4", "L4-L5"],
                "device": {"settings": "auto", "trial_days": 30, "serial": None},
                "side": None,
                "none": {},
            },
        },
        {**EVERYTHING["service_lines"][1], "modifiers": []},
    ],
}
"""With what the packaged policy does not ask for."""
OF_DESCRIBED = (
    CONTENT.replace(
        '"member":{"line_of_business":"commercial","member_id":"M1"}',
        '"member":{"birth_date":"1957-02-03","line_of_business":"commercial","member_id":"M1","sex":"female"}',
    )
    .replace('{"npi":"1234567893"}', '{"npi":"1234567893","specialty":"207RH0003X"}')
    .replace(
        '{"code":"38242","line":2,"performed_on":"donor",',
        '{"clinical":{"device":{"settings":"auto","trial_days":30},"levels":["L3-L4","L4-L5"]},"code":"38242","line":2,'
        '"modifiers":["26","59","LT"],"performed_on":"donor","place_of_service":"22",',
    )
    .replace('{"code":"99.09","line":1,', '{"code":"99.09","line":1,"modifiers":[],')
)
LEAST: Json = {
    name: EVERYTHING[name] for name in ("request_id", "certification", "urgency", "submitted_at", "member", "provider")
} | {"service_lines": [EVERYTHING["service_lines"][1]]}


def content(data: Json) -> bytes:
    return AuthorizationRequest.model_validate(loads(json.dumps(data).encode())).content()


def changed(path: str, value: object, data: Json = EVERYTHING) -> Json:
    """The request with something else at a path, or nothing where the value is `...`."""
    made = deepcopy(data)
    *above, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    at: Any = made
    for part in above:
        at = at[part]
    if value is ...:
        del at[last]
    else:
        at[last] = value
    return made


def test_the_content_has_the_bytes_that_it_had() -> None:
    assert content(EVERYTHING) == CONTENT.encode()


def test_what_describes_the_request_further_has_its_bytes_too() -> None:
    assert content(DESCRIBED) == OF_DESCRIBED.encode()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("service_lines.0.modifiers", ["26", "59", "LT"]),
        ("service_lines.0.clinical.side", ...),
        ("service_lines.0.clinical.none", {"of": {"it": None}}),
        ("service_lines.0.clinical.levels", ["L4-L5", "L3-L4"]),
        ("service_lines.0.clinical.device", {"trial_days": 30, "settings": "auto"}),
        ("service_lines.1.clinical", {}),
        ("service_lines.1.clinical", {"side": None}),
        ("service_lines.1.place_of_service", None),
    ],
)
def test_another_way_to_describe_it_is_the_same_content(path: str, value: object) -> None:
    assert content(changed(path, value, DESCRIBED)) == content(DESCRIBED)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("member", "birth_date"),
        ("member", "sex"),
        ("provider", "specialty"),
        *(("service_lines.0", name) for name in ("place_of_service", "modifiers", "clinical")),
    ],
)
def test_null_describes_nothing(path: str, name: str) -> None:
    without = changed(f"{path}.{name}", ..., DESCRIBED)

    assert content(changed(f"{path}.{name}", None, DESCRIBED)) == content(without) != content(DESCRIBED)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("member.birth_date", "1957-02-04"),
        ("member.sex", "other"),
        ("provider.specialty", "2086S0120X"),
        ("service_lines.0.units", 2),
        ("service_lines.0.place_of_service", "21"),
        ("service_lines.0.modifiers", ["26", "59"]),
        ("service_lines.0.modifiers", []),
        ("service_lines.1.modifiers", ...),
        ("service_lines.0.clinical.levels", ["L4-L5"]),
        ("service_lines.0.clinical.device.trial_days", 31),
        ("service_lines.1.clinical", {"levels": ["L3-L4", "L4-L5"]}),
    ],
)
def test_another_description_is_other_content(path: str, value: object) -> None:
    assert content(changed(path, value, DESCRIBED)) != content(DESCRIBED)


def test_an_instant_of_utc_ends_in_z() -> None:
    assert b'"submitted_at":"2025-04-21T09:00:00Z"' in content(changed("submitted_at", "2025-04-21t09:00:00.0+00:00"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("diagnoses.0.code", " c9202\u00a0"),
        ("service_lines.0.code", "38242   "),
        ("service_lines.1.code", "9909"),
        ("service_lines.1.performed_on", "member"),
        ("service_lines.1.performed_on", None),
        ("submitted_at", "2025-04-21t09:00:00.500-05:00"),
        ("clinical.purposes", ["treat_relapse", "prevent_relapse", "treat_relapse"]),
        ("clinical.chimerism", None),
        ("clinical.transplant.date", None),
    ],
)
def test_another_way_to_say_it_is_the_same_content(path: str, value: object) -> None:
    assert content(changed(path, value)) == content(EVERYTHING)


@pytest.mark.parametrize(
    "name",
    [
        "supersedes",
        "policy_number",
        "prior_authorization_number",
        "first_submitted_at",
        "channel",
        "diagnoses",
        "clinical",
    ],
)
def test_null_is_absent(name: str) -> None:
    assert content({**LEAST, name: None}) == content(LEAST)


def test_a_request_without_channel_came_electronically() -> None:
    assert content({**LEAST, "channel": "electronic"}) == content(LEAST)
    assert content({**LEAST, "channel": "portal"}) != content(LEAST)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("diagnoses", []),
        ("clinical", {}),
        ("clinical", {"transplant": {}}),
        ("clinical", {"transplant": {"type": None}}),
    ],
)
def test_what_states_nothing_is_absent(name: str, value: object) -> None:
    assert content({**LEAST, name: value}) == content(LEAST)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("certification", "initial"),
        ("urgency", "expedited"),
        ("submitted_at", "2025-04-21T14:00:00.5Z"),
        ("submitted_at", "2025-04-21T09:00:00-05:00"),
        ("prior_authorization_number", ...),
        ("policy_number", ...),
        ("supersedes", "PA-9"),
        ("first_submitted_at", "2025-03-31T17:30:01Z"),
        ("first_submitted_at", ...),
        ("channel", "mail"),
        ("channel", "electronic"),
        ("channel", ...),
        ("member.member_id", "M2"),
        ("member.line_of_business", "fep"),
        ("provider.npi", "2000000036"),
        ("diagnoses", ...),
        ("diagnoses.0.code", "C92.01"),
        ("diagnoses.0.code", "C92.0"),
        ("diagnoses", EVERYTHING["diagnoses"][::-1]),
        ("service_lines.0.performed_on", ...),
        ("service_lines.0.code", "86812"),
        ("service_lines.0.system", "hcpcs"),
        ("service_lines.0.units", 2),
        ("service_lines.0.line", 3),
        ("service_lines.0.service_date", "2025-05-07"),
        ("service_lines", EVERYTHING["service_lines"][::-1]),
        ("clinical.purposes", []),
        ("clinical.purposes", ...),
        ("clinical.transplant.graft_t_cell_depleted", True),
        ("clinical.transplant.graft_t_cell_depleted", ...),
        ("clinical.infusion.leukocyte_modification", "other"),
    ],
)
def test_what_says_something_else_is_other_content(path: str, value: object) -> None:
    assert content(changed(path, value)) != content(EVERYTHING)


@pytest.mark.parametrize("value", [[None], ["a", 1], [{"a": None}], 2**70, -1.5, {"a": {"b": [2**70]}}])
def test_what_is_no_fact_has_a_content_all_the_same(value: object) -> None:
    assert content(changed("clinical.odd", value)) == content(changed("clinical.odd", value))
    assert content(changed("clinical.odd", value)) != content(EVERYTHING)
    of_line = changed("service_lines.0.clinical", {"odd": value})
    assert content(of_line) == content(of_line) != content(EVERYTHING)


def _nulls(data: Json, draw: Callable[[Any], Any]) -> Json:
    names = ("supersedes", "policy_number", "prior_authorization_number", "first_submitted_at", "channel")
    optional = [name for name in names if name not in data]
    return {**data, **{name: None for name in optional if draw(st.booleans())}}


@repeatable
@given(n=st.integers(0, 500), data=st.data())
def test_a_request_said_otherwise_is_the_same_request(n: int, data: st.DataObject) -> None:
    made = generator.request(61, n)
    other = _nulls(dict(data.draw(st.permutations(list(made.items())))), data.draw)
    if other.get("channel") in {None, "electronic"}:
        other["channel"] = data.draw(st.sampled_from([None, "electronic"]))
    for coded in (*other["diagnoses"], *other["service_lines"]):
        pad = st.sampled_from(["", " ", "\u00a0", "\t "])
        coded["code"] = (
            data.draw(pad) + data.draw(st.sampled_from([coded["code"], coded["code"].lower()])) + data.draw(pad)
        )
        if "line" in coded and coded.get("performed_on") is None:
            coded["performed_on"] = data.draw(st.sampled_from([None, "member"]))

    assert content(other) == content(generator.request(61, n))


@repeatable
@given(n=st.integers(0, 500), data=st.data())
def test_a_description_said_otherwise_is_the_same_request(n: int, data: st.DataObject) -> None:
    made = generator.request(63, n, described=True)
    other = deepcopy(made)
    optional = ("birth_date", "sex", "specialty", "place_of_service", "modifiers", "clinical")
    parts = (other["member"], other["provider"], *other["service_lines"])
    for part, names in zip(parts, (optional[:2], optional[2:3], *[optional[3:]] * len(parts)), strict=False):
        for name in names:
            if part.get(name) is None and data.draw(st.booleans()):
                part[name] = None
        if part.get("modifiers") is not None:
            part["modifiers"] = data.draw(st.permutations(part["modifiers"]))
        if "line" in part and not part.get("clinical"):
            part["clinical"] = data.draw(st.sampled_from([None, {}, {"a": None}, {"a": {"b": {}}}]))

    assert content(other) == content(made)


def test_no_two_requests_of_a_thousand_are_the_same() -> None:
    made = [generator.request(62, n) | {"request_id": "PA-1"} for n in range(1_000)]
    assert len({content(one) for one in made}) == len(made)
