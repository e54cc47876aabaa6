"""The library: all policies of a deployment, or none."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from policy_core.document.problems import PolicyDocumentError
from policy_core.history.library import PACKAGED, documents, load_library
from tests.support.cases import FOLDER, OTHER_FILE


def test_every_document_of_every_folder_is_loaded() -> None:
    library = load_library([PACKAGED, FOLDER], "L.2.03.402")

    assert library.numbers == ["EV-12", "L.2.03.402"]
    assert sorted(policy.number for policy in library) == library.numbers
    assert library["EV-12"].document.title == "Continuous glucose monitors"


def test_only_a_request_without_a_policy_gets_the_default() -> None:
    """A request that names no policy gets the default policy, and an unknown policy gets none."""
    library = load_library([PACKAGED, FOLDER], "EV-12")

    assert library.named(None) is library["EV-12"]
    assert library.named("L.2.03.402") is library["L.2.03.402"]
    assert library.named("L.2.03.403") is None


def test_only_yaml_files_are_documents(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yaml", "notes.md", "a.yml"):
        (tmp_path / name).write_text("")

    assert [tmp_path / "a.yaml", tmp_path / "b.yaml"] == documents([tmp_path])


def _socket(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(file))


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (os.mkfifo, "is a pipe"),
        (_socket, "is a socket"),
        (lambda file: file.symlink_to("/dev/zero"), "is a device"),
        (lambda file: file.symlink_to("/dev/full"), "is a device"),
        (Path.mkdir, "is a folder"),
    ],
    ids=["pipe", "socket", "device", "full", "folder"],
)
def test_a_path_that_is_no_regular_file_is_refused_at_once(
    make: Callable[[Path], None], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path that is not a regular file is refused and never waited for."""
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    make(Path("policy.yaml"))

    with pytest.raises(PolicyDocumentError) as caught:
        load_library([Path()], "L.2.03.402")

    assert str(caught.value) == f"policy.yaml: {what}; a policy document is a regular file, or a link to one"


def test_a_link_is_read_only_if_it_leads_to_a_document(tmp_path: Path) -> None:
    """A link to a document is read, and a link to nothing is refused."""
    (tmp_path / "policy.yaml").symlink_to(PACKAGED / "L.2.03.402.yaml")
    assert load_library([tmp_path], "L.2.03.402").numbers == ["L.2.03.402"]

    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere")
    with pytest.raises(PolicyDocumentError, match=r"gone\.yaml: cannot be read: No such file or directory"):
        load_library([tmp_path], "L.2.03.402")


def test_an_oversized_file_is_read_only_up_to_the_limit(tmp_path: Path) -> None:
    """Of an oversized file, no more is read than is needed to see that it is too large."""
    file = tmp_path / "policy.yaml"
    with file.open("wb") as stream:
        stream.truncate(1 << 33)  # nothing of it is on the disk

    with pytest.raises(PolicyDocumentError, match="larger than 1,000,000 bytes"):
        load_library([tmp_path], "L.2.03.402")


def test_two_documents_of_one_policy_are_refused_by_name(tmp_path: Path) -> None:
    """Two documents of one policy are refused, and the message names both."""
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
