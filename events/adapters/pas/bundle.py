"""A Bundle's resources, and what their references lead to.

Nothing here raises, whatever the JSON is: a part of another type than it should have is as if it were absent, and
`reading` refuses where its absence matters.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final, NamedTuple

from msgspec import Struct

from events.adapters.remembering import remembered

Tree = Mapping[str, Any]
"""A JSON object."""
NOTHING: Final[Tree] = {}


def obj(value: Any) -> Tree:
    """An object; an empty one if the value is none."""
    return value if isinstance(value, dict) else NOTHING


def objects(value: Any) -> list[Tree]:
    """The objects of a list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def text(value: Any) -> str:
    """A text without the white space around it; empty if the value is none."""
    return value.strip() if isinstance(value, str) else ""


class Extensions(dict[str, Tree]):
    """An element's extensions by name, of each name the first."""

    def __init__(self, element: Tree) -> None:
        super().__init__()
        for kind in ("extension", "modifierExtension"):
            if kind in element:
                for found in objects(element[kind]):
                    self.setdefault(extension_name(found), found)

    def first(self, *names: str) -> Tree | None:
        """The first of several names."""
        for name, found in self.items():
            if name in names:
                return found
        return None


def extension(element: Tree, *names: str) -> Tree | None:
    """An element's first extension of one of these names."""
    return Extensions(element).first(*names)


def extension_name(found: Tree) -> str:
    """An extension's name, the last part of its URL without a version; empty if it has no URL."""
    url = found.get("url")
    return _last_part(url) if isinstance(url, str) else ""


@remembered
def _last_part(url: str) -> str:
    # FHIR has no version here, but senders write the guide's: `extension-infoCancelled|2.2.0`.
    return url.strip().partition("|")[0].rpartition("/")[2]


def codings(concept: Any) -> list[Tree]:
    """The codings of a CodeableConcept."""
    return objects(obj(concept).get("coding"))


def system_of(coding: Tree) -> str:
    """A coding's system; those of X12 by their newer address, as bundles of earlier guides write `http`."""
    stated = text(coding.get("system"))
    return f"https{stated[4:]}" if stated.startswith("http://codesystem.x12.org/") else stated


def code_of(value: Any, system: str) -> str:
    """The code of a CodeableConcept in a system, else its first; empty if it has none."""
    stated = codings(value)
    if len(stated) == 1:
        return text(stated[0].get("code"))
    ours = [one for one in stated if system_of(one) == system]
    for one in (*ours, *stated):
        if code := text(one.get("code")):
            return code
    return ""


class Found(Struct, frozen=True, gc=False):
    """A resource, and where it is."""

    resource: Tree
    url: str
    """Its fullUrl; of a contained resource, its container's, `#` and its id."""
    container: Tree
    """The resource in which it, and all that it refers to by `#`, is contained; itself, if in none."""
    place: str
    """`Bundle.entry[3].resource`."""
    type: str
    """What kind of resource it is."""


_RESTFUL = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64})(?:/_history/[^/]*)?", re.DOTALL)


class _Parts(NamedTuple):
    base: str
    own: str
    """`Patient/1`."""


@remembered
def _restful(url: str) -> _Parts | None:
    """The parts of a server's address of a resource."""
    found = _RESTFUL.fullmatch(url)
    return _Parts(url[: found.start(1)], found[1]) if found is not None else None


class Bundle:
    """A Bundle, with the entries of Bundles inside it."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        outer = list(_entries(tree, "Bundle"))
        inner = [one for found in outer if found.type == "Bundle" for one in _entries(found.resource, found.place)]
        self.entries = outer + inner
        """Every entry that has a resource; those of inner Bundles, as questionnaires come in, behind them."""
        self._by_url = {found.url: found for found in reversed(self.entries) if found.url}

    @property
    def first(self) -> Found | None:
        """The resource of the first entry."""
        given = self.tree.get("entry")
        if not isinstance(given, list) or not given or not isinstance(obj(given[0]).get("resource"), dict):
            return None
        return self.entries[0]

    def all(self, kind: str) -> list[Found]:
        """The resources of a kind."""
        return [found for found in self.entries if found.type == kind]

    def resolve(self, reference: Any, source: Found) -> Found | None:
        """What a reference of a resource leads to; None if it is not here.

        By fullUrl, by fullUrl beside the source's, and then by type and id; a reference to a contained resource by its
        id in the source.
        """
        written = text(obj(reference).get("reference"))
        if not written:
            return None
        if written.startswith("#"):
            return _contained(source, written[1:])
        if (found := self._by_url.get(written)) is not None:
            return found
        restful = _restful(written)
        if restful is None:
            return self._by_id.get(written.removeprefix("urn:uuid:"))
        beside = _restful(source.url) if ":" not in written else None
        if beside is not None and (found := self._by_url.get(beside.base + restful.own)) is not None:
            return found
        return self._by_url.get(restful.own) or self._by_type.get(restful.own)

    @cached_property
    def _by_type(self) -> dict[str, Found]:
        found = {f"{one.type}/{text(one.resource.get('id'))}": one for one in reversed(self.entries)}
        at_url = {match.own: one for one in reversed(self.entries) if (match := _restful(one.url))}
        return at_url | found

    @cached_property
    def _by_id(self) -> dict[str, Found]:
        """By an id that only one resource has."""
        found: dict[str, list[Found]] = {}
        for one in self.entries:
            if own := text(one.resource.get("id")):
                found.setdefault(own, []).append(one)
        return {own: ones[0] for own, ones in found.items() if len(ones) == 1}


def _entries(bundle: Tree, place: str) -> Iterator[Found]:
    given = bundle.get("entry")
    for index, entry in enumerate(given if isinstance(given, list) else ()):
        resource = obj(entry).get("resource")
        if isinstance(resource, dict):
            url, kind = text(entry.get("fullUrl")), text(resource.get("resourceType"))
            yield Found(resource, url, resource, f"{place}.entry[{index}].resource", kind)


def _contained(source: Found, own: str) -> Found | None:
    given = source.container.get("contained")
    for index, resource in enumerate(given if isinstance(given, list) else ()):
        if own and text(obj(resource).get("id")) == own:
            place = source.place.partition(".contained[")[0]
            url = source.url.partition("#")[0]
            kind = text(resource.get("resourceType"))
            return Found(resource, f"{url}#{own}", source.container, f"{place}.contained[{index}]", kind)
    return None
