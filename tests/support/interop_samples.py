"""The contract's messages, where they lie beside the checkout; the project does not ship them."""

from pathlib import Path

from tests.support.places import ROOT


def _found() -> Path | None:
    places = (above / "shared" / "interop" / "samples" for above in (ROOT.parent, ROOT.parents[1]))
    return next((place for place in places if place.is_dir()), None)


SAMPLES = _found()
ABSENT = "the samples do not lie beside the checkout"


def files(folder: str, ending: str) -> list[Path]:
    """The messages of one format, in order."""
    if SAMPLES is None:
        return []
    found = sorted((SAMPLES / folder).glob(f"*.{ending}"))
    return [file for file in found if not file.name.endswith(".expected.json")]
