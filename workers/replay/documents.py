"""The policy documents that a log was decided under, found by what its decisions name.

A log that has the topic of revisions says itself what was published, when, and what followed what: its chains are taken
up as workers take them up. Beside them stand the documents of the deployment, and of folders that are named.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from events.topics import POLICY_REVISIONS
from policy_core.evaluate.determine import Policy
from policy_core.history.chain import Chain, chain_of, policy_of
from policy_core.history.library import Library, documents, load_library
from policy_core.loading.load import load
from workers.decide.handler import Decider
from workers.event_log.source import ReplayError, Source
from workers.policies.revision_events import Judging, Seen, terms_of
from workers.settings import Settings


class Named(NamedTuple):
    """The document and the point of knowledge that a decision names."""

    number: str
    sha256: str
    known_through: str

    def __str__(self) -> str:
        return f"{self.number}, document {self.sha256[:12]}…, known through {self.known_through[:12]}…"


def name_of(policy: Policy) -> Named:
    """How decisions name a policy."""
    return Named(policy.number, policy.sha256, policy.known_through)


class Documents:
    """All documents there are, and deciders under each choice of them: one policy for each number."""

    def __init__(self, current: Library, others: Sequence[Library] = ()) -> None:
        """Know documents.

        Args:
            current: What is known of the policies at the end of the log.
            others: What else decisions may name.
        """
        self._current = current
        self._libraries = (current, *others)
        self._found: dict[Named, Policy | None] = {}
        self._deciders: dict[frozenset[Named], Decider] = {}

    def current(self) -> dict[str, Policy]:
        """The newest policy of each number."""
        return {one.number: one for one in self._current}

    def asked(self, number: str | None) -> Policy | None:
        """The newest policy of a request that names this number, or none."""
        return self._current.named(number)

    def chain(self, number: str | None) -> Chain:
        """All that was published of a policy, or of the default."""
        return self._current.chain(number)

    def named(self, name: Named) -> Policy | None:
        """The policy that a decision was made under; None where it is not here."""
        if name not in self._found:
            known = (library.knowing(name.number, name.known_through) for library in self._libraries)
            self._found[name] = next((one for one in known if one is not None and name_of(one) == name), None)
        return self._found[name]

    def decider(self, policies: dict[str, Policy]) -> Decider:
        """Who decides under a choice of policies."""
        key = frozenset(map(name_of, policies.values()))
        if key not in self._deciders:
            self._deciders[key] = Decider(Library(policies.values(), self._current.default))
        return self._deciders[key]


@dataclass(frozen=True)
class Draft:
    """The document that a log is to be decided under: a file, or a policy as it was published."""

    file: Path | None = None
    published: str | None = None
    """The date of a revision, or the beginning of a publication's digest."""
    number: str | None = None
    """The policy whose publication it is; the default where none is named."""

    def policy(self, documents: Documents) -> Policy:
        """It, compiled.

        Raises:
            PolicyDocumentError: The document cannot be used.
            ReplayError: There is no such publication.
        """
        if self.file is not None:
            return Policy(load(self.file))
        chain = documents.chain(self.number)
        wanted = self.published or ""
        # Of one date, what stands; of what was corrected, by its digest.
        dated = next((one for one in chain.standing if str(one.revision) == wanted), None)
        found = dated or (chain.find(wanted) if wanted else None)
        if found is None:
            dates = ", ".join(str(one.revision) for one in chain) or "none"
            raise ReplayError(f"{wanted}: neither a file nor a revision of {chain.policy}, which has {dates}")
        return policy_of(found)


def draft(named: str, number: str | None) -> Draft:
    """What a person means by a file's name, a revision's date or a publication's digest."""
    try:
        return Draft(published=str(date.fromisoformat(named)), number=number)
    except ValueError:
        return Draft(file=Path(named)) if Path(named).is_file() else Draft(published=named, number=number)


_known: dict[tuple[object, ...], Documents] = {}


def documents_of(source: Source, found: Settings, earlier: tuple[Path, ...]) -> Documents:
    """The documents that a log names or may name; compiled once in each process.

    Raises:
        PolicyDocumentError: One cannot be used, or the default policy is not among them.
        ReplayError: The log cannot be read.
    """
    key = (
        source.identity,
        found.policies,
        found.default_policy,
        found.policy_keys,
        found.policy_signed_from,
        found.policy_notice_days,
        found.policy_skip_list,
        earlier,
    )
    if key not in _known:
        packaged = _library(found.policies, found.default_policy)
        _known[key] = Documents(_published(source, packaged, found), (packaged, *map(_alone, documents(earlier))))
    return _known[key]


@lru_cache(maxsize=4)
def _library(folders: Sequence[Path], default: str) -> Library:
    return load_library(folders, default)


def _alone(file: Path) -> Library:
    document = load(file)
    chain = chain_of(document)
    return Library([Policy(document, chain.known_through)], document.number, {document.number: chain})


def _published(source: Source, packaged: Library, found: Settings) -> Library:
    """What the log's own topic of revisions makes known, on our terms; what is packaged where it has none."""
    topic = source.topic(POLICY_REVISIONS)
    judging = Judging(terms_of(found), map(packaged.chain, packaged.numbers))
    partitions = source.partitions(topic)
    for partition in partitions:
        for piece in source.read(topic, partition, source.extent(topic, partition).first):
            for record in piece.chunk.records if piece.chunk is not None else ():
                judging.take(Seen(record.offset, record.timestamp, record.value, record.headers))
    if partitions and (astray := judging.astray()) is not None:
        raise ReplayError(f"{topic}: {astray}")
    library = packaged
    for chain in judging.chains.values():
        library = library.knowing_also(chain)
    return library
