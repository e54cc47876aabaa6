"""Policy publications as events: writing to the topic of revisions, reading and judging.

`judge` depends only on the earlier records and the deployment's terms: all workers that have read the same records have
the same chains and verdicts.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from events.dead_letter import FieldError
from events.decode import LARGEST, RejectedError, field_errors
from events.envelope import (
    JSON,
    SPECVERSION,
    Attributes,
    Headers,
    Mode,
    binary_attributes,
    is_binary,
    loads,
    write,
)
from events.field_paths import declared_names, shown_path
from events.field_types import Instant, written_instant
from events.revision import PolicyRevision, RevisionSignature
from policy_core.document.models import PolicyDocument, RevisionKind
from policy_core.document.problems import PolicyDocumentError, Problem
from policy_core.history.chain import Chain, PublicationRefusedError
from policy_core.history.publication_terms import Anchor, Terms, Times
from policy_core.loading.check import MOST_PROBLEMS
from policy_core.loading.load import raw_of
from policy_core.loading.size_limit import too_large
from policy_core.publications.publication import Publication, instant
from policy_core.publications.signatures import Key, Signature, keyring
from policy_core.publications.skip_list import Skip, SkipList, skip_list
from workers.configuration.settings import Settings
from workers.dead_letters.write import defect, unreadable
from workers.kafka.records import OutgoingRecord, Unreadable

_INSTANT: TypeAdapter[datetime] = TypeAdapter(Instant)
_NAMES = declared_names(PolicyRevision) | declared_names(PolicyDocument)
Chains = Mapping[str, Chain]
"""By policy."""


def event_of(publication: Publication) -> PolicyRevision:
    """A publication as an event."""
    return PolicyRevision(
        policy_number=publication.policy,
        number=publication.number,
        revision=publication.revision,
        effective=publication.effective,
        kinds=tuple(kind.value for kind in publication.kinds),
        author=publication.author,
        published=publication.published.astimezone(UTC),
        sha256=publication.sha256,
        predecessor=publication.predecessor,
        retroactive=True if publication.retroactive else None,
        corrects=publication.corrects,
        digest=publication.digest,
        signature=_written_signature(publication.signature),
        document=json.loads(publication.document.canonical()),
    )


def _written_signature(signature: Signature | None) -> RevisionSignature | None:
    return (
        RevisionSignature(key=signature.key, value=b64encode(signature.value).decode())
        if signature is not None
        else None
    )


def as_record(publication: Publication, topic: str, source: str, mode: Mode) -> OutgoingRecord:
    """The record that publishes a revision; deterministic.

    Raises:
        PublicationRefusedError: It is larger than readers accept.
    """
    revision = event_of(publication)
    attributes = Attributes(
        id=publication.digest,
        source=source,
        specversion=SPECVERSION,
        type=PolicyRevision.TYPE,
        subject=revision.key.decode(),
        datacontenttype=JSON,
    )
    value, headers = write(attributes, written_instant(revision.published), revision.to_json(), mode)
    if len(value) > LARGEST:
        raise PublicationRefusedError(("document",), f"is larger than {LARGEST:,} bytes with its envelope")
    return OutgoingRecord(topic, revision.key, value, headers)


# --- reading --------------------------------------------------------------------------------------------------------


class Outcome(StrEnum):
    """The outcome of a record on the topic of revisions."""

    ACCEPTED = "accepted"
    REPEATED = "repeated"
    REFUSED = "refused"


@dataclass(frozen=True)
class Verdict:
    """The verdict on a record of the topic of revisions."""

    outcome: Outcome
    publication: Publication | None = None
    """None if the record is refused."""
    chain: Chain | None = None
    """The policy's chain including it."""
    rejected: RejectedError | None = None
    """Why it is refused."""
    skipped: Skip | None = None
    """Who skipped it, if it was skipped."""


@dataclass(frozen=True)
class Packaged:
    """Packaged publications: repetitions on the topic need no verification."""

    by_digest: Mapping[str, Publication] = field(default_factory=dict)

    def same(self, event: PolicyRevision) -> Publication | None:
        """The packaged publication that an event repeats exactly, except for its signature."""
        known = self.by_digest.get(event.digest)
        unsigned = event.model_copy(update={"signature": None})
        return known if known is not None and _event_again(known) == unsigned else None


_event_again = lru_cache(maxsize=256)(event_of)


