"""What others are measured on: rules generated from the policy, the same cases, and programs that do the same work."""

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from xml.etree import ElementTree

import pytest

from events.topics import ANSWERED, DECISIONS
from policy_core.evaluate.determine import Policy
from policy_core.loading.load import parse
from tests.benchmarks import streams
from tests.benchmarks.peers import cases, evaluations, languages
from tests.benchmarks.peers.cases import Answer
from tests.benchmarks.peers.decision_table import Column, DecisionTable, Value, decision_table
from tests.benchmarks.peers.evaluations import Contest, Evaluation
from tests.benchmarks.processes import BenchmarkError, Fill, Variant, check, room, running, wait_until
from tests.benchmarks.throughput import Run
from tests.benchmarks.work import ENTRY, PARTITIONS, requests
from tests.support import naive
from tests.support.cases import PACKAGED_FILE, other, packaged
from tests.support.places import ROOT
from tests.support.running import everything_on
from workers.configuration.settings import Settings

TABLE = decision_table(packaged().document)
PEERS = ROOT / "tests" / "benchmarks" / "peers"

# --- the table -----------------------------------------------------------------------------------------------------


def decided(table: DecisionTable, made: dict[str, Any]) -> Answer | None:
    """What the first row says whose tests hold."""
    for row in table.rows:
        if all(value_of(made, column) in values for column, values in row.tests.items()):
            return row.determination, row.reason, row.rule
    return None


def value_of(made: dict[str, Any], column: Column) -> Value:
    found: Any = made
    for name in column.path.split("."):
        found = found[name]
    return found if column.element is None else column.element in found


def wrong(table: DecisionTable) -> list[cases.Asked]:
    """The cases of a sample that a table decides otherwise than the second evaluation."""
    document = packaged().document
    return [
        one for one in cases.complete(2_000) if decided(table, cases.as_input(one)) != cases.expected(document, one)
    ]


def test_the_table_decides_as_the_second_evaluation_does() -> None:
    assert wrong(TABLE) == []


def test_a_table_that_lacks_a_row_is_found() -> None:
    for at in range(len(TABLE.rows)):
        assert wrong(TABLE._replace(rows=TABLE.rows[:at] + TABLE.rows[at + 1 :])) != []


def inputs(policy: Policy, count: int) -> Iterator[tuple[dict[str, Any], tuple[str, str | None, str]]]:
    """Complete cases of any policy, and what our own evaluation finds."""
    rng = Random(402)
    for _ in range(count):
        edition = rng.choice(list(policy.editions.values()))
        pattern = tuple(rng.randrange(len(variable.domain)) for variable in policy.variables)
        made: dict[str, Any] = {"edition": edition.since.isoformat()}
        for variable, index in zip(policy.variables, pattern, strict=True):
            *above, last = variable.path.split(".")
            at = made
            for name in above:
                at = at.setdefault(name, {})
            at[last] = variable.domain[index]
        finding = edition.find(pattern)
        yield made, (finding.determination.value, next(iter(finding.reasons), None), finding.rows[0].rule.id)


def test_another_policys_table_decides_as_our_own_evaluation() -> None:
    table = decision_table(other().document)

    assert [made for made, answer in inputs(other(), 2_000) if decided(table, made) != answer] == []


def test_a_condition_that_does_not_hold_has_its_alternatives() -> None:
    investigational = "{condition: transplant-was-investigational}"
    unless = "{not: {all: [{fact: clinical.chimerism, is: mixed}, {not: {condition: to-prevent-relapse}}]}}"
    text = PACKAGED_FILE.read_text("utf-8")
    changed = text.replace(f"when: {investigational}\n", f"when: {{all: [{investigational}, {unless}]}}\n")
    table = decision_table(parse(changed.encode(), "changed.yaml"))

    tests = [list(row.tests.items()) for row in table.rows if row.rule == "investigational-transplant"]

    assert changed != text
    assert {alternative[-1] for alternative in tests} == {
        (Column(naive.CHIMERISM), frozenset({"full_donor", "recipient"})),
        (Column(naive.PURPOSES, naive.PREVENT), frozenset({True})),
    }


# --- the languages -------------------------------------------------------------------------------------------------


