"""What the audit makes of pins, advisories, licences and findings; its tools run in test_audit.py."""

import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from deploy.supply_chain import advisories, bom, check, code, licences
from deploy.supply_chain.advisories import LIST, OLD_DAYS, Advisory, UnreachedError
from deploy.supply_chain.check import REQUIREMENTS, ROOT, RUNTIME, AuditError, Verdict
from deploy.supply_chain.code import Answer, Finding
from deploy.supply_chain.licences import Licences
from deploy.supply_chain.pins import Pin, pins

DIGEST = "a" * 64
OLD_JINJA2 = f"jinja2==3.1.4 \\\n    --hash=sha256:{DIGEST}\n    # via nicegui\n"


def written(folder: Path, text: str, name: str = "planted.txt") -> Path:
    file = folder / name
    file.write_text(text, "utf-8")
    return file


@pytest.fixture
def unreached(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which no service can be reached."""

    def asked(file: Path, service: str | None = None) -> Any:
        raise UnreachedError(f"NameResolutionError, {file.name}, {service}")

    monkeypatch.setattr(advisories, "asked", asked)


# --- pins ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", sorted(REQUIREMENTS.glob("*.txt")), ids=lambda file: file.name)
def test_every_requirement_file_pins_versions_and_digests(file: Path) -> None:
    found = pins(file)
    lines = [line for line in file.read_text("utf-8").splitlines() if line[:1].isalnum()]

    assert len(found) == len(lines) > 0
    assert sum(len(pin.hashes) for pin in found) == file.read_text("utf-8").count("--hash=sha256:")


def test_audit_and_development_tools_agree_on_shared_pins() -> None:
    """The audit's tools and the development tools pin the same versions of the packages they share."""
    dev = {pin.name: pin.version for pin in pins(REQUIREMENTS / "dev.txt") if pin.applies}

    assert {
        str(pin) for pin in pins(REQUIREMENTS / "audit.txt") if dev.get(pin.name, pin.version) != pin.version
    } == set()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("jinja2>=3", "jinja2 is pinned to no version"),
        ("jinja2==3.*", "jinja2 is pinned to no version"),
        ("jinja2==3.1.6", "jinja2 is pinned by no digest"),
        ("--index-url x", "is no requirement"),
    ],
)
def test_a_line_that_pins_nothing_is_refused(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(AuditError, match=said):
        pins(written(tmp_path, f"{line}\n"))


def test_an_absent_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="it cannot be read"):
        pins(tmp_path / "absent.txt")


# --- advisories ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unreached")
def test_our_list_finds_an_old_pin_when_no_service_answers(tmp_path: Path) -> None:
    """Our own list finds a planted old pin when no advisory service answers."""
    made = advisories.check([written(tmp_path, OLD_JINJA2)])

    assert made.verdict is Verdict.FAILED
    found = {sentence.split(",")[0] for sentence in made.said if "by our list" in sentence}
    assert found == {
        f"planted.txt: jinja2 3.1.4 has {id_}" for id_ in ("CVE-2024-56201", "CVE-2024-56326", "CVE-2025-27516")
    }
    ours = advisories.advisories()
    said = f"held against the list of {ours.as_of}, {len(ours.known)} advisories and not complete, alone"
    assert any(sentence.startswith("no service of advisories answers (NameResolutionError") for sentence in made.said)
    assert any(said in sentence for sentence in made.said)


@pytest.mark.usefixtures("unreached")
def test_what_is_pinned_has_no_vulnerability_that_the_list_knows() -> None:
    made = advisories.check(sorted(REQUIREMENTS.glob("*.txt")))

    assert [sentence for sentence in made.said if "by our list" in sentence] == []


@pytest.mark.usefixtures("unreached")
@pytest.mark.parametrize(("older", "warned"), [(0, False), (1, True)])
def test_an_old_list_is_a_warning(tmp_path: Path, older: int, warned: bool) -> None:
    today = advisories.advisories().as_of + timedelta(OLD_DAYS + older)
    made = advisories.check([written(tmp_path, OLD_JINJA2.replace("3.1.4", "3.1.6"))], today=today)

    assert made.verdict is Verdict.WARNED
    assert any("days old" in sentence for sentence in made.said) == warned


def test_the_list_covers_known_packages_without_duplicates() -> None:
    """The list covers only packages that are pinned or come with Python, and has each advisory once."""
    ours = advisories.advisories()
    pinned = {pin.name for file in REQUIREMENTS.glob("*.txt") for pin in pins(file)}

    assert {one.package for one in ours.known} - pinned <= {"setuptools"}
    named = [(one.package, one.id) for one in ours.known]
    assert len(named) == len(set(named)) > 90
    assert ours.as_of <= date.today()  # noqa: DTZ011 (a person's day)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("as_of: soon\nadvisories: []\n", "`as_of` needs a day"),
        ("as_of: 2026-01-31\nadvisories: 7\n", "a list `advisories` is expected"),
        (
            "as_of: 2026-01-31\nadvisories: [{package: a}]\n",
            "entry 1 of `advisories` needs package, id, affected, what",
        ),
        (
            "as_of: 2026-01-31\nadvisories: [{package: a, id: b, affected: old, what: c}]\n",
            "b: `affected` needs versions",
        ),
        ("a: [\n", "list.yaml:2: this is no YAML"),
        ("7\n", "names with what stands behind them"),
    ],
)
def test_a_mistake_in_the_list_is_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(AuditError, match=said):
        advisories.advisories(written(tmp_path, text, "list.yaml"))


