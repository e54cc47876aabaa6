"""The chain of a policy's publications: a bitemporal history of the policy.

*Valid time* is the service date: which revision is in force on a day. *Transaction time* is when a publication became
known. A chain grows only at its end, so its newest digest determines what was known at any time.

A publication that *corrects* another revokes it and everything after it, and takes its place. If its document is the
same as the one before, nothing takes the place: the other is withdrawn. Revoked publications stay in the chain, because
decisions were made under them. So every publication has an ordinal, but not every publication *stands*.

`accept` refuses a publication, with a sentence, and leaves the chain unchanged, if

* its digests do not match its content, or its document has mistakes;
* its predecessor is not the newest publication: a fork, or a gap;
* it repeats a date with other content, or precedes the newest revision, without being a correction;
* it corrects a publication that does not stand, or is dated after the one it corrects;
* comparing it with its predecessor exceeds the work limit, see `work_limit`;
* it changes the past: it is effective before its predecessor, or changes answers for services before its own effective
  date. The latter is proved over every case, see `compare.answers`.
"""

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property, lru_cache
from typing import NamedTuple

from policy_core.compare.answers import Change, compare
from policy_core.document.models import PolicyDocument
from policy_core.document.problems import PathPart
from policy_core.evaluate.determine import Policy
from policy_core.loading.check import check
from policy_core.publications.publication import Publication, number_under, publications
from policy_core.work_limit import TooComplexError

REMEMBERED = 64
"""Cached compiled policies, by publication; a policy has about twenty."""


class PublicationRefusedError(Exception):
    """A publication that does not continue its chain; `path` is the invalid field.

    The message is for the author of the document. It has the full path, which may contain keys from the document.
    """

    def __init__(self, path: tuple[PathPart, ...], sentence: str) -> None:
        self.path = path
        self.sentence = sentence
        super().__init__(f"{'.'.join(map(str, path))}: {sentence}")


@dataclass(frozen=True)
class Chain:
    """A policy's publications, oldest first; immutable."""

    policy: str
    links: tuple[Publication, ...] = ()

    # --- asking ---

    @cached_property
    def standing(self) -> tuple[Publication, ...]:
        """The publications that were not revoked, in order of their dates: the current reading."""
        return tuple(self.links[at] for at in self._stood.standing)

    @cached_property
    def taken_back(self) -> Mapping[str, str]:
        """The digest of each revoked publication, with the digest of the one that revoked it."""
        return {self.links[at].digest: self.links[by].digest for at, by in self._stood.taken_back.items()}

    @cached_property
    def _stood(self) -> "Stood":
        return stood([(publication.digest, publication.sha256, publication.corrects) for publication in self.links])

    @property
    def newest(self) -> Publication | None:
        """The last publication; None if the chain is empty."""
        return self.links[-1] if self.links else None

    @property
    def known_through(self) -> str | None:
        """The digest of the newest publication, which decisions made now record."""
        return self.links[-1].digest if self.links else None

    def find(self, digest: str) -> Publication | None:
        """The publication whose digest equals or begins with `digest`."""
        return next((publication for publication in self.links if publication.digest.startswith(digest)), None)

    def of(self, revision: date) -> Publication | None:
        """The standing publication of the revision of that date; None if there is none."""
        return next((publication for publication in reversed(self.standing) if publication.revision == revision), None)

    def in_force(self, day: date) -> Publication | None:
        """The revision in force on a service date; None before the first."""
        index = bisect_right([publication.revision for publication in self.standing], day)
        return self.standing[index - 1] if index else None

    def as_known_at(self, moment: datetime) -> "Chain":
        """The chain as known at a moment: everything up to the last publication by then."""
        known = [at for at, publication in enumerate(self.links, 1) if publication.published <= moment]
        return Chain(self.policy, self.links[: known[-1] if known else 0])

    def before(self, publication: Publication) -> Publication | None:
        """The publication before a given one; None for the first."""
        return self.find(publication.predecessor) if publication.predecessor is not None else None

    def __iter__(self) -> Iterator[Publication]:
        return iter(self.links)

    def __len__(self) -> int:
        return len(self.links)

    # --- growing ---

    def accept(self, publication: Publication, proven: Collection[str] = ()) -> "Chain":
        """The chain with one more publication, or the chain itself if it already has it.

        Args:
            publication: What was published.
            proven: Digests of publications whose documents have been checked and found not to change past answers.

        Raises:
            PublicationRefusedError: The publication does not continue the chain.
        """
        if publication.sha256 != publication.document.digest():
            raise PublicationRefusedError(
                ("sha256",), f"is not the document's digest, which is {publication.document.digest()}"
            )
        if any(publication.digest == known.digest for known in self.links):
            return self
        _as_the_document_says(self.policy, publication)
        _behind(self, publication)
        if publication.digest not in proven:
            _in_order(publication.document)
            _leaving_the_past(self.newest, publication)
        return Chain(self.policy, (*self.links, publication))


