"""A trace joins the messages of one matter, and never another's."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.adapters.chain import MOST_MESSAGES, Again, Requested, chain_key, resolve
from events.adapters.submission import Chain, Refusal, SourceError
from tests.support.submissions import LINE, chain, request, submission


def _requested(found: object) -> Requested:
    assert isinstance(found, Requested)
    return found


def test_the_first_message_of_a_trace_is_a_request_of_its_own() -> None:
    found = _requested(resolve(submission(), None))
    assert found.request.request_id.startswith("9640001112:TR-1~")
    assert found.request.supersedes is None
    assert found.request.first_submitted_at is None
    assert found.context.request_id == found.request.request_id
    assert found.chain.newest == found.request.request_id


def test_a_message_that_follows_supersedes_the_newest() -> None:
    first = _requested(resolve(submission("first"), None))
    later = request(certification="revision", submitted_at="2025-06-05T10:00:00-05:00")
    second = _requested(resolve(submission("second", follows=True, request=later), first.chain))
    assert second.request.supersedes == first.request.request_id
    assert second.context.request["first_submitted_at"] == "2025-06-02T14:05:00-05:00"
    third = _requested(resolve(submission("third", follows=True, request=later), second.chain))
    assert third.request.supersedes == second.request.request_id
    assert third.chain.first_submitted_at == first.chain.first_submitted_at


def test_a_message_that_follows_nothing_known_supersedes_nothing() -> None:
    assert _requested(resolve(submission(follows=True), None)).request.supersedes is None


def test_a_message_that_does_not_follow_supersedes_nothing() -> None:
    found = _requested(resolve(submission(), chain("earlier")))
    assert found.request.supersedes is None
    assert found.chain.first_submitted_at == "2025-06-02T14:05:00-05:00"


def test_a_first_time_after_the_messages_own_is_left_out() -> None:
    found = _requested(resolve(submission(follows=True), chain("x", first_submitted_at="2025-07-01T00:00:00Z")))
    assert found.request.first_submitted_at is None


def test_the_same_message_makes_no_new_request() -> None:
    first = _requested(resolve(submission("first"), None))
    second = _requested(resolve(submission("second", follows=True), first.chain))
    assert resolve(submission("first"), second.chain) == Again(first.request.request_id)


@pytest.mark.parametrize(("known", "asked"), [(None, None), (chain("first"), "9640001112:TR-1~0123456789ab")])
def test_an_inquiry_asks_for_the_newest_request(known: Chain | None, asked: str | None) -> None:
    assert resolve(submission(kind="inquire"), known) == Again(asked)


def test_a_cancellation_without_lines_takes_those_of_its_trace() -> None:
    lines = (LINE | {"code": "38243"},)
    cancelled = request(certification="cancellation")
    del cancelled["service_lines"]
    found = _requested(resolve(submission(request=cancelled, follows=True), chain("earlier", service_lines=lines)))
    assert [line.code for line in found.request.service_lines] == ["38243"]
    assert found.chain.service_lines == lines
    refused = resolve(submission(request=cancelled, follows=True), None)
    assert isinstance(refused, Refusal)
    assert [(error.path, error.trouble) for error in refused.errors] == [("service_lines", "missing")]


def test_a_refused_message_stays_refused() -> None:
    error = SourceError(path="provider.npi", place="2010B NM109", trouble="missing", message="missing")
    refusal = Refusal(reason="schema_violation", errors=(error,))
    assert resolve(submission(refused=refusal, request=None), chain("first")) == refusal


def test_a_trace_with_too_many_messages_is_refused_not_forgotten() -> None:
    full = chain("x").model_copy(update={"messages": ("0" * 64,) * MOST_MESSAGES})
    refused = resolve(submission(), full)
    assert isinstance(refused, Refusal)
    assert refused.errors[0].path == "request_id"


def test_a_chain_belongs_to_one_partner_trace_and_member() -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"partner": "gulf"},
        {"trace": "9640001112:TR-2"},
        {"request": request(member={"member_id": "MHP0044002", "line_of_business": "commercial"})},
    ]
    keys = {chain_key(submission(**changed)) for changed in changes}
    assert len(keys) == len(changes)
    assert chain_key(submission("other text")) == chain_key(submission("first"))


@given(st.text(max_size=400), st.sampled_from(["a", "b"]))
def test_every_trace_gives_a_valid_request_id(trace: str, text: str) -> None:
    # Half a surrogate pair cannot cross the wire.
    found = resolve(submission(text, trace=trace.encode("utf-8", "replace").decode()), None)
    assert _requested(found).request.request_id.rpartition("~")[2] == submission(text).message[:12]
