"""The trading partners of a deployment: one YAML or JSON file each, or a folder of such files."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from events.adapters.partner import PARTNER_HEADER, Partner
from events.adapters.submission import Format
from events.adapters.x12.interchange import sender
from events.decode import field_errors
from events.envelope import Headers, header
from policy_core.document.problems import PolicyDocumentError, Problem
from policy_core.loading.load import Tree, mapping, raw_of
from workers.console.errors import DliError

_BEGINS = "the file of a trading partner begins with `name:` or `time_zone:`"
_ENDINGS = (".yaml", ".yml", ".json")


class PartnersError(DliError):
    """Trading partners that cannot be used; one line for each mistake, with its file, line and field."""

    is_refusal = True


class Loaded(NamedTuple):
    """A trading partner and its file."""

    partner: Partner
    file: Path


class Partners:
    """All trading partners of a deployment."""

    def __init__(self, partners: Iterable[Partner]) -> None:
        """Names and senders must be unique: see `load`."""
        loaded = tuple(partners)
        self._by_name = {partner.name: partner for partner in loaded}
        self._by_sender = {one: partner for partner in loaded for one in partner.senders}
        self._only = loaded[0] if len(loaded) == 1 else None

    def __iter__(self) -> Iterator[Partner]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def named(self, name: str) -> Partner | None:
        """The partner of that name."""
        return self._by_name.get(name)

    def of(self, form: Format, headers: Headers, message: bytes) -> Partner | None:
        """The partner that sent a message; None if it cannot be told.

        The record's header says it; else the interchange's sender; else it is the deployment's only partner, unless
        that states its senders and the interchange has another.
        """
        name = header(headers, PARTNER_HEADER)
        if name is not None:
            return self._by_name.get(name)
        if form == "x12-278" and self._by_sender:
            return self._by_sender.get(sender(message) or "")
        return self._only


def load(place: Path) -> Partners:
    """The trading partners in a file, or in all files of a folder.

    Raises:
        PartnersError: All mistakes found.
    """
    return Partners(loaded.partner for loaded in loaded_partners(place))


def loaded_partners(place: Path) -> tuple[Loaded, ...]:
    """The same, each with its file.

    Raises:
        PartnersError: All mistakes found.
    """
    found: list[Loaded] = []
    wrong: list[str] = []
    for file in _files(place):
        try:
            found.append(Loaded(_partner(file), file))
        except PolicyDocumentError as error:
            wrong += str(error).splitlines()
    wrong += _twice(found)
    if wrong:
        raise PartnersError("\n".join(wrong))
    return tuple(found)


def _files(place: Path) -> tuple[Path, ...]:
    if not place.is_dir():
        return (place,)
    try:
        # Files of editors and of mounted volumes begin with a dot.
        files = sorted(file for file in place.iterdir() if file.suffix in _ENDINGS and not file.name.startswith("."))
    except OSError as error:
        raise PartnersError(f"{place}: cannot be read: {error.strerror}") from None
    if not files:
        raise PartnersError(f"{place}: has no file of a trading partner; write one, NAME.yaml")
    return tuple(files)


def _partner(file: Path) -> Partner:
    """The partner in a file.

    Raises:
        PolicyDocumentError: The file has mistakes.
    """
    tree, plain = mapping(raw_of(file, "the file of a trading partner"), str(file), _BEGINS)
    try:
        return Partner.model_validate({"name": file.stem, **plain})
    except ValidationError as error:
        raise PolicyDocumentError(str(file), list(_problems(error, tree))) from None


def _problems(error: ValidationError, tree: Tree) -> Iterator[Problem]:
    for stated, found in zip(error.errors(include_input=False), field_errors(error, Partner), strict=True):
        path = stated["loc"]
        if stated["type"] == "too_short" and found.path and _at(tree.root, path):
            continue  # reported although every item has a mistake of its own
        message = "no field of a trading partner" if stated["type"] == "extra_forbidden" else found.message
        yield Problem(path, message, tree.line(path))


def _at(node: Any, path: tuple[int | str, ...]) -> Any:
    for part in path:
        node = node[part]
    return node


def _twice(found: list[Loaded]) -> Iterator[str]:
    names: dict[str, Path] = {}
    senders: dict[str, Path] = {}
    for partner, file in found:
        if (other := names.setdefault(partner.name, file)) is not file:
            yield f"{file}: name: {other} has the same; each trading partner needs its own"
        for one in partner.senders:
            if (other := senders.setdefault(one, file)) is not file:
                yield f"{file}: senders: {other} has {one} too; an interchange's sender is one trading partner"
