"""Documents as large as policies become: counts of criteria, many codes, many intervals, and no structure at all."""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from policy_core.document.models import PolicyDocument
from tests.support.bombs import Json, document, is_

EIGHT = [f"from_{at}" for at in range(8)]


def counted(count: int, facts: Sequence[str]) -> Iterator[Json]:
    """At least `count` of the facts, as named conditions that only use `all` and `any`; the last one is all of it.

    Each has one fact more, of which it needs one less where that holds.
    """
    total = len(facts)
    for done, fact in enumerate(reversed(facts), start=1):
        for number in range(max(1, count - (total - done)), min(done, count) + 1):
            here: Json = is_(fact)
            with_it = here if number == 1 else {"all": [here, {"condition": f"{number - 1}-of-{done - 1}"}]}
            without = [{"condition": f"{number}-of-{done - 1}"}] if number < done else []
            when = {"any": [with_it, *without]}
            yield {"id": f"{number}-of-{done}", "says": f"At least {number} of {done}.", "when": when}


def counting(count: int, total: int) -> PolicyDocument:
    """One rule, which applies if at least `count` of `total` boolean facts are true."""
    facts = [f"f{at}" for at in range(total)]
    *first, last = counted(count, facts)
    return document(facts, last["when"], conditions=[*first, {**last, "id": "bomb"}])


def criteria_of_codes(codes: int = 300, sets: int = 10, facts: int = 20, seed: int = 18) -> PolicyDocument:
    """Each set of codes has criteria of its own over the same facts; a fact says to which set the code belongs."""
    random = Random(seed)
    groups = [f"set_{at}" for at in range(sets)]
    paths = [f"clinical.f{at}" for at in range(facts)]
    declared: list[Json] = [_choice("clinical.group", [*groups, "none"])]
    declared += [_choice(path, ["no", "mild", "severe"]) for path in paths]
    rules: list[Json] = []
    for at in range(sets):
        degrees = [["mild", "severe"][random.randrange(2) :] for _ in range(12)]
        tested = [random.sample(paths, 3) for _ in range(4)]
        criteria = [{"all": [{"fact": path, "in": degrees.pop()} for path in three]} for three in tested]
        mine = {"fact": "clinical.group", "is": groups[at]}
        rules.append(_rule(f"set-{at}", {"all": [mine, {"any": criteria}]}, "medically_necessary"))
    rules.append(_last())
    listed = [{"system": "own", "code": f"C{at:03}"} for at in range(codes)]
    return of_facts(declared, rules=rules, codes=_codes(listed))


def intervals(moved: int = 0, count: int = 10, rules: int = 1, indications: int = 12, seed: int = 7) -> PolicyDocument:
    """Facts of eight intervals each; rules with a reason of their own for any of some indications of three facts.

    `moved` shifts a third of the thresholds.
    """
    random = Random(seed)
    paths = [f"clinical.n{at}" for at in range(count)]

    def indication() -> Json:
        lowest = [random.randrange(1, 7) + (0 if at else moved) for at in range(3)]
        tested = random.sample(paths, 3)
        return {"all": [{"fact": path, "in": EIGHT[low:]} for path, low in zip(tested, lowest, strict=True)]}

    made: list[Json] = []
    for at in range(rules):
        determination = ("medically_necessary", "investigational", "not_medically_necessary")[at % 3]
        rule = _rule(f"rule-{at}", {"any": [indication() for _ in range(indications)]}, determination)
        rule["outcomes"][0]["reason"] = f"reason_{at}"
        made.append(rule)
    return of_facts([_choice(path, EIGHT) for path in paths], rules=[*made, _last()])


def random_indications(facts: int = 60, count: int = 40, seed: int = 18) -> PolicyDocument:
    """Indications of five facts drawn by lot: no order of the facts suits them."""
    random = Random(seed)
    names = [f"f{at}" for at in range(facts)]
    indications = [
        {"all": [is_(name) if random.random() < 0.5 else {"not": is_(name)} for name in random.sample(names, 5)]}
        for _ in range(count)
    ]
    return document(names, {"any": indications})


def _choice(path: str, values: Sequence[str]) -> Json:
    return {"path": path, "kind": "choice", "values": list(values), "question": f"{path}?"}


def _rule(name: str, when: Json, determination: str) -> Json:
    outcomes = [{"since": "2020-01-01", "determination": determination}]
    return {"id": name, "says": f"{name}.", "when": when, "outcomes": outcomes}


def _last() -> Json:
    return _rule("last", {"otherwise": True}, "criteria_not_met")


def _codes(listed: Sequence[Json]) -> Json:
    systems = [{"system": "own", "says": "Ours."}]
    return {"id": "codes", "says": "Codes.", "systems": systems, "listed": list(listed)}


def of_facts(facts: Sequence[Json], **parts: Any) -> PolicyDocument:
    """A document over facts of any kind; `parts` replace those of `bombs.document`."""
    tree = document(["any"], {"otherwise": True}).model_dump(mode="json", by_alias=True)
    return PolicyDocument.model_validate({**tree, "facts": list(facts), "conditions": [], **parts}, strict=False)
