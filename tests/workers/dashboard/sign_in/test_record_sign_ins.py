"""Who comes in, goes and guesses is recorded; no login without a record, no flood of records by whoever guesses."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.audit import Acted
from events.topics import AUDIT
from tests.support.audit import without_the_topic
from tests.support.guarded_dashboard import ACT, BOTH, TOKEN, WRONG, client, guarded
from tests.support.running import eventually, everything_on, settings_for
from workers.audit.record_acts import UnrecordedError
from workers.configuration.settings import Settings, read
from workers.dashboard.data.actions import ForbiddenError, redrive
from workers.dashboard.sign_in.guard import COOKIE
from workers.dashboard.sign_in.record_sign_ins import EVERY_SECONDS, MOST_A_MINUTE, MOST_WHO, Bound, Records
from workers.dashboard.sign_in.roles import Role, Visitor
from workers.dashboard.sign_in.sessions import Sessions
from workers.process.logs import Hasher
from workers.topics import apply_topics


@pytest.fixture
def found(bootstrap: str, prefix: str, tmp_path: Path) -> Settings:
    made = settings_for(bootstrap, prefix, tmp_path)
    apply_topics.apply(made)
    return made


@contextmanager
def recording(settings: Settings) -> Iterator[Records]:
    """The dashboard's, with its thread; all is on the brokers behind it."""
    records, over = Records(settings), Event()
    thread = Thread(target=records.run, args=(over,))
    thread.start()
    try:
        yield records
    finally:
        over.set()
        thread.join(60)


def told(found: Settings) -> list[Acted]:
    return [Acted.model_validate(json.loads(one.value)["data"]) for one in everything_on(found, AUDIT)]


@pytest.mark.broker
def test_logins_logouts_and_wrong_tokens_are_recorded(found: Settings) -> None:
    with recording(found) as records, client(BOTH, app=guarded(BOTH, records=records)) as asking:
        assert asking.post("/login", data={"token": WRONG}).status_code == 401
        assert asking.get("/", headers={"authorization": f"Bearer {WRONG}"}).status_code == 401
        entered = asking.post("/login", data={"token": ACT})
        assert asking.get("/").text == "ACT"
        assert asking.post("/logout").status_code == 303
        assert asking.post("/logout").status_code == 303  # nobody is there any more
    seen = told(found)

    assert {(one.what, one.outcome, one.reason) for one in seen} == {
        ("dashboard token", "refused", "wrong_token"),
        ("dashboard login", "done", None),
        ("dashboard logout", "done", None),
    }
    assert len(seen) == 3
    by = {one.what: one.who for one in seen}
    assert by["dashboard token"].address == Hasher(found.log_key)("10.0.0.9")
    assert by["dashboard login"] == by["dashboard logout"]
    assert (by["dashboard login"].role, len(by["dashboard login"].session or "")) == ("act", 8)
    shown = SimpleCookie(entered.headers["set-cookie"])[COOKIE].value
    texts = b"".join(one.value for one in everything_on(found, AUDIT)).decode()
    assert [secret for secret in (ACT, WRONG, shown, "10.0.0.9") if secret in texts] == []


@pytest.mark.broker
def test_an_unrecorded_visitor_may_not_enter_but_may_leave(found: Settings) -> None:
    """A visitor whose login cannot be recorded is not let in, and a visitor can always leave."""
    sessions = Sessions(60, 600)
    with recording(found) as records, client(BOTH, app=guarded(BOTH, sessions, records=records)) as asking:
        assert asking.post("/login", data={"token": TOKEN}).status_code == 303
        without_the_topic(found)
        refused = client(BOTH, app=guarded(BOTH, sessions, records=records)).post("/login", data={"token": ACT})
        assert asking.get("/").text == "VIEW"  # as before
        left = asking.post("/logout")
        again = asking.get("/")

    assert (refused.status_code, COOKIE in refused.headers.get("set-cookie", "")) == (503, False)
    assert "Who logs in is recorded" in refused.text
    assert (left.status_code, again.status_code) == (303, 401)


@pytest.mark.broker
def test_an_act_is_done_only_if_it_is_recorded(found: Settings) -> None:
    """An act is recorded with its session and is not done without its record."""
    sessions = Sessions(60, 600)
    visitor = Visitor(Role.ACT, sessions.find(sessions.begin(Role.ACT)))
    assert visitor.session is not None
    with recording(found) as records:
        assert redrive(visitor, True, found, [], records) == []
        with pytest.raises(ForbiddenError):
            redrive(Visitor(Role.VIEW), True, found, [], records)
    seen = told(found)
    without_the_topic(found)
    with pytest.raises(UnrecordedError):
        redrive(visitor, True, found, [], Records(found))

    assert [(one.what, one.outcome, one.reason) for one in seen] == [
        ("dashboard redrive", "begun", None),
        ("dashboard redrive", "done", None),
        ("dashboard redrive", "refused", "role"),
    ]
    assert (seen[0].who.session, seen[0].who.role, seen[0].who.user) == (visitor.session.name, "act", None)


# --- how often -----------------------------------------------------------------------------------------------------


class Clock:
    """Goes as it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 30)), max_size=60))
def test_one_is_told_of_once_a_minute_and_none_of_it_is_lost(some: list[tuple[str, int]]) -> None:
    clock = Clock()
    bound = Bound(clock)
    times: dict[str, list[float]] = {}
    counted: dict[str, int] = {}
    for who, later in some:
        clock.now += later
        count = bound.due(who)
        if count:
            times.setdefault(who, []).append(clock.now)
        counted[who] = counted.get(who, 0) + count
    for who, told_at in times.items():
        assert all(after - before >= EVERY_SECONDS for before, after in pairwise(told_at))
        clock.now += EVERY_SECONDS
        assert counted[who] + bound.due(who) == sum(one == who for one, _ in some) + 1


def test_however_many_guess_the_topic_and_memory_are_not_flooded() -> None:
    clock, heard = Clock(), list[Acted]()
    bound = Bound(clock)

    assert sum(bound.due(f"{number}") for number in range(3 * MOST_WHO)) == MOST_A_MINUTE
    assert len(bound) == MOST_WHO
    clock.now += EVERY_SECONDS
    assert sum(bound.due(f"{number}") > 0 for number in range(3 * MOST_WHO, 4 * MOST_WHO)) == MOST_A_MINUTE

    records, over = Records(read(), lambda _, acted: heard.append(acted), clock), Event()
    for _ in range(100):
        records.wrong_token("fd00::7")
        records.wrong_token("fd00::8")  # of the same network
    clock.now += EVERY_SECONDS
    records.wrong_token("fd00::7")
    over.set()
    records.run(over)
    assert [one.arguments.count for one in heard] == [1, 200]


def test_waiting_records_are_bounded_and_tried_once_at_the_end() -> None:
    """Waiting records are bounded, and a broker that is away is waited for only once, at the end."""
    asked = list[Acted]()

    def away(_: Settings, acted: Acted) -> None:
        asked.append(acted)
        raise UnrecordedError("away")

    records, over = Records(read(), away), Event()
    for _ in range(3_000):
        records.logout(Visitor(Role.VIEW))
    over.set()
    records.run(over)

    assert eventually(lambda: len(asked) == 1)