class Seen(NamedTuple):
    """A record of the topic of revisions, with its offset and the broker's time."""

    offset: int
    timestamp: int
    """Milliseconds since the epoch; negative if absent."""
    value: bytes | None
    headers: Headers

    @property
    def at(self) -> datetime | None:
        """The broker's time; None if absent or out of range."""
        try:
            return datetime.fromtimestamp(self.timestamp / 1000, UTC) if self.timestamp >= 0 else None
        except (ValueError, OverflowError, OSError):
            return None


def judge(chains: Chains, terms: Terms, packaged: Packaged, seen: Seen) -> Verdict:
    """Judge a record by these chains and terms; never raises."""
    try:
        if isinstance(seen.value, Unreadable):
            raise unreadable(seen.value)  # noqa: TRY301 (handled like other reasons)
        event = decode_revision(seen.value, seen.headers)
        before = chains.get(event.policy_number, Chain(event.policy_number))
        # First, so that unauthorized publications cost no verification.
        if (skip := terms.skips.of(event.policy_number, seen.offset, event.digest)) is not None:
            return Verdict(Outcome.REFUSED, rejected=_passed_over(skip), skipped=skip)
        again = _repeats(before, event)
        signer = _signer(terms, event, seen) if not again else None
        if not again:
            terms.timely(_times(event), event.digest, seen.offset, seen.at)
        known = packaged.same(event)
        published = known or publication_of(event)
        if signer is not None:
            published = replace(published, signature=_signature(event), signed_by=signer.id)
        after = before.accept(published, proven=packaged.by_digest if known else ())
    except PublicationRefusedError as refused:
        error = FieldError(path=shown_path(refused.path, _NAMES), message=refused.sentence)
        return Verdict(Outcome.REFUSED, rejected=RejectedError("revision_refused", [error]))
    except RejectedError as rejected:
        return Verdict(Outcome.REFUSED, rejected=rejected)
    except Exception:  # noqa: BLE001 (every worker reads every record: none may stop all workers)
        return Verdict(Outcome.REFUSED, rejected=defect())
    outcome = Outcome.REPEATED if after is before else Outcome.ACCEPTED
    return Verdict(outcome, published, after)


def vouched(terms: Terms, data: Any, offset: int, timestamp: int) -> str | None:
    """The id of the key that verifiably signed the publication in an event's data, if any."""
    try:
        event = PolicyRevision.model_validate(data)
        key = _signer(terms, event, Seen(offset, timestamp, None, ()))
        return key.id if key is not None and publication_of(event).digest == event.digest else None
    except (ValidationError, RejectedError, PublicationRefusedError):
        return None


def _passed_over(skip: Skip) -> RejectedError:
    sentence = f"is passed over, by the word of {skip.by} of {instant(skip.at)}"
    return RejectedError("revision_refused", [FieldError(path="digest", message=sentence)])


def _repeats(chain: Chain, event: PolicyRevision) -> bool:
    return any(publication.digest == event.digest for publication in chain)


def _signer(terms: Terms, event: PolicyRevision, seen: Seen) -> Key | None:
    signature = _signature(event)
    return terms.signer(event.policy_number, event.author, event.digest, signature, seen.offset, seen.at)


def _times(event: PolicyRevision) -> Times:
    return Times(event.revision, event.effective, event.published, retroactive=event.retroactive is True)


def _signature(event: PolicyRevision) -> Signature | None:
    written = event.signature
    return Signature(written.key, b64decode(written.value)) if written is not None else None


class Judging:
    """Judges a whole topic, record by record."""

    def __init__(self, terms: Terms, packaged: Iterable[Chain]) -> None:
        """Judge by these terms; packaged publications need no verification."""
        self.terms = terms
        self.chains: dict[str, Chain] = {}
        self._packaged = Packaged({publication.digest: publication for chain in packaged for publication in chain})
        self._position = 0
        self._at_anchor: str | None = None

    def take(self, seen: Seen) -> Verdict:
        """Judge the next record."""
        verdict = judge(self.chains, self.terms, self._packaged, seen)
        if verdict.chain is not None:
            # Another thread may be reading the old one.
            self.chains = {**self.chains, verdict.chain.policy: verdict.chain}
        self._position = seen.offset + 1
        anchor = self.terms.signed_from
        found = verdict.publication or verdict.skipped
        if anchor is not None and seen.offset == anchor.offset and found is not None:
            self._at_anchor = found.digest
        return verdict

    def astray(self) -> str | None:
        """Why the topic does not match the anchor; None if it does, or without an anchor."""
        anchor = self.terms.signed_from
        if anchor is None or self._at_anchor == anchor.digest:
            return None
        there = self._at_anchor or ("no accepted revision" if self._position > anchor.offset else "nothing yet")
        return f"DLI_POLICY_SIGNED_FROM names the revision {anchor.digest} at offset {anchor.offset}; there is {there}"