class Stood(NamedTuple):
    """Which publications of a chain stand, by index."""

    standing: list[int]
    taken_back: dict[int, int]
    """The index of each revoked publication, with the index of the one that revoked it."""


def stood(chain: Iterable[tuple[str, str, str | None]]) -> Stood:
    """Which publications stand; each is given, oldest first, as its digest, its document's, and the one it corrects."""
    found = Stood([], {})
    links = list(chain)
    for at, (_, sha256, corrects) in enumerate(links):
        index = next((index for index, other in enumerate(found.standing) if links[other][0] == corrects), None)
        if index is not None:
            found.taken_back.update(dict.fromkeys(found.standing[index:], at))
            del found.standing[index:]
        withdraws = index is not None and bool(found.standing) and links[found.standing[-1]][1] == sha256
        if not withdraws:
            found.standing.append(at)
    return found


def _as_the_document_says(policy: str, publication: Publication) -> None:
    """The fields beside the document must match the document."""
    newest = publication.document.revisions[-1]
    for path, found, expected in (
        ("policy_number", publication.policy, policy),
        ("policy_number", publication.policy, publication.document.number),
        ("revision", publication.revision, newest.date),
        ("kinds", publication.kinds, newest.kinds),
        ("number", publication.number, number_under(publication.document)),
    ):
        if found != expected:
            raise PublicationRefusedError((path,), f"is {_written(found)}, but the document says {_written(expected)}")


