"""The records of new revisions: made or read from a file, and judged as workers would judge them now."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from events.envelope import STRUCTURED
from events.revision import PolicyRevision
from events.topics import POLICY_REVISIONS
from policy_core.history.chain import PublicationRefusedError
from policy_core.publications.publication import Publication
from policy_core.publications.signatures import sign
from workers.configuration.settings import Settings
from workers.kafka.records import OutgoingRecord
from workers.policies.publication_candidates import RevisionError
from workers.policies.revision_events import Seen, Verdict, as_record
from workers.policies.revision_topic import Known


def signed_before(file: Path, raw: bytes, found: Settings) -> Iterator[OutgoingRecord]:
    """The records written by `sign`; empty if the file is something else, such as a document.

    Raises:
        RevisionError: A line has another event.
    """
    if not is_event(raw):
        return
    for number, line in enumerate(raw.splitlines(), 1):
        try:
            event = json.loads(line)
            revision = PolicyRevision.model_validate(event["data"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise RevisionError(f"{file}:{number}: is no revision as `dli policy sign` writes it") from None
        headers = (("content-type", STRUCTURED.encode()),)
        yield OutgoingRecord(found.topic(POLICY_REVISIONS), revision.key, line, headers)


def is_event(raw: bytes) -> bool:
    """Whether a file has events, as `sign` writes them, and not a document."""
    try:
        tree = json.loads(raw.partition(b"\n")[0])
    except (ValueError, RecursionError):
        return False
    return isinstance(tree, dict) and "specversion" in tree


HINTS = {
    "signature": "; sign it with --key FILE",
    "effective": "; --effective DATE names a later day, --retroactive says that it may be so",
}
"""Advice on a refusal, by the invalid field."""


def records_of(
    file: Path | str, wanted: list[Publication], key: Ed25519PrivateKey | None, found: Settings
) -> list[OutgoingRecord]:
    """The records of publications, signed if there is a key.

    Raises:
        RevisionError: One cannot be written.
    """
    topic, mode = found.topic(POLICY_REVISIONS), "structured" if key is not None else found.mode
    try:
        signed = (
            replace(publication, signature=sign(key, publication.digest)) if key is not None else publication
            for publication in wanted
        )
        return [as_record(publication, topic, found.source, mode) for publication in signed]
    except PublicationRefusedError as refused:
        raise RevisionError(f"{file}: {refused}") from None


def judged(file: Path | str, records: list[OutgoingRecord], known: Known) -> list[Verdict]:
    """How workers would judge these records now.

    Raises:
        RevisionError: They would refuse one.
    """
    verdicts = []
    for offset, record in enumerate(records, known.end):
        now = round(datetime.now(UTC).timestamp() * 1000)
        verdict = known.judging.take(Seen(offset, now, record.value, record.headers))
        if verdict.rejected is not None:
            why = "; ".join(f"{error.path}: {error.message}" for error in verdict.rejected.errors)
            hint = next((HINTS[error.path] for error in verdict.rejected.errors if error.path in HINTS), "")
            raise RevisionError(f"{file}: {why}{hint}")
        verdicts.append(verdict)
    return verdicts