def of_zen(rules: str) -> list[list[str | None]]:
    [table] = [node["content"] for node in json.loads(rules)["nodes"] if node["type"] == "decisionTableNode"]
    names = {one["id"] for one in table["inputs"]} | {"_id", *languages.OUTPUTS}
    assert all(set(row) == names for row in table["rules"])
    return [[json.loads(row[name]) for name in languages.OUTPUTS] for row in table["rules"]]


def of_rego(rules: str) -> list[list[str | None]]:
    assert rules.startswith("package policy\n\nanswer := ")
    rows = re.split(r"^(?:answer|\} else) := ", rules, flags=re.MULTILINE)[1:]
    assert all(row.startswith("[") and "\n\t" in row for row in rows[:-1])  # each has tests but for the last
    return [json.loads(row[: row.index("]") + 1]) for row in rows]


def of_dmn(rules: str) -> list[list[str | None]]:
    name = {"d": languages.DMN}
    [table] = ElementTree.fromstring(rules).iterfind(".//d:decisionTable", name)  # noqa: S314 (our own)
    columns = len(table.findall("d:input", name))
    rows = table.findall("d:rule", name)
    assert [len(row.findall("d:inputEntry", name)) for row in rows] == [columns] * len(rows)
    return [[json.loads(text.text or "") for text in row.iterfind("d:outputEntry/d:text", name)] for row in rows]


LANGUAGES = [(languages.zen, of_zen), (languages.rego, of_rego), (languages.dmn, of_dmn)]
OUTPUTS = [[row.determination, row.reason, row.rule] for row in TABLE.rows]


@pytest.mark.parametrize(("write", "read"), LANGUAGES)
def test_every_language_has_all_rows_in_their_order(write: Any, read: Any) -> None:
    assert read(write(TABLE)) == OUTPUTS
    assert read(write(TABLE._replace(rows=TABLE.rows[1:]))) == OUTPUTS[1:]


@pytest.mark.parametrize(("write", "read"), LANGUAGES)
def test_a_change_of_the_policy_changes_the_rules(write: Any, read: Any) -> None:
    text = PACKAGED_FILE.read_text("utf-8").replace("in: [genetic, other]", "is: genetic")
    changed = write(decision_table(parse(text.encode(), "changed.yaml")))

    assert read(changed) == OUTPUTS
    assert changed != write(TABLE)


# --- the contest ---------------------------------------------------------------------------------------------------


def test_a_case_is_an_edition_and_a_clinical_object() -> None:
    [asked] = cases.complete(1)
    made = cases.as_input(asked)

    assert made["edition"] == asked.edition
    assert made["clinical"]["transplant"]["type"] == asked.facts[naive.TRANSPLANT]
    assert cases.from_input(made) == asked


def test_partial_cases_lack_facts_but_none_that_is_presumed() -> None:
    listed = list(cases.partial(200))

    assert {len(one.facts) for one in listed} == {5, 6, 7}
    assert [one for one in listed if not naive.PRESUMED.keys() <= one.facts.keys()] == []
    assert [cases.from_input(cases.as_input(one)) for one in listed] == listed


@pytest.mark.parametrize("evaluation", [*evaluations.usual(), *evaluations.peers()], ids=lambda one: one.name)
def test_all_decide_as_the_second_evaluation_does(evaluation: Evaluation, tmp_path: Path) -> None:
    if evaluation.missing:
        pytest.skip(f"not installed: {evaluation.missing}")

    assert Contest(tmp_path, 1_000).disagreements(evaluation) == []


def program(answer: str) -> Evaluation:
    """One that gives the same answer to every case."""
    source = "import json, sys; print(json.dumps([{} for case in json.load(open(sys.argv[2]))]))"
    return Evaluation("one answer", (sys.executable, "-c", source.replace("{}", answer)))


@pytest.mark.parametrize("answer", ["None", "['not_addressed', None, 'another-donor']"])
def test_who_decides_differently_is_not_measured(answer: str, tmp_path: Path) -> None:
    rows, absent = evaluations.measure([program(answer)], tmp_path, lambda _: None, count=20)

    assert rows == []
    assert "of 20 complete cases differently" in absent["one answer"]