def _written(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _behind(chain: Chain, publication: Publication) -> None:
    """It must directly follow the newest publication."""
    newest = chain.newest
    if newest is None:
        _as_a_first(chain, publication)
        return
    if publication.corrects is not None:
        _correcting(chain, publication, newest)
        return
    last = chain.standing[-1]
    if (known := chain.of(publication.revision)) is not None:
        sentence = (
            f"the revision of {publication.revision} is known already, with other content (digest {known.digest})"
        )
        raise PublicationRefusedError(("revision",), sentence)
    if publication.revision < last.revision:
        raise PublicationRefusedError(
            ("revision",), f"{publication.revision} reaches into the past: the newest is of {last.revision}"
        )
    if publication.predecessor != newest.digest:
        raise PublicationRefusedError(("predecessor",), _no_successor(chain, newest, publication))
    if publication.effective < last.effective:
        sentence = (
            f"{publication.effective} reaches into the past: the newest revision is effective from {last.effective}"
        )
        raise PublicationRefusedError(("effective",), sentence)
    if publication.published < newest.published:
        raise PublicationRefusedError(("published",), "is before its predecessor was published")
    _with_the_history_of(last, publication)


def _as_a_first(chain: Chain, publication: Publication) -> None:
    for name in ("predecessor", "corrects"):
        if (named := getattr(publication, name)) is not None:
            raise PublicationRefusedError((name,), f"names {named}, but nothing of {chain.policy} is known yet")


def _correcting(chain: Chain, publication: Publication, newest: Publication) -> None:
    """It must correct a standing publication and fit among those before it."""
    if publication.predecessor != newest.digest:
        raise PublicationRefusedError(("predecessor",), _no_successor(chain, newest, publication))
    at = next((at for at, other in enumerate(chain.standing) if other.digest == publication.corrects), None)
    if at is None:
        by = chain.taken_back.get(publication.corrects or "")
        why = f"which was taken back by {by}" if by is not None else "which is no revision that stands"
        raise PublicationRefusedError(("corrects",), f"names {publication.corrects}, {why}")
    corrected, base = chain.standing[at], chain.standing[at - 1] if at else None
    if publication.revision > corrected.revision:
        sentence = (
            f"{publication.revision} is after {corrected.revision}, which it corrects: publish it behind that one"
        )
        raise PublicationRefusedError(("revision",), sentence)
    # A publication dated far ahead, from before that was refused, must not block its own correction.
    if publication.published < newest.published and newest not in chain.standing[at:]:
        raise PublicationRefusedError(("published",), "is before its predecessor was published")
    if base is None or publication.sha256 == base.sha256:
        return
    if publication.revision <= base.revision:
        sentence = (
            f"{publication.revision} reaches beyond what it corrects: "
            f"before that stands the revision of {base.revision}"
        )
        raise PublicationRefusedError(("revision",), sentence)
    _with_the_history_of(base, publication)


def _with_the_history_of(base: Publication, publication: Publication) -> None:
    if publication.document.revisions[:-1] != base.document.revisions:
        raise PublicationRefusedError(
            ("document", "revisions"), "an earlier entry of the history reads otherwise than it was published"
        )


def _no_successor(chain: Chain, newest: Publication, publication: Publication) -> str:
    if publication.predecessor is None:
        return f"names none, but the newest revision is of {newest.revision} (digest {newest.digest})"
    forked = chain.find(publication.predecessor) if publication.predecessor else None
    if forked is not None:
        return (
            f"forks the chain: {publication.predecessor}, of {forked.revision}, "
            f"has a successor, of {_next(chain, forked)}"
        )
    return f"names {publication.predecessor}, which is not known; the newest revision has {newest.digest}"


def _next(chain: Chain, publication: Publication) -> date:
    return chain.links[chain.links.index(publication) + 1].revision


def _in_order(document: PolicyDocument) -> None:
    if problems := check(document):
        first = problems[0]
        more = f" (and {len(problems) - 1} more mistakes)" if len(problems) > 1 else ""
        raise PublicationRefusedError(("document", *first.path), f"{first.message}{more}")


def _leaving_the_past(newest: Publication | None, publication: Publication) -> None:
    if newest is None:
        return
    try:
        found = compare(policy_of(newest), policy_of(publication), before=publication.effective)
    except TooComplexError as error:
        sentence = f"cannot be compared with the revision of {newest.revision}, which {error}; {_SMALLER}"
        raise PublicationRefusedError(("document",), sentence) from None
    if found.changes:
        raise PublicationRefusedError(
            ("document",), f"reaches into the past: {_for_example(found.changes[0])}, {_only(publication)}"
        )


_SMALLER = "publish the change as several revisions"


def _for_example(change: Change) -> str:
    example = change.example
    before, after = (side.determination or "refused" for side in (change.before, change.after))
    return f"{example.system} {example.code} on {example.day} would be {after} instead of {before}"


def _only(publication: Publication) -> str:
    return f"but it is effective from {publication.effective} only"


@lru_cache(maxsize=REMEMBERED)
def policy_of(publication: Publication) -> Policy:
    """A publication's compiled policy, cached."""
    return Policy(publication.document, publication.digest)


def chain_of(document: PolicyDocument) -> Chain:
    """A document's own history as a chain; tests check that the chain accepts it."""
    return Chain(document.number, publications(document))
