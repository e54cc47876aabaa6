"""The dry run of a revision that lies in the past says what it would change of what is recorded."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from policy_core.document.models import PolicyDocument
from tests.support.cases import packaged
from tests.support.commands import Ran, dli
from tests.support.policy_files import written
from tests.support.publishing import revised
from tests.support.requests import covered
from tests.support.revisions import decided
from tests.support.running import eventually, publish, settings_for, worker
from workers.configuration.settings import Settings
from workers.topics import apply_topics

pytestmark = pytest.mark.kafka


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    made = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(made)
    return made


def check(found: Settings, document: PolicyDocument, folder: Path, *options: str) -> Ran:
    """The dry run of a document's publication."""
    where = ("--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix)
    return dli("policy", "publish", written(folder, document), "--author", "X", *where, *options)


def unchanged(day: date) -> PolicyDocument:
    tree: dict[str, Any] = packaged().document.model_dump(mode="json", by_alias=True)
    tree["revisions"].append({"date": day.isoformat(), "kinds": ["review"], "says": "Reviewed.", "cites": []})
    return PolicyDocument.model_validate(tree, strict=False)


def test_a_retroactive_revision_counts_the_decisions_it_changes(found: Settings, tmp_path: Path) -> None:
    """The dry run of a retroactive revision says how many recorded decisions it would change, and which."""
    document = packaged().document
    past, today = date(2025, 10, 1), datetime.now(UTC).date()
    with worker(found, tmp_path):
        publish(found, [covered(f"E-{at}", "2025-12-01") for at in range(3)])
        publish(found, [covered("E-EARLY", "2025-09-01")])
        assert eventually(lambda: decided(found, "E-EARLY") is not None and decided(found, "E-2") is not None)
        archive = tmp_path / "archive"
        where = ("--bootstrap", found.bootstrap, "--topic-prefix", found.topic_prefix)
        assert dli("archive", str(archive), *where).code == 0
        of_topics = check(found, revised(document, past), tmp_path)
        of_archive = check(found, revised(document, past), tmp_path, "--log", str(archive))
        of_nothing = check(found, revised(document, past), tmp_path, "--log", str(tmp_path / "absent"))
        alike = check(found, unchanged(past), tmp_path)
        ahead = check(found, revised(document, today + timedelta(days=30)), tmp_path)

    for ran in (of_topics, of_archive):
        said = " ".join(ran.out.split())
        assert ran.code == 3, ran.err
        assert f"It lies in the past: it is effective from 2025-10-01, {(today - past).days} days ago" in said
        assert "medically necessary → criteria not met, such as " in said
        assert said.count(" line 1") == 3, "each of the three, by its place"
        assert "E-0" not in ran.out + ran.err, "and by no id"
        assert "nothing was sent" in ran.err
    assert (of_nothing.code, "is not known: " in of_nothing.err) == (0, True), of_nothing.err
    assert (alike.code, "It lies in the past" in alike.out, "such as" in alike.out) == (0, True, False)
    assert (ahead.code, "It lies in the past" in ahead.out) == (0, False)
    assert (
        json.loads(dli("policy", "history", "L.2.03.402", "-o", "json", *where).out)["revisions"][-1]["revision"]
        == "2025-03-28"
    )
