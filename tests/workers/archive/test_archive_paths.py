"""An archive that leads elsewhere, or contradicts itself, is told, and nothing elsewhere is read."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.event_logs import MemorySource, archived
from tests.support.spoiled_archives import TOPIC, Reader, file_of, manifest_of, records, rewrite
from workers.archive import manifest
from workers.event_log.source import Format

FORMATS = list(Format)
MB = 1_000_000


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    made = Reader()
    yield made
    made.close()


def link_file(file: Path, elsewhere: Path) -> None:
    shutil.move(file, elsewhere / "file")
    file.symlink_to(elsewhere / "file")


def link_folder(file: Path, elsewhere: Path) -> None:
    shutil.move(file.parent, elsewhere / "0")
    file.parent.symlink_to(elsewhere / "0")


def pipe(file: Path, _elsewhere: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def device(file: Path, _elsewhere: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/zero")


def a_folder(file: Path, _elsewhere: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("lead", [link_file, link_folder, pipe, device, a_folder])
@pytest.mark.parametrize("form", FORMATS)
def test_only_plain_files_below_the_folder_are_read(
    reader: Reader, tmp_path: Path, form: Format, lead: Callable[[Path, Path], None]
) -> None:
    """Anything but a plain file below the folder is reported as a finding and not read."""
    folder = archived(MemorySource({(TOPIC, 0): records(10)}), tmp_path / "kept", form)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    lead(file_of(folder), elsewhere)

    found = reader.read(folder)

    assert ["is no plain file" in one for one in (*found["problems"], *found["damages"])] == [True, True]


@pytest.mark.parametrize(
    "name", ["../elsewhere", "/etc/hostname", "t.things/../../elsewhere", "./x", "t.things//0", "", "t.things/\0", "x/"]
)
def test_a_name_that_leads_out_of_the_folder_is_refused(reader: Reader, tmp_path: Path, name: str) -> None:
    folder = archived(MemorySource({(TOPIC, 0): records(10)}), tmp_path / "kept", Format.JSONL)
    shutil.copy(file_of(folder), tmp_path / "elsewhere")
    rewrite(folder, file=name)

    assert "is not below the archive's folder" in reader.read(folder)["refused"]


def test_a_manifest_that_is_a_link_or_a_pipe_is_refused(reader: Reader, tmp_path: Path) -> None:
    folder = archived(MemorySource({(TOPIC, 0): records(10)}), tmp_path / "kept")
    link_file(folder / manifest.NAME, tmp_path)
    linked = reader.read(folder)
    (folder / manifest.NAME).unlink()
    os.mkfifo(folder / manifest.NAME)

    assert "is no plain file" in linked["refused"]
    assert "is no plain file" in reader.read(folder)["refused"]


@pytest.mark.parametrize("text", [b" " * (9 * MB), b"[" * MB, b'{"version":' * 100_000, b"\xff", b"", b"9" * MB])
def test_a_manifest_that_would_take_all_memory_is_refused(reader: Reader, tmp_path: Path, text: bytes) -> None:
    (tmp_path / manifest.NAME).write_bytes(text)

    assert reader.read(tmp_path)["refused"]


LIES: dict[str, dict[str, Any]] = {
    "a block that ends behind all files": {"blocks": [[0, 9, 9, 0, 2**62]]},
    "a block before the file": {"blocks": [[0, 9, 9, -1, 10]]},
    "no blocks": {"blocks": []},
    "blocks that overlap": {"blocks": [[0, 9, 5, 0, 10], [5, 9, 4, 10, 10]]},
    "more records than offsets": {"records": 99, "blocks": [[0, 9, 99, 0, 10]]},
    "an offset that cannot be": {"last": 2**70},
    "a file of exabytes": {"bytes": 2**62},
    "another partition": {"partition": 7},
    "another topic": {"topic": "t.others"},
    "a topic that is a path": {"topic": "../t.things"},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_manifest_that_contradicts_itself_is_refused(reader: Reader, tmp_path: Path, lie: str) -> None:
    folder = archived(MemorySource({(TOPIC, 0): records(9)}), tmp_path / "kept", Format.JSONL)
    rewrite(folder, **LIES[lie])

    assert "is no manifest" in reader.read(folder)["refused"]


def test_a_file_that_two_ranges_name_is_refused(reader: Reader, tmp_path: Path) -> None:
    folder = archived(MemorySource({(TOPIC, 0): records(9)}), tmp_path / "kept", Format.JSONL)
    tree = manifest_of(folder)
    tree["segments"] *= 2
    (folder / manifest.NAME).write_text(json.dumps(tree), "utf-8")

    assert "a file is named twice" in reader.read(folder)["refused"]
