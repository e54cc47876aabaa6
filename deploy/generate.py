"""Write the files of this folder that are made from code: `python -m deploy.generate`."""

from pathlib import Path

from deploy.grafana import dashboards
from deploy.kubernetes import strimzi

FOLDER = Path(__file__).parent


def generated() -> dict[Path, str]:
    """Every file and its text."""
    boards = {FOLDER / "grafana" / "boards" / name: text for name, text in dashboards.generated().items()}
    manifests = {FOLDER / "kubernetes" / "base" / name: text for name, text in strimzi.generated().items()}
    return boards | manifests


def stale() -> list[Path]:
    """The files that are not what the code makes, and dashboards that nothing makes."""
    wanted = generated()
    wrong = [file for file, text in wanted.items() if not file.is_file() or file.read_text("utf-8") != text]
    return wrong + [file for file in sorted(FOLDER.glob("grafana/boards/*.json")) if file not in wanted]


def write() -> list[Path]:
    """Write what is stale, remove what nothing makes; returns those files."""
    wanted = generated()
    changed = stale()
    for file in changed:
        if file in wanted:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(wanted[file], "utf-8")
        else:
            file.unlink()
    return changed


if __name__ == "__main__":
    for written in write():
        print(f"written: {written.relative_to(FOLDER.parent)}")  # noqa: T201 (what a command does)