def test_a_program_that_fails_is_told_with_its_error(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"one answer: (?s:.)*NameError"):
        Contest(tmp_path, 20).disagreements(program("unknown_name"))


def test_what_is_not_built_is_named(tmp_path: Path) -> None:
    missing = Evaluation("one", (), missing="tests/benchmarks/peers/one/target")

    assert evaluations.measure([missing], tmp_path, lambda _: None, count=20) == (
        [],
        {"one": "not installed: tests/benchmarks/peers/one/target"},
    )


def test_each_evaluation_is_a_row() -> None:
    assert evaluations.report([evaluations.Row("one", 9.2, 1_724)], 5_000) == (
        "| evaluation | CPU µs per complete case | partial cases as the second evaluation |\n"
        "| ---------- | ------------------------ | -------------------------------------- |\n"
        "| one        | 9.20                     | 1,724 of 5,000                         |\n"
    )


# --- stream processors ---------------------------------------------------------------------------------------------


def test_each_stream_processor_is_a_row() -> None:
    runs = {streams.BARE.name: [Run(50_000, 12.5, 144e6, 12.0)], streams.OURS.name: [Run(40_000, 15.0, 147e6, None)]}

    head, _, *rows = streams.report(runs, {streams.OURS.name: 2.5}, 40_000).splitlines()
    cells = [[cell.strip() for cell in row.strip("| ").split("|")] for row in rows]

    assert head.count("|") == 9
    assert [row[0] for row in cells] == [variant.name for variant in streams.THROUGHPUT]
    assert cells[0][1:] == ["640,000", "50,000", "1.00", "12.5", "12.0", "144", "-"]
    assert cells[1][1:] == ["640,000", "40,000", "0.80", "15.0", "-", "147", "2.50"]
    assert cells[2][1:] == ["640,000", *["-"] * 6]


def test_a_program_in_java_is_started_by_its_class() -> None:
    variant = Variant("one", "Main", ("a=b",), target=ROOT / "deploy")

    assert variant.command[0] == "java"
    assert variant.command[-2:] == ["Main", "a=b"]
    assert variant.missing == "deploy"


def test_kafka_streams_has_the_version_of_the_broker() -> None:
    versions = [
        re.findall(r"<kafka.version>(.*)</kafka.version>", pom.read_text("utf-8"))
        for pom in (PEERS / "streams" / "pom.xml", ROOT / "deploy" / "kafka" / "pom.xml")
    ]

    assert versions[0] == versions[1] != []


def test_the_entry_of_kafka_streams_is_as_long_as_ours() -> None:
    source = (PEERS / "streams" / "StreamsLoop.java").read_text("utf-8")

    assert re.findall(r"ENTRY = new byte\[(\d+)\]", source) == [str(len(ENTRY))]


SENT = list(requests(2_000))
PLACES = {key: number % PARTITIONS for number, (key, _) in enumerate(SENT)}
"""The partition of each request, where our worker sends its results too."""


@pytest.mark.kafka
@pytest.mark.parametrize("variant", [*streams.THROUGHPUT, streams.FOR_LATENCY], ids=lambda one: one.name)
def test_stream_processors_write_the_same_records(
    variant: Variant, bootstrap: str, prefix: str, tmp_path: Path
) -> None:
    """Every request's bytes once and its entry once, under its key, without headers, and nothing else."""
    if variant.missing:
        pytest.skip(f"not installed: {variant.missing}")
    found = room(bootstrap, tmp_path, prefix.removesuffix("."))
    asyncio.run(fill(found))

    with running(variant, [found]) as started:

        def done() -> bool:
            check(variant, [found], started)
            return all(len(everything_on(found, topic)) >= len(SENT) for topic in (DECISIONS, ANSWERED))

        wait_until(done, 90.0, variant.name)

    for topic, values in ((DECISIONS, dict(SENT)), (ANSWERED, dict.fromkeys(dict(SENT), ENTRY))):
        written = everything_on(found, topic)
        assert sorted((one.key, one.value) for one in written) == sorted(values.items())
        assert [one for one in written if one.headers] == []
        if variant.target is None:  # Kafka Streams places by key
            assert {one.key: one.partition for one in written} == PLACES


async def fill(found: Settings) -> None:
    await (await Fill.begin(found, SENT)).show()
