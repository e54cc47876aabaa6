"""`dli policy new` and what `dli policy check` says of examples."""

from pathlib import Path

import pytest

from tests.support.cases import OTHER_FILE
from tests.support.commands import dli


def test_a_new_document_passes_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    written = dli("policy", "new", "EX-2", "--title", "Devices: a policy")
    checked = dli("policy", "check", "EX-2.yaml")

    assert (written.code, written.out, checked.code) == (0, "", 0)
    assert "EX-2.yaml: written; `dli policy check EX-2.yaml` checks it" in " ".join(written.err.split())
    assert checked.out.splitlines()[-1] == (
        "  4 examples hold, and reach every rule of every edition and every indication"
    )


def test_no_file_is_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("mine", "utf-8")

    ran = dli("policy", "new", "EX-2", str(file))

    assert (ran.code, file.read_text("utf-8")) == (1, "mine")
    assert "is there already; name another file" in " ".join(ran.err.split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("EX 2",), "'EX 2' is no number of a policy"),
        (("EX-2", "--title", ""), "the title is no text of one line"),
        (("EX-2", "/nowhere/at/all.yaml"), "/nowhere/at/all.yaml: No such file or directory"),
    ],
    ids=["number", "title", "folder"],
)
def test_what_cannot_be_written_is_told(
    arguments: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    ran = dli("policy", "new", *arguments)

    assert (ran.code, list(tmp_path.iterdir())) == (1, [])
    assert says in " ".join(ran.err.split())


def checked(folder: Path, examples: str) -> tuple[int, str, str]:
    file = folder / "EV-12.yaml"
    file.write_text(OTHER_FILE.read_text("utf-8") + examples, "utf-8")
    ran = dli("policy", "check", str(file))
    return ran.code, " ".join(ran.out.split()), " ".join(ran.err.split())


def test_an_example_decided_otherwise_is_a_mistake(tmp_path: Path) -> None:
    code, out, err = checked(
        tmp_path,
        "examples:\n  - {id: a, says: A., facts: {clinical.monitor: professional}, determination: cancelled}\n",
    )

    line = OTHER_FILE.read_text("utf-8").count("\n") + 2
    assert (code, out) == (1, "")
    assert f"EV-12.yaml:{line}: examples.0.determination: the example `a` expects cancelled, but" in err


def test_what_no_example_reaches_is_information(tmp_path: Path) -> None:
    code, out, _ = checked(
        tmp_path,
        "examples:\n  - {id: a, says: A., facts: {clinical.monitor: professional}, determination: not_addressed}\n",
    )

    assert code == 0
    assert "1 example holds edition 2020-07-01: no example reaches the rules `professional`, " in out
    assert "edition 2023-04-01: no example reaches the rules `gestational-diabetes`, `untrained`, " in out
    assert out.endswith("no example meets the indications `type-1`, `hypoglycemia`, `type-2`")
    assert checked(tmp_path, "")[1].endswith("no examples")


def test_a_document_with_a_wrong_example_is_not_signed(tmp_path: Path) -> None:
    """It is refused before the key is read."""
    file = tmp_path / "EV-12.yaml"
    example = "{id: a, says: A., facts: {clinical.monitor: professional}, determination: cancelled}"
    file.write_text(f"{OTHER_FILE.read_text('utf-8')}examples: [{example}]\n", "utf-8")

    ran = dli("policy", "sign", str(file), "--key", str(tmp_path / "nowhere.pem"))

    assert ran.code == 1
    assert "examples.0.determination: the example `a` expects cancelled" in " ".join(ran.err.split())
    assert "nowhere.pem" not in ran.err
