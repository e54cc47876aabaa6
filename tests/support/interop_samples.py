"""The contract's messages and the guide's package, where they lie beside the checkout; the project ships neither."""

from pathlib import Path

from tests.support.places import ROOT


def _found(name: str) -> Path | None:
    places = (above / "shared" / "interop" / name for above in (ROOT.parent, ROOT.parents[1]))
    return next((place for place in places if place.exists()), None)


SAMPLES = _found("samples")
ABSENT = "the samples do not lie beside the checkout"
GUIDE = _found("ig/hl7.fhir.us.davinci-pas-2.2.1.tgz")
NO_GUIDE = "the guide's package does not lie beside the checkout"


def files(folder: str, ending: str) -> list[Path]:
    """The messages of one format, in order."""
    if SAMPLES is None:
        return []
    found = sorted((SAMPLES / folder).glob(f"*.{ending}"))
    return [file for file in found if not file.name.endswith(".expected.json")]