def test_ranges_are_alternatives_and_have_their_bounds() -> None:
    known = {(one.package, one.id): one for one in advisories.advisories(LIST).known}
    cookies: Advisory = known["urllib3", "CVE-2023-43804"]
    affected = {
        version
        for version in ("1.26.16", "1.26.17", "1.26.18", "2.0.0", "2.0.5", "2.0.6", "2.0.5.post1", "2.0.1b1")
        if cookies.concerns(Pin("urllib3", Version(version), None, ()))
    }

    assert affected == {"1.26.16", "2.0.0", "2.0.5", "2.0.5.post1", "2.0.1b1"}


def test_pip_audits_report_is_read_and_another_is_refused() -> None:
    # As pip-audit 2.10.1 writes it; test_audit.py runs it.
    report = (
        '{"dependencies": [{"name": "Jinja2", "version": "3.1.4", "vulns": [{"id": "CVE-2099-1", "fix_versions": '
        '["3.1.5", "3.1.6"], "aliases": ["GHSA-x"]}, {"id": "CVE-2099-2", "fix_versions": [], "aliases": []}]}, '
        '{"name": "idna", "version": "3.20", "vulns": []}, {"name": "odd", "skip_reason": "not there"}], "fixes": []}'
    )

    assert advisories.told(report) == [
        ("jinja2 3.1.4", ("CVE-2099-1", "GHSA-x"), "mended in 3.1.5, 3.1.6"),
        ("jinja2 3.1.4", ("CVE-2099-2",), "not mended in any version"),
        ("odd", ("no answer",), "not there"),
    ]
    for other in ("{}", "[]", "no JSON", '{"dependencies": [{"vulns": [{}]}]}'):
        with pytest.raises(AuditError, match="is not what it was"):
            advisories.told(other)


# --- licences ------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["MIT", "MPL-2.0", "Zlib", "LGPL-3.0-or-later", "GPL-2.0-only WITH Classpath-exception-2.0"])
EXPRESSIONS = st.recursive(
    NAMES.map(lambda name: (name, lambda allowed: name in allowed)),
    lambda parts: st.builds(
        lambda one, other, both: (
            f"({one[0]} {'AND' if both else 'OR'} {other[0]})",
            (lambda allowed: one[1](allowed) and other[1](allowed))
            if both
            else (lambda allowed: one[1](allowed) or other[1](allowed)),
        ),
        parts,
        parts,
        st.booleans(),
    ),
    max_leaves=12,
)


@given(EXPRESSIONS, st.frozensets(NAMES))
def test_an_expression_lacks_nothing_exactly_if_it_can_be_met(
    expression: tuple[str, Callable[[frozenset[str]], bool]], allowed: frozenset[str]
) -> None:
    text, met = expression

    assert (not licences.lacking(text, allowed)) == met(allowed)
    assert met(allowed | licences.lacking(text, allowed))


def test_and_binds_before_or() -> None:
    assert licences.lacking("MIT OR Zlib AND ISC", frozenset({"MIT"})) == frozenset()
    assert licences.lacking("Zlib AND ISC OR X", frozenset({"Zlib", "ISC"})) == frozenset()


def said(expression: str = "UNKNOWN", metadata: str = "UNKNOWN", classifier: str = "UNKNOWN") -> dict[str, str]:
    return {"License-Expression": expression, "License-Metadata": metadata, "License-Classifier": classifier}


@pytest.mark.parametrize(
    ("words", "means"),
    [
        (said("apache-2.0 and mit"), "Apache-2.0 AND MIT"),
        (said(metadata="Apache 2"), "Apache-2.0"),
        (said(metadata="our own, see LICENSE", classifier="MIT License"), "MIT"),
        (said(metadata="BSD", classifier="BSD License"), None),
        (said(), None),
    ],
)
def test_a_packages_words_are_read_where_they_mean_one_licence(words: dict[str, str], means: str | None) -> None:
    assert licences.spdx(words, Licences().texts) == means


def answered() -> dict[str, dict[str, str]]:
    """What packages would say that need each of our answers."""
    ours = Licences()
    excepted = {name: said(one["licences"][0]) for name, one in ours.exceptions.items()}
    return excepted | {name: said() for name in ours.stated}


