"""The generated JSON Schemas, all of them: events, the clinical facts of each packaged policy, the document format."""

from pathlib import Path

from events.schemas import FOLDER, event_schemas, text
from policy_core.document.models import PolicyDocument
from policy_core.evaluate.facts import clinical_model
from policy_core.history.library import PACKAGED, documents
from policy_core.loading.load import load

DOCUMENT_FORMAT = PACKAGED.parent / "policy.schema.json"


def generated() -> dict[Path, str]:
    """Every schema file and its text."""
    files = {FOLDER / name: written for name, written in event_schemas().items()}
    for file in documents([PACKAGED]):
        document = load(file)
        name = f"clinical.{document.number}.json"
        files[FOLDER / name] = text(name, clinical_model(document).model_json_schema(by_alias=True))
    files[DOCUMENT_FORMAT] = text(DOCUMENT_FORMAT.name, PolicyDocument.model_json_schema(by_alias=True))
    return files


def stale() -> list[Path]:
    """The schema files that differ from the models, or have no model."""
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
