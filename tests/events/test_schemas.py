"""The JSON Schemas say what the models say, as far as JSON Schema can: a platform may rely on either."""

import json
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

import workers.main.generated_files
from events.dead_letter import SENTENCES
from events.decode import RejectedError, decode
from events.schemas import DIALECT, EVENTS, FOLDER
from policy_core.history.library import Library
from tests.support import generator
from tests.support.packaged import packaged_library
from tests.support.places import ROOT
from workers.dead_letters.write import dead_letter
from workers.decide.handler import decide
from workers.policies.revision_events import event_of

README = ROOT / "events" / "README.md"
REQUEST = "authorization.requested.v1.json"
CLINICAL = "clinical.L.2.03.402.json"
FILES = sorted(FOLDER.glob("*.json"))
OPEN = {
    (REQUEST, "properties.clinical"),
    (REQUEST, "$defs.ServiceLine.properties.clinical"),
    ("policy.revision.published.v1.json", "properties.document"),
}
"""What is stated of a case is each policy's own, and a policy is a document: both have schemas of their own."""
BEYOND_JSON_SCHEMA = {
    "npi_check_digit": "arithmetic",
    "duplicate_line_numbers": "one field compared over all items",
    "first_submission_after_this_one": "two fields compared",
    # A validator need not check formats; this one checks days, and instants only with an extra package.
    "instant_without_offset": "a format",
    "instant_without_time": "a format",
    "instant_out_of_range": "a format",
    "instant_with_bad_offset": "a format",
}
"""The kinds of malformed request that the schemas let pass and the model refuses."""


@cache
def library() -> Library:
    return packaged_library()


@cache
def validator(name: str) -> Draft202012Validator:
    schema = json.loads((FOLDER / name).read_text("utf-8"))
    return Draft202012Validator(schema, format_checker=FormatChecker())


def fits_schemas(data: dict[str, Any]) -> bool:
    """Whether JSON Schema takes a request: the event's schema, and the policy's for the clinical facts."""
    if not validator(REQUEST).is_valid(data):
        return False
    clinical = data.get("clinical")
    return clinical is None or validator(CLINICAL).is_valid(clinical)


def is_taken(data: dict[str, Any]) -> bool:
    """Whether the software takes a request."""
    try:
        decide(decode(generator.encode(data), bare_allowed=True), library())
    except RejectedError:
        return False
    return True


