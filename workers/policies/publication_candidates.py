"""Publications to be made: a document's unpublished revisions, a correction, a withdrawal."""

from datetime import date, datetime

from policy_core.document.models import PolicyDocument
from policy_core.history.chain import Chain
from policy_core.history.publication_terms import released
from policy_core.loading.document_at_revision import as_of
from policy_core.publications.publication import Publication, publication, publications
from workers.console.errors import DliError


class RevisionError(DliError):
    """A revision cannot be published or taken back as asked; the message says why."""

    is_refusal = True


def candidates(
    document: PolicyDocument,
    chain: Chain,
    author: str,
    effective: date | None,
    published: datetime,
    *,
    retroactive: bool = False,
    corrects: Publication | None = None,
) -> list[Publication]:
    """A document's unpublished revisions.

    Those after the newest, the last one again for a correction, or all of a new policy.
    """
    newest = chain.newest
    made: list[Publication] = []
    if newest is None:
        for candidate in publications(document):
            # Packaged revisions keep their publisher; others get the current author.
            before, packaged = made[-1].digest if made else None, candidate.digest in released()
            mine = None if packaged else author
            made.append(publication(candidate.document, before, author=mine, retroactive=retroactive and not packaged))
        return made
    standing = list(chain.standing)
    if corrects is not None:
        del standing[standing.index(corrects) :]
    elif document.digest() == newest.sha256:
        return []
    last = standing[-1].revision if standing else date.min
    later = [revision.date for revision in document.revisions if revision.date > last] or [document.revisions[-1].date]
    for day in later:
        predecessor = made[-1].digest if made else newest.digest
        mine_from = effective if day == later[-1] else None
        past = as_of(document, day)
        made.append(
            publication(
                past,
                predecessor,
                author=author,
                effective=mine_from,
                published=published,
                retroactive=retroactive,
                corrects=corrects.digest if corrects is not None and not made else None,
            )
        )
    return made


def taken_back(chain: Chain, named: str) -> Publication:
    """The publication to withdraw, by its digest prefix.

    Raises:
        RevisionError: No current publication has it.
    """
    found = [publication for publication in chain.standing if publication.digest.startswith(named)]
    if len(found) != 1:
        several = "several publications have" if found else "no publication that stands has"
        raise RevisionError(f"{several} the digest {named}: `dli policy history {chain.policy}` shows them")
    return found[0]


def withdrawal(chain: Chain, named: str, author: str, published: datetime, *, retroactive: bool) -> Publication:
    """The publication that withdraws one without a replacement.

    Raises:
        RevisionError: It is not current, or has no predecessor.
    """
    corrected = taken_back(chain, named)
    at = chain.standing.index(corrected)
    if not at:
        raise RevisionError(f"{corrected.digest} is the first of {chain.policy}: without it nothing would be left")
    return publication(
        chain.standing[at - 1].document,
        chain.known_through,
        author=author,
        effective=min(publication.effective for publication in chain.standing[at:]),
        published=published,
        retroactive=retroactive,
        corrects=corrected.digest,
    )
