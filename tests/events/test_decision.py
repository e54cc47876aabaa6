"""A decision's bytes: the same for the same request, everywhere and always, and bound to their id.

`golden/everything-stated.json` holds the exact bytes of one decision. It changes only when consumers are to see other
bytes: with the policy document, or with the shape of the decision. Decisions made before then keep theirs, and a replay
of their requests no longer gives the same ids: so change it rarely, say so in the change's description, and write it
again with `python -m tests.events.test_decision`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from events.decision import Decision, content_id
from events.decode import decode
from tests.support import generator
from tests.support.decisions import decided, generated, library
from tests.support.packaged import packaged_library
from tests.support.places import ROOT
from workers.decide.handler import decide

REQUESTS = ROOT / "events" / "examples" / "authorization.requested.v1" / "valid"
README = ROOT / "events" / "README.md"
GOLDEN = Path(__file__).parent / "golden" / "everything-stated.json"


def example(name: str) -> Decision:
    return decided((REQUESTS / f"{name}.json").read_bytes())


def id_of(data: dict[str, Any]) -> str:
    """The id that a decision's data should have, computed without the code under test."""
    rest = {name: value for name, value in data.items() if name != "decision_id"}
    return sha256(json.dumps(rest, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()[:32]


# --- The same bytes ------------------------------------------------------------------------------------


def test_a_decision_has_the_bytes_that_it_had() -> None:
    assert example("everything-stated").to_json() == GOLDEN.read_bytes()


def test_the_same_request_twice_gives_the_same_bytes() -> None:
    other = packaged_library()
    for value in generated():
        received = decode(value, bare_allowed=True)
        assert decide(received, library()).to_json() == decide(received, other).to_json()


def test_the_order_of_request_fields_does_not_matter() -> None:
    """The order of the fields in a request does not matter."""
    for value in generated(50):
        turned = json.dumps(dict(reversed(json.loads(value).items()))).encode()
        assert decided(turned).to_json() == decided(value).to_json()


def test_the_envelope_does_not_matter() -> None:
    event = json.loads((REQUESTS / "everything-stated.json").read_bytes())
    assert decided(json.dumps(event["data"]).encode()) == example("everything-stated")
    assert decided(json.dumps({**event, "id": "another"}).encode()) == example("everything-stated")


PRINT_DIGEST = """
from hashlib import sha256
from tests.support.decisions import decided, generated
print(sha256(b"".join(decided(value).to_json() for value in generated(100))).hexdigest())
"""


def digest_with(hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PRINT_DIGEST]
    done = subprocess.run(  # noqa: S603 (this Python, and the code above)
        command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_the_order_of_pythons_sets_does_not_matter() -> None:
    here = sha256(b"".join(decided(value).to_json() for value in generated(100))).hexdigest()
    assert digest_with("1") == here
    assert digest_with("2") == here


def test_a_decision_that_is_read_is_written_with_the_same_bytes() -> None:
    for value in generated():
        written = decided(value).to_json()
        assert Decision.model_validate_json(written).to_json() == written


def test_nothing_that_is_absent_is_written() -> None:
    assert [value for value in generated() if b"null" in decided(value).to_json()] == []


# --- The id --------------------------------------------------------------------------------------------


def test_the_id_is_the_digest_of_the_rest() -> None:
    for value in generated():
        data = json.loads(decided(value).to_json())
        assert data["decision_id"] == id_of(data)


def test_the_id_is_the_digest_for_any_characters() -> None:
    """The decision's id is its digest, whatever characters the request contains."""
    data = generator.request(41, 1)
    data["request_id"] = 'Ä "quoted" \\ / 雪 \N{GRINNING FACE} \u2028 \xa0'
    decision = json.loads(decided(generator.encode(data)).to_json())
    assert decision["request_id"] == data["request_id"]
    assert decision["decision_id"] == id_of(decision)


def test_the_id_comes_first() -> None:
    assert decided(next(generated())).to_json().startswith(b'{"decision_id":"')


def changed(value: Any) -> Any:
    """Another value of the same type."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return value + "."
        case datetime():
            return value + timedelta(seconds=1)
        case date():
            return value + timedelta(days=1)
        case tuple():
            return value[:-1]
    raise AssertionError(value)


def versions(model: BaseModel) -> Iterator[tuple[str, BaseModel]]:
    """The model with one field changed, for every field that it and the models within it have."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            for path, other in versions(value):
                yield f"{name}.{path}", model.model_copy(update={name: other})
            continue
        if isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            for index, one in enumerate(value):
                for path, other in versions(one):
                    replaced = (*value[:index], other, *value[index + 1 :])
                    yield f"{name}.{index}.{path}", model.model_copy(update={name: replaced})
        if value not in (None, ()):
            yield name, model.model_copy(update={name: changed(value)})


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("name", ["contradicting-diagnoses", "donor-line", "federal-employee-program"])
def test_the_id_changes_with_every_field(name: str) -> None:
    decision = example(name)
    ids = {path: content_id(other.content()) for path, other in versions(decision) if isinstance(other, Decision)}
    assert ids.pop("decision_id") == decision.decision_id
    assert len(ids) > 20
    assert [path for path, found in ids.items() if found == decision.decision_id] == []
    assert len(set(ids.values())) == len(ids)


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_every_field_of_a_decision_is_among_those_changed() -> None:
    names = ("contradicting-diagnoses", "donor-line", "federal-employee-program", "cancellation")
    paths = {path for name in names for path, _ in versions(example(name))}
    found = {".".join(part for part in path.split(".") if not part.isdigit()) for path in paths}
    assert {"supersedes", "due_at", "lines.program.says", "lines.missing.conflict.value"} <= found
    assert {"trace.editions.statements.status", "trace.facts.diagnoses.code", "references.cites"} <= found
    assert {"stage", "lines.valid_through", "policies.known_through", "trace.editions.statements.cites"} <= found


def test_a_decision_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValidationError):
        example("minimal").action = "A1"  # type: ignore[misc]


def test_the_pages_way_to_verify_a_decision_works_as_it_stands() -> None:
    names: dict[str, Any] = {}
    text = README.read_text("utf-8").split("\n## Verify a decision\n")[1]
    exec(compile(text.split("```python\n")[1].split("```")[0], str(README), "exec"), names)  # noqa: S102 (the page's own code)
    for value in generated(50):
        data = json.loads(decided(value).to_json())
        assert names["is_whole"](data)
        assert not names["is_whole"]({**data, "request_id": "another"})
        assert not names["is_whole"]({**data, "decision_id": "0" * 32})


if __name__ == "__main__":
    GOLDEN.write_bytes(example("everything-stated").to_json())