def objects(schema: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of an object, with its place."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield ".".join(part for part in path if part not in ("anyOf", "0", "1")), schema
        for name, part in schema.items():
            yield from objects(part, (*path, name))
    elif isinstance(schema, list):
        for index, part in enumerate(schema):
            yield from objects(part, (*path, str(index)))


# --- Stale ---------------------------------------------------------------------------------------------


def test_the_schema_files_are_what_the_models_say() -> None:
    assert workers.main.generated_files.stale() == []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the schemas that a test may spoil."""
    copied = tmp_path / "schemas"
    shutil.copytree(FOLDER, copied)
    document_format = tmp_path / workers.main.generated_files.DOCUMENT_FORMAT.name
    shutil.copy(workers.main.generated_files.DOCUMENT_FORMAT, document_format)
    monkeypatch.setattr(workers.main.generated_files, "FOLDER", copied)
    monkeypatch.setattr(workers.main.generated_files, "DOCUMENT_FORMAT", document_format)
    return copied


def test_a_changed_schema_file_is_stale_until_rewritten(folder: Path) -> None:
    """A schema file that was changed is stale until it is written again."""
    changed = folder / REQUEST
    changed.write_text(changed.read_text("utf-8").replace('"minimum": 1', '"minimum": 0'), "utf-8")
    assert workers.main.generated_files.stale() == [changed]
    assert workers.main.generated_files.write() == [changed]
    assert changed.read_bytes() == (FOLDER / REQUEST).read_bytes()
    assert workers.main.generated_files.stale() == []


def test_a_missing_or_unknown_schema_file_is_stale(folder: Path) -> None:
    """A schema file that is missing, or that belongs to no model, is stale."""
    missing, unknown = folder / CLINICAL, folder / "authorization.requested.v0.json"
    missing.unlink()
    unknown.write_text("{}", "utf-8")
    assert set(workers.main.generated_files.stale()) == {missing, unknown}
    workers.main.generated_files.write()
    assert (missing.exists(), unknown.exists()) == (True, False)


# --- Well-formed ---------------------------------------------------------------------------------------


def test_every_event_and_every_policy_has_a_schema() -> None:
    wanted = {f"{kind}.json" for kind, _ in EVENTS} | {f"clinical.{one.number}.json" for one in library()}
    assert {file.name for file in FILES} == wanted | {"partner.json"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_schema_is_valid_and_names_its_dialect_and_itself(file: Path) -> None:
    schema = json.loads(file.read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    assert (schema["$schema"], schema["$id"]) == (DIALECT, file.name)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_object_is_closed_unless_open_on_purpose(file: Path) -> None:
    """Every object is closed except where it is open on purpose."""
    found = dict(objects(json.loads(file.read_text("utf-8"))))
    assert found
    open_ones = {(file.name, path) for path, one in found.items() if one.get("additionalProperties") is not False}
    assert open_ones == {one for one in OPEN if one[0] == file.name}


# --- As strict as the models ---------------------------------------------------------------------------


def test_both_take_the_same_sound_requests() -> None:
    for data in generator.requests(31, 500):
        assert isinstance(data, dict)
        assert (fits_schemas(data), is_taken(data)) == (True, True)


def test_both_take_the_same_descriptions() -> None:
    for n in range(500):
        data = generator.request(31, n, described=True)
        assert (n, fits_schemas(data), is_taken(data)) == (n, True, True)


@pytest.mark.parametrize("kind", [*generator.malformed_kinds, *generator.malformed_descriptions])
def test_models_and_schemas_refuse_the_same_requests(kind: str) -> None:
    """Models and schemas refuse the same malformed requests where JSON Schema can express the rule."""
    for n in range(20):
        item = generator.malformed_request(kind, 32, n)
        if isinstance(item, dict):
            assert (n, fits_schemas(item)) == (n, kind in BEYOND_JSON_SCHEMA)
            assert (n, is_taken(item)) == (n, False)


def test_only_json_schema_takes_1_0_as_an_integer() -> None:
    """JSON Schema takes a whole number with a decimal point as an integer, and our models do not."""
    data = generator.request(31, 1)
    data["service_lines"][0]["units"] = 1.0
    assert (fits_schemas(data), is_taken(data)) == (True, False)


def test_both_take_null_for_what_is_not_stated() -> None:
    data = generator.request(31, 1)
    data |= dict.fromkeys(("prior_authorization_number", "policy_number", "supersedes", "diagnoses", "clinical"))
    assert (fits_schemas(data), is_taken(data)) == (True, True)


def test_every_decision_fits_its_schema() -> None:
    for data in generator.requests(33, 300):
        decision = decide(decode(generator.encode(data), bare_allowed=True), library())
        errors = validator("authorization.decided.v1.json").iter_errors(json.loads(decision.to_json()))
        assert [error.message for error in errors] == []


def test_every_dead_letter_fits_its_schema() -> None:
    for kind in generator.malformed_kinds:
        value = generator.encode(generator.malformed_request(kind, 34, 1))
        with pytest.raises(RejectedError) as caught:
            decide(decode(value, bare_allowed=True), library())
        letter = json.loads(dead_letter(None, value, caught.value).to_json())
        errors = validator("authorization.dead_lettered.v1.json").iter_errors(letter)
        assert [error.message for error in errors] == []


def test_every_revision_fits_its_schema() -> None:
    for one in library().chain("L.2.03.402").links:
        errors = validator("policy.revision.published.v1.json").iter_errors(json.loads(event_of(one).to_json()))
        assert [error.message for error in errors] == []


# --- The page ------------------------------------------------------------------------------------------


def section(title: str) -> str:
    return README.read_text("utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]


def first_cells(text: str) -> list[str]:
    """The names in the first column of a section's table."""
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| `")]
    return [name.strip("`") for name in rows]


def fields(schema: dict[str, Any], within: dict[str, Any], path: str = "") -> Iterator[str]:
    """The paths of a schema's fields that hold a value; a list's by `[]`."""
    options = [schema, *schema.get("anyOf", [])]
    for one in options:
        if "$ref" in one:
            yield from fields(within["$defs"][one["$ref"].rsplit("/", 1)[1]], within, path)
            return
        if one.get("type") == "array" and "$ref" in one["items"]:
            yield from fields(one["items"], within, f"{path}[]")
            return
        if "properties" in one:
            for name, part in one["properties"].items():
                yield from fields(part, within, f"{path}.{name}" if path else name)
            return
    yield path


def test_the_page_has_every_field_of_a_request_and_no_other() -> None:
    request = json.loads((FOLDER / REQUEST).read_text("utf-8"))
    clinical = json.loads((FOLDER / CLINICAL).read_text("utf-8"))
    wanted = [path for path in fields(request, request) if path != "clinical"]
    wanted += list(fields(clinical, clinical, "clinical"))
    assert first_cells(section("A request")) == wanted


def test_the_page_lists_a_decisions_fields_without_its_trace() -> None:
    """The page lists every field of a decision except those of the trace."""
    schema = json.loads((FOLDER / "authorization.decided.v1.json").read_text("utf-8"))
    inside = ("trace", "references[]", "lines[].missing[].conflict[]")
    wanted = dict.fromkeys(
        next((one for one in inside if path.startswith(one)), path) for path in fields(schema, schema)
    )
    assert first_cells(section("A decision")) == [path.removesuffix("[]") for path in wanted]


def test_the_page_has_every_reason_of_a_dead_letter() -> None:
    assert first_cells(section("A dead letter")) == list(SENTENCES)


def test_the_pages_way_to_validate_works_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    snippet = section("Validate").split("```python\n")[1].split("```")[0]
    exec(compile(snippet, str(README), "exec"), names)  # noqa: S102 (the page's own code)
    example = json.loads((ROOT / "events/examples/authorization.requested.v1/valid/minimal.json").read_text("utf-8"))
    assert names["problems"](example["data"]) == []
    example["data"]["clinical"] = {"malignancy": "leukemia"}
    del example["data"]["urgency"]
    assert len(names["problems"](example["data"])) == 2
