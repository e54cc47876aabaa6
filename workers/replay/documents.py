"""Finds the policy documents that a log's decisions name.

If the log has the topic of revisions, it contains what was published, when, and in which order; its chains are read as
workers read them. The deployment's documents and those of given folders are added.
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
from workers.configuration.settings import Settings
from workers.decide.handler import Decider
from workers.decide.writers import WRITERS, Writers
from workers.event_log.source import ReplayError, Source
from workers.policies.revision_events import Judging, Seen, terms_of


class Named(NamedTuple):
    """The document and the newest known revision that a decision names."""

    number: str
    sha256: str
    known_through: str

    def __str__(self) -> str:
        return f"{self.number}, document {self.sha256[:12]}…, known through {self.known_through[:12]}…"


def name_of(policy: Policy) -> Named:
    """The name of a policy in decisions."""
    return Named(policy.number, policy.sha256, policy.known_through)


class Documents:
    """All known documents, and deciders for selections of them with one policy per number."""

    def __init__(self, current: Library, others: Sequence[Library] = (), writers: Writers = WRITERS) -> None:
        """Create from libraries.

        Args:
            current: The policies known at the end of the log.
            others: Other policies that decisions may name.
            writers: All versions of a decision's bytes that its header may name.
        """
        self.writers = writers
        self._current = current
        self._libraries = (current, *others)
        self._found: dict[Named, Policy | None] = {}
        self._deciders: dict[frozenset[Named], Decider] = {}

    def current(self) -> dict[str, Policy]:
        """The newest policy of each number."""
        return {policy.number: policy for policy in self._current}

    def asked(self, number: str | None) -> Policy | None:
        """The newest policy for a request with this number, if any."""
        return self._current.named(number)

    def chain(self, number: str | None) -> Chain:
        """The chain of a policy, or of the default."""
        return self._current.chain(number)

    def named(self, name: Named) -> Policy | None:
        """The policy that a decision names; None if it is unknown."""
        if name not in self._found:
            known = (library.knowing(name.number, name.known_through) for library in self._libraries)
            self._found[name] = next((entry for entry in known if entry is not None and name_of(entry) == name), None)
        return self._found[name]

    def decider(self, policies: dict[str, Policy]) -> Decider:
        """The decider for a selection of policies."""
        key = frozenset(map(name_of, policies.values()))
        if key not in self._deciders:
            self._deciders[key] = Decider(Library(policies.values(), self._current.default), self.writers)
        return self._deciders[key]


@dataclass(frozen=True)
class Draft:
    """The document to decide a log under: a file, or a published policy."""

    file: Path | None = None
    published: str | None = None
    """A revision's date, or the prefix of a publication's digest."""
    number: str | None = None
    """The publication's policy; by default the default policy."""

    def policy(self, documents: Documents) -> Policy:
        """Compile it.

        Raises:
            PolicyDocumentError: The document is invalid.
            ReplayError: There is no such publication.
        """
        if self.file is not None:
            return Policy(load(self.file))
        chain = documents.chain(self.number)
        wanted = self.published or ""
        # By date, the current publication; corrected ones only by digest.
        dated = next((standing for standing in chain.standing if str(standing.revision) == wanted), None)
        found = dated or (chain.find(wanted) if wanted else None)
        if found is None:
            dates = ", ".join(str(publication.revision) for publication in chain) or "none"
            raise ReplayError(f"{wanted}: neither a file nor a revision of {chain.policy}, which has {dates}")
        return policy_of(found)


def draft(named: str, number: str | None) -> Draft:
    """Parse a file name, a revision's date or a publication's digest."""
    try:
        return Draft(published=str(date.fromisoformat(named)), number=number)
    except ValueError:
        return Draft(file=Path(named)) if Path(named).is_file() else Draft(published=named, number=number)


_known: dict[tuple[object, ...], Documents] = {}


def documents_of(source: Source, found: Settings, earlier: tuple[Path, ...], writers: Writers = WRITERS) -> Documents:
    """The documents that a log may name, compiled once per process.

    Raises:
        PolicyDocumentError: One is invalid, or the default policy is missing.
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
        writers,
    )
    if key not in _known:
        packaged = _library(found.policies, found.default_policy)
        others = (packaged, *map(_alone, documents(earlier)))
        _known[key] = Documents(_published(source, packaged, found), others, writers)
    return _known[key]


@lru_cache(maxsize=4)
def _library(folders: Sequence[Path], default: str) -> Library:
    return load_library(folders, default)


def _alone(file: Path) -> Library:
    document = load(file)
    chain = chain_of(document)
    return Library([Policy(document, chain.known_through)], document.number, {document.number: chain})


def _published(source: Source, packaged: Library, found: Settings) -> Library:
    """The library from the log's topic of revisions, verified as configured; the packaged one if it has none."""
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