def test_our_answers_alone_leave_nothing_open() -> None:
    assert list(licences.judged(answered(), Licences())) == []


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"new": said()}, "new: its licence is not known"),
        ({"new": said("AGPL-3.0-only")}, "new: AGPL-3.0-only is not allowed"),
        ({"new": said("MPL-2.0")}, "new: MPL-2.0 is not allowed"),
        ({"new": said("MIT AND GPL-3.0-only")}, r"new: .* is not allowed \(GPL-3.0-only\)"),
        ({"bidict": said("MIT")}, "bidict: the exception for MPL-2.0 is not needed"),
        ({"bidict": None}, "bidict: an answer is there, and no such package"),
        ({"lz4": said("BSD-3-Clause")}, "lz4: it says itself that it is under BSD-3-Clause"),
    ],
)
def test_an_unallowed_licence_and_an_unneeded_answer_fail(
    changed: dict[str, dict[str, str] | None], sentence: str
) -> None:
    """A licence that nobody allowed fails, and so does an answer that nobody needs."""
    packages = {name: one for name, one in (answered() | changed).items() if one is not None}
    (failure,) = licences.judged(packages, Licences())

    assert re.match(sentence, failure)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("allowed: MIT\n", "a list `allowed` and, as `texts`, words"),
        ("allowed: [MIT]\ntexts: {BSD: BSD or so}\nstated: []\nexceptions: []\n", "'BSD or so' is no SPDX expression"),
        (
            "allowed: [MIT]\ntexts: {}\nstated: []\nexceptions: [{package: a, licences: MPL-2.0, why: b}]\n",
            "a: a list of `licences` is expected",
        ),
        ("allowed: [MIT]\ntexts: {}\nstated: [{package: a}]\n", "entry 1 of `stated` needs package, licence, file"),
    ],
)
def test_a_mistake_in_the_licences_is_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(AuditError, match=sentence):
        Licences(written(tmp_path, text, "licences.yaml"))


# --- the bill of materials -----------------------------------------------------------------------------------------


def component(name: str, version: str) -> dict[str, Any]:
    return {"name": name, "version": version, "purl": f"pkg:pypi/{name.lower()}@{version}"}


def test_a_component_has_its_licence_and_pinned_digests() -> None:
    """A component has its licence and the digests that are pinned."""
    wanted = [Pin("jinja2", Version("3.1.6"), None, (DIGEST,))]
    made = bom.completed({"components": [component("Jinja2", "3.1.6")]}, wanted, {"jinja2": "BSD-3-Clause"})

    assert made["components"][0]["licenses"] == [{"acknowledgement": "concluded", "expression": "BSD-3-Clause"}]
    assert made["components"][0]["externalReferences"][0]["hashes"] == [{"alg": "SHA-256", "content": DIGEST}]
    assert bom.differences(made, wanted) == []


def test_a_component_that_differs_from_the_pins_is_reported() -> None:
    """A surplus, missing or wrong-version component, or one without a licence, is reported."""
    wanted = [Pin(name, Version("1.0"), None, (DIGEST,)) for name in ("a", "b")]
    made = bom.completed({"components": [component("a", "2"), component("c", "1")]}, wanted, {"a": "MIT", "c": None})

    assert bom.differences(made, wanted) == [
        "a 1.0 is pinned, and no component",
        "b 1.0 is pinned, and no component",
        "a 2 is a component, and not pinned",
        "c 1 is a component, and not pinned",
        "c has no licence",
    ]


# --- our code ------------------------------------------------------------------------------------------------------


def test_every_answer_is_for_a_line_of_ours() -> None:
    assert code.answers()
    for one in code.answers():
        lines = (ROOT / one.file).read_text("utf-8").splitlines()
        assert [line for line in lines if one.code in line] != [], one


def test_findings_and_answers_must_match_one_to_one() -> None:
    """An unanswered finding, a second finding of a kind and an answer without a finding all fail."""
    one = Finding("B603", "workers/a.py", 7, "run([java])  # noqa", "a call")
    answer = Answer("B603", "workers/a.py", "run([java])")

    assert code.judged([one], [answer]) == []
    assert code.judged([one], []) == ["workers/a.py:7: B603, a call: run([java])  # noqa"]
    assert len(code.judged([one, one], [answer])) == 1
    assert code.judged([], [answer]) == [
        "workers/a.py: B603 is answered, and not found any more: run([java])",
    ]
    for other in (Answer("B604", one.file, "run"), Answer("B603", "b.py", "run"), Answer("B603", one.file, "walk")):
        assert len(code.judged([one], [other])) == 2


# --- the command ---------------------------------------------------------------------------------------------------


def test_the_command_reports_missing_tools_and_exits_1() -> None:
    """Where the tools are not installed, the command says so and exits with 1."""
    assert not (check.TOOLS / "bandit").exists(), "this test is of an environment without the audit's tools"
    done = subprocess.run(
        [sys.executable, "-m", "deploy.supply_chain"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (1, "")
    assert "pip-audit is not installed beside this Python: run `make audit`, which installs it" in done.stdout
    assert [line.split()[-2:] for line in done.stdout.splitlines()[-4:]] == [["not", "made"]] * 4


def test_the_bill_of_materials_is_of_what_the_image_installs() -> None:
    assert f"--requirement {RUNTIME.relative_to(ROOT)}" in (ROOT / "deploy" / "image" / "Dockerfile").read_text("utf-8")
