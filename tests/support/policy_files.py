"""Policy documents written to files."""

from pathlib import Path

from policy_core.document.models import PolicyDocument


def written(folder: Path, document: PolicyDocument) -> str:
    file = folder / f"{document.revisions[-1].date}.json"
    file.write_bytes(document.canonical())
    return str(file)
