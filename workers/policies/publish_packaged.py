"""Publishes the packaged documents' revisions that the topic of revisions lacks; never done by a worker.

Workers read `policy.revisions` and cannot write to it: otherwise a compromised worker could publish a policy that
certifies anything. So `dli topics apply` publishes a release's revisions before its workers start.
"""

from collections.abc import Iterable, Sequence

from events.topics import POLICY_REVISIONS
from policy_core.history.chain import Chain
from policy_core.history.library import Library
from policy_core.publications.publication import Publication, publication
from workers.configuration.settings import Settings
from workers.console.errors import DliError
from workers.policies.revision_events import Judging, as_record
from workers.policies.revision_topic import read_known, send

ROUNDS = 3
"""Attempts to publish; what the topic lacks after that, it refuses."""


class ForkedError(DliError):
    """The packaged documents contradict the topic of revisions; the message says where."""


def publish_packaged(settings: Settings, library: Library) -> int:
    """Publish the packaged revisions that the topic lacks; return their number.

    Raises:
        ForkedError: They contradict the topic, are not signed, or are refused.
        ReadingError: The brokers do not respond or refuse access, or the topic does not match the anchor.
        PolicyDocumentError: The publishers' keys are unreadable.
    """
    packaged, count = [library.chain(number) for number in library.numbers], 0
    for _ in range(ROUNDS):
        known = read_known(settings, library)
        missing = lacking(known.judging, packaged, known.end, settings)
        if not missing:
            return count
        topic = settings.topic(POLICY_REVISIONS)
        send(settings, [as_record(publication, topic, settings.source, settings.mode) for publication in missing])
        count += len(missing)
    rejected = [
        verdict.rejected for verdict in read_known(settings, library).verdicts.values() if verdict.rejected is not None
    ]
    why = "; ".join(f"{error.path}: {error.message}" for error in (rejected[-1].errors if rejected else ()))
    first = missing[0]
    where = settings.topic(POLICY_REVISIONS)
    raise ForkedError(f"policy {first.policy}: {where} does not take the packaged revision of {first.revision}: {why}")


def is_behind(settings: Settings, library: Library) -> bool:
    """Whether the topic lacks packaged revisions.

    Raises:
        ForkedError: They contradict the topic, or are not signed.
        ReadingError: The brokers do not respond, or the topic does not match the anchor.
        PolicyDocumentError: The publishers' keys are unreadable.
    """
    known = read_known(settings, library)
    return bool(lacking(known.judging, [library.chain(number) for number in library.numbers], known.end, settings))


def lacking(judging: Judging, packaged: Iterable[Chain], position: int, settings: Settings) -> Sequence[Publication]:
    """The packaged revisions that the topic, judged up to `position`, lacks.

    Raises:
        ForkedError: They contradict the topic, or are not signed.
    """
    topic = settings.topic(POLICY_REVISIONS)
    return [candidate for chain in packaged for candidate in _lacking(judging, chain, position, topic)]


def _lacking(judging: Judging, packaged: Chain, position: int, topic: str) -> Sequence[Publication]:
    known = judging.chains.get(packaged.policy, Chain(packaged.policy))
    # Author and time of the same document may differ; corrected revisions were published too.
    published = {(entry.revision, entry.sha256) for entry in known}
    last = known.standing[-1] if known.links else None
    made: list[Publication] = []
    for candidate in packaged:
        if not made and (candidate.revision, candidate.sha256) in published:
            continue
        # Do not send what the topic would refuse: it has a later or a different revision.
        if last is not None and not made and not _continues(last, candidate):
            theirs = known.in_force(candidate.revision) or known.links[0]
            raise ForkedError(
                f"policy {packaged.policy}: the packaged document has the revision of {candidate.revision} as "
                f"{candidate.sha256}, but {topic} has that of {theirs.revision} as {theirs.sha256}; deploy "
                "the document that was published, or take that revision back: `dli policy publish --corrects` puts "
                "another in its place, `dli policy withdraw` none"
            )
        made.append(publication(candidate.document, made[-1].digest if made else known.known_through))
        if judging.terms.wants_signature(position, made[-1].digest):
            raise ForkedError(
                f"policy {packaged.policy}: {topic} lacks the packaged revision of {candidate.revision}, and "
                "nobody has signed it: `dli policy publish FILE --key KEY --execute` does both"
            )
    return made


def _continues(last: Publication, following: Publication) -> bool:
    """Whether a packaged revision follows the last current one, with the same history."""
    return following.revision > last.revision and following.document.revisions[:-1] == last.document.revisions
