"""The demo, run as a newcomer runs it."""

import pytest

from tests.workers.test_cli import dli


@pytest.mark.broker
def test_the_demo_answers_every_request_and_explains_one() -> None:
    ran = dli("demo")

    assert ran.code == 0, ran.err
    assert [line for line in ran.err.splitlines() if "rror" in line] == []
    assert "37 decisions and 2 dead letters for 39 requests" in ran.err
    text = " ".join(ran.out.split())
    for sentence in ("Request PA-2025-00101: A1 certified in total", "S1: yes", "how to go on", "undecodable"):
        assert sentence in text
