"""Sessions: one for each login, which end."""

from workers.dashboard.sign_in import sessions
from workers.dashboard.sign_in.roles import Role, Visitor
from workers.dashboard.sign_in.sessions import Sessions


class Clock:
    """Goes as it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_each_login_has_an_id_of_its_own_and_only_that_finds_it() -> None:
    found = Sessions(60, 600)
    ids = {found.begin(Role.VIEW) for _ in range(100)}

    assert len(ids) == 100
    assert min(map(len, ids)) >= 43  # 32 random bytes
    assert all(found.find(one) is not None for one in ids)
    assert [found.find(one) for one in ("", "x", "\udcff", next(iter(ids))[:-1])] == [None] * 4
    assert not any(one in repr(vars(found)) for one in ids)


def test_one_ends_when_nobody_does_anything_and_when_it_is_old() -> None:
    clock = Clock()
    found = Sessions(60, 600, clock)
    idle, busy = found.begin(Role.VIEW), found.begin(Role.ACT)
    for _ in range(11):
        clock.now += 55
        session = found.find(busy)
        if session is not None:
            session.use()

    assert clock.now == 605
    assert (found.find(idle), found.find(busy)) == (None, None)
    assert (found.was(idle), found.was(busy), found.was("never")) == (True, True, False)


def test_to_find_one_is_no_use_of_it() -> None:
    clock = Clock()
    found = Sessions(60, 600, clock)
    shown = found.begin(Role.VIEW)
    for _ in range(3):
        clock.now += 25
        found.find(shown)

    assert found.find(shown) is None


def test_one_that_is_logged_out_is_over_for_whoever_holds_it() -> None:
    found = Sessions(60, 600)
    first, second = found.begin(Role.ACT), found.begin(Role.ACT)
    held = found.find(first)
    assert held is not None
    visitor = Visitor(Role.ACT, held)
    assert visitor.may(Role.ACT)
    found.end(first)
    held.use()

    assert (visitor.stands(), visitor.may(Role.ACT), visitor.may(Role.VIEW)) == (False, False, False)
    assert (found.find(first), found.find(second) is not None) == (None, True)


def test_there_are_only_so_many() -> None:
    clock = Clock()
    found = Sessions(60, 600, clock)
    first = found.begin(Role.VIEW)
    held = found.find(first)
    ids = [found.begin(Role.VIEW) for _ in range(sessions.MOST)]

    assert held is not None
    assert not held.lasts()
    assert found.find(first) is None
    assert sum(found.find(one) is not None for one in ids) == sessions.MOST


def test_who_may_act_may_look_and_not_the_other_way_round() -> None:
    roles = (Role.NONE, Role.VIEW, Role.ACT)

    assert [[Visitor(one).may(other) for other in (Role.VIEW, Role.ACT)] for one in roles] == [
        [False, False],
        [True, False],
        [True, True],
    ]
