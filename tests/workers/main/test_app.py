"""The composition root: what a worker is known by."""

from pathlib import Path
from socket import gethostname

import pytest

from tests.support.packaged import packaged_library
from workers.configuration.settings import read
from workers.main.app import make_app
from workers.policies.revision_follower import Follower
from workers.topics.watch import TopicWatch


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ({}, "127.0.0.1"),
        ({"web_host": "10.0.0.7"}, "10.0.0.7"),
        ({"web_host": "0.0.0.0"}, gethostname()),  # noqa: S104 (nothing listens)
        ({"web_host": "0.0.0.0", "web_name": "dli-worker-3.dli-worker"}, "dli-worker-3.dli-worker"),  # noqa: S104
    ],
)
def test_other_workers_get_a_host_that_reaches_this_one(tmp_path: Path, given: dict[str, str], host: str) -> None:
    """Other workers get a host name by which they reach this worker."""
    found = read(data_dir=tmp_path, **given)

    app = make_app(found, Follower(found, packaged_library()), TopicWatch(found, {}))

    assert str(app.conf.canonical_url) == f"http://{host}:6066"
