"""What the packages have that is generated: JSON Schemas, the AsyncAPI document, the pages of settings and formats.

The schemas are those of events, of each packaged policy's clinical facts and of the document format.
"""

from pathlib import Path

from events import asyncapi, asyncapi_page
from events.adapters.pas import coverage as pas_coverage
from events.adapters.x12 import coverage as x12_coverage
from events.schemas import FOLDER, event_schemas, text
from policy_core.document.models import PolicyDocument
from policy_core.evaluate.facts import clinical_model
from policy_core.history.library import PACKAGED, documents
from policy_core.loading.load import load
from workers.configuration import page

DOCUMENT_FORMAT = PACKAGED.parent / "policy.schema.json"


def generated() -> dict[Path, str]:
    """Every generated file and its text."""
    files = {FOLDER / name: written for name, written in event_schemas().items()}
    for file in documents([PACKAGED]):
        document = load(file)
        name = f"clinical.{document.number}.json"
        files[FOLDER / name] = text(name, clinical_model(document).model_json_schema(by_alias=True))
    files[DOCUMENT_FORMAT] = text(DOCUMENT_FORMAT.name, PolicyDocument.model_json_schema(by_alias=True))
    files[page.PAGE] = page.text()
    files[asyncapi.PAGE] = asyncapi.text()
    files[asyncapi_page.PAGE] = asyncapi_page.text()
    files[pas_coverage.PAGE] = pas_coverage.text()
    files[x12_coverage.PAGE] = x12_coverage.text()
    return files


def stale() -> list[Path]:
    """The files that differ from the models, and those of schemas that no model has."""
    wanted = generated()
    wrong = [file for file, written in wanted.items() if not file.is_file() or file.read_text("utf-8") != written]
    return wrong + [file for file in sorted(FOLDER.glob("*.json")) if file not in wanted]


def write() -> list[Path]:
    """Write the stale files; return them."""
    wanted = generated()
    changed = stale()
    for file in changed:
        if file in wanted:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(wanted[file], "utf-8")
            file.chmod(0o644)  # a public contract, unlike this process's other files
        else:
            file.unlink()
    return changed
