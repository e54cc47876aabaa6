"""What follows from how topics lie on the cluster, without one."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.topics import ANSWERED, DECISIONS, LINKS, REQUESTS, TOPICS
from tests.support.layouts import FOUND, lying
from workers.topics.layout import TopicLayout, Topology, absent, alike_topics, created_again, held_by_all, resized


def test_topics_that_lie_as_before_are_no_news() -> None:
    assert resized(FOUND, lying(), lying()) is None
    assert created_again(lying(), lying()) == []
    assert absent(FOUND, lying()) == []


@pytest.mark.parametrize("name", sorted(topic.name for topic in TOPICS if topic.partitions > 1))
@pytest.mark.parametrize("number", [1, 3, 5, 8])
def test_an_alike_topic_that_grows_alone_is_named_with_its_size(name: str, number: int) -> None:
    """A topic declared alike that grows or differs alone is named with its number of partitions."""
    now = lying(**{name.replace(".", "_").replace("-", "_"): number})

    sentence = resized(FOUND, lying(), now)

    assert sentence is not None
    assert f"{number} in p.{name}" in sentence
    assert f"`dli topics scale {max(4, number)}`" in sentence
    assert "`dli topics check`" in sentence
    assert resized(FOUND, now, now) == sentence, "also where a worker would have started so"


def test_topics_that_all_grew_are_to_be_started_on_anew() -> None:
    sentence = resized(FOUND, lying(), lying(8))
    assert sentence is not None
    assert f"{FOUND.topic(REQUESTS)} had 4 and has 8" in sentence


def test_a_topic_of_one_partition_that_grew_is_named_too() -> None:
    sentence = resized(FOUND, lying(), lying(authorization_links=2))
    assert sentence is not None
    assert f"{FOUND.topic(LINKS)} had 1 and has 2" in sentence


def test_a_topic_with_another_identity_is_created_again() -> None:
    """A topic counts as recreated if its identity is another, and not while it is absent."""
    name = FOUND.topic(ANSWERED)
    gone = {one: where for one, where in lying().items() if one != name}

    assert created_again(lying(), gone) == []
    assert absent(FOUND, gone) == [name]
    assert created_again(lying(), gone | {name: TopicLayout("another", 4)}) == [name]


def test_brokers_without_identities_make_nothing_look_new() -> None:
    without: Topology = {name: TopicLayout(None, where.partitions) for name, where in lying().items()}
    assert created_again(without, without) == []


def test_the_topics_that_must_be_alike_have_many_partitions() -> None:
    """The topics that must be alike are those of many partitions."""
    assert FOUND.topic(REQUESTS) in alike_topics(FOUND)
    assert FOUND.topic(LINKS) not in alike_topics(FOUND)


@given(st.dictionaries(st.sampled_from("abc"), st.sets(st.integers(0, 3))))
def test_a_topic_without_a_missing_partition_is_held_in_full(by_member: Mapping[str, set[int]]) -> None:
    """All of a topic is held where no partition of it is missing."""
    requests = FOUND.topic(REQUESTS)
    distribution = [{requests: numbers, FOUND.topic(DECISIONS): {0, 1, 2, 3}} for numbers in by_member.values()]

    all_held = set[int]().union(*by_member.values()) == {0, 1, 2, 3}

    assert held_by_all(distribution, requests, lying()) == all_held
    assert not held_by_all(distribution, requests, {})