def terms_of(settings: Settings) -> Terms:
    """The terms from a deployment's settings.

    Raises:
        PolicyDocumentError: The keys or the skip list are invalid.
    """
    folder, anchor, skips = settings.policy_keys, settings.policy_signed_from, settings.policy_skip_list
    keys = keyring(_files(folder)) if folder is not None else None
    return Terms(
        keyring=keys,
        skips=skip_list(str(skips), raw_of(skips, "what is read there"), keys)
        if keys is not None and skips is not None
        else SkipList(),
        signed_from=Anchor.parse(anchor) if anchor is not None else None,
        notice=timedelta(days=settings.policy_notice_days),
    )


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    try:
        names = sorted(folder.iterdir())
    except OSError as error:
        raise PolicyDocumentError(str(folder), [Problem((), f"cannot be read: {error.strerror}")]) from None
    for file in names:
        if file.suffix in {".yaml", ".yml"}:
            yield str(file), raw_of(file, "what is read there")


def decode_revision(value: bytes | None, headers: Headers) -> PolicyRevision:
    """Parse a record of the topic of revisions.

    Raises:
        RejectedError: As for a request.
        PublicationRefusedError: It is larger than a document may be.
    """
    if value is not None and len(value) > LARGEST:
        raise RejectedError("undecodable", [FieldError(path="", message=f"larger than {LARGEST:,} bytes")])
    try:
        tree = loads(value or b"")
    except ValueError as error:
        raise RejectedError("undecodable", [FieldError(path="", message=str(error))]) from None
    if not isinstance(tree, dict):
        raise RejectedError("undecodable", [FieldError(path="", message="not a JSON object")])
    kind, data = (
        (binary_attributes(headers).get("type"), tree) if is_binary(headers) else (tree.get("type"), tree.get("data"))
    )
    if kind != PolicyRevision.TYPE:
        message = f"should be {PolicyRevision.TYPE}"
        raise RejectedError("unsupported_type", [FieldError(path="type", message=message)])
    if isinstance(data, dict):
        # `publication_of` checks the document's own content.
        _within_bounds({**data, "document": None})
    try:
        return PolicyRevision.model_validate(data)
    except ValidationError as error:
        raise RejectedError("schema_violation", field_errors(error, PolicyRevision)[:MOST_PROBLEMS]) from None


def _within_bounds(tree: Any, *above: str) -> None:
    if (found := too_large(tree)) is not None:
        raise PublicationRefusedError((*above, *found.path), found.message)


def publication_of(event: PolicyRevision) -> Publication:
    """The publication in an event, with its claimed digest.

    Raises:
        RejectedError: Its document is malformed.
        PublicationRefusedError: Its claimed digest is wrong.
    """
    _within_bounds(event.document, "document")
    try:
        document = PolicyDocument.model_validate_json(json.dumps(event.document), strict=True)
    except ValidationError as error:
        found = field_errors(error, PolicyDocument)[:MOST_PROBLEMS]
        errors = [FieldError(path=f"document.{problem.path}", message=problem.message) for problem in found]
        raise RejectedError("schema_violation", errors) from None
    published = Publication(
        document=document,
        sha256=event.sha256,
        policy=event.policy_number,
        number=event.number,
        revision=event.revision,
        effective=event.effective,
        kinds=tuple(RevisionKind(kind) for kind in event.kinds),
        author=event.author,
        published=event.published,
        predecessor=event.predecessor,
        retroactive=event.retroactive is True,
        corrects=event.corrects,
    )
    if published.digest != event.digest:
        raise PublicationRefusedError(("digest",), f"is not the publication's digest, which is {published.digest}")
    return published


def moment(text: str) -> datetime:
    """Parse an instant, or a day as its end in UTC.

    Raises:
        ValueError: It is neither.
    """
    try:
        return datetime.combine(date.fromisoformat(text), time.max, UTC)
    except ValueError:
        return _INSTANT.validate_python(text)
