"""The library: all policies of a deployment, or none."""

from pathlib import Path

import pytest

from policy_core.document.problems import PolicyDocumentError
from policy_core.library import PACKAGED, documents, load_library
from tests.policy_core.examples import FOLDER, OTHER_FILE


def test_every_document_of_every_folder_is_loaded() -> None:
    library = load_library([PACKAGED, FOLDER], "L.2.03.402")

    assert library.numbers == ["EV-12", "L.2.03.402"]
    assert sorted(policy.number for policy in library) == library.numbers
    assert library["EV-12"].document.title == "Continuous glucose monitors"


def test_a_request_that_names_no_policy_gets_the_default_and_an_unknown_one_none() -> None:
    library = load_library([PACKAGED, FOLDER], "EV-12")

    assert library.named(None) is library["EV-12"]
    assert library.named("L.2.03.402") is library["L.2.03.402"]
    assert library.named("L.2.03.403") is None


def test_only_yaml_files_are_documents(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yaml", "notes.md", "a.yml"):
        (tmp_path / name).write_text("")

    assert [tmp_path / "a.yaml", tmp_path / "b.yaml"] == documents([tmp_path])


def test_two_documents_of_one_policy_are_refused_and_both_are_named(tmp_path: Path) -> None:
    copy = tmp_path / "copy.yaml"
    copy.write_bytes(OTHER_FILE.read_bytes())

    with pytest.raises(PolicyDocumentError) as refused:
        load_library([FOLDER, tmp_path], "EV-12")

    expected = f"{copy}: number: `EV-12` is in {OTHER_FILE} already; a policy has one document"
    assert expected == str(refused.value)


def test_a_default_that_is_not_loaded_is_refused_with_what_is() -> None:
    with pytest.raises(PolicyDocumentError) as refused:
        load_library([FOLDER], "EV-13")

    expected = f"{FOLDER}: the default policy `EV-13` is not among those loaded: EV-12"
    assert expected == str(refused.value)


def test_a_folder_without_documents_has_no_default(tmp_path: Path) -> None:
    with pytest.raises(PolicyDocumentError, match="not among those loaded: none"):
        load_library([tmp_path], "EV-12")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyDocumentError) as refused:
        load_library([FOLDER, tmp_path / "nowhere"], "EV-12")

    assert f"{tmp_path / 'nowhere'}: no such folder of policy documents" == str(refused.value)


def test_a_document_that_cannot_be_used_stops_the_whole_library(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("format: 2\n")

    with pytest.raises(PolicyDocumentError, match=r"broken\.yaml:1: format: `2` cannot be written here"):
        load_library([FOLDER, tmp_path], "EV-12")


def test_a_document_that_cannot_be_read_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()

    with pytest.raises(PolicyDocumentError, match=r"folder\.yaml: cannot be read: Is a directory"):
        load_library([FOLDER, tmp_path], "EV-12")
