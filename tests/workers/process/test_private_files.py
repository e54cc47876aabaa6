"""Whatever the umask is, what is kept is for our own user alone; and nothing is made anywhere else."""

import ast
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.topics import REQUESTS
from policy_core.history.library import PACKAGED
from tests.support.commands import dli
from tests.support.event_logs import MemorySource, archived, recorded
from tests.support.open_files import open_to_others
from tests.support.packaged import packaged_library
from tests.support.places import ROOT
from workers.event_log.source import Format
from workers.process import private_files
from workers.replay.findings import Findings, ResumedFindings
from workers.replay.repeated_request_ids import repeated
from workers.state.rocksdb_store import ChangelogStore
from workers.traffic.generate import Generator

UMASKS = (0o000, 0o022, 0o002, 0o077, 0o777)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.fixture(params=UMASKS, ids=oct)
def any_umask(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    assert tmp_path.is_dir()  # made before
    with umask(request.param):
        yield


@pytest.fixture(scope="module")
def log() -> MemorySource:
    return recorded(list(Generator(9).lines(60)), packaged_library())


def test_what_is_open_to_others_is_found(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "file").write_text("", "utf-8")
    (tmp_path / "open").chmod(0o755)
    (tmp_path / "open" / "file").chmod(0o644)

    assert open_to_others(tmp_path) == {"open": "0o755", "open/file": "0o644"}


# --- the place where all is made -----------------------------------------------------------------------------------


@given(st.integers(0, 0o777), st.sampled_from(["wb", "ab", "xb", "w"]), st.integers(0, 4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_file_and_its_folders_are_private_under_any_umask(
    tmp_path_factory: pytest.TempPathFactory, mask: int, mode: str, deep: int
) -> None:
    """A file and its folders are ours alone, whatever the umask is."""
    base = tmp_path_factory.mktemp("any")
    folder = base.joinpath(*map(str, range(deep)))
    with umask(mask):
        private_files.folder(folder)
    with umask(mask), private_files.opened(folder / "file", mode) as stream:  # type: ignore[call-overload] # any of them
        assert stream.writable()

    assert open_to_others(base) == {}


def test_a_file_that_was_open_to_others_is_not_any_more(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("before", "utf-8")
    file.chmod(0o666)

    private_files.write(file, "after")

    assert (file.read_text("utf-8"), open_to_others(tmp_path)) == ("after", {})


def test_only_a_folder_of_our_own_is_closed_to_others(tmp_path: Path) -> None:
    """A folder that exists stays as its owner left it, but one of our own is closed."""
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    for one in (theirs, ours):
        one.mkdir()
        one.chmod(0o750)
        (one / "file").write_text("", "utf-8")
        (one / "file").chmod(0o644)

    private_files.folder(theirs)
    private_files.own_folder(ours)

    assert open_to_others(tmp_path) == {"theirs": "0o750", "theirs/file": "0o644"}


def test_no_device_is_closed(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    pipe.chmod(0o622)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        private_files.write(pipe, "text")
        assert os.read(reader, 10) == b"text"
    finally:
        os.close(reader)
    assert stat.S_IMODE(pipe.stat().st_mode) == 0o622


def test_a_file_where_a_folder_belongs_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")

    with pytest.raises(OSError, match="file"):
        private_files.folder(tmp_path / "file")


# --- every writer --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("any_umask")
def test_a_copy_of_a_changelog_is_ours_alone(tmp_path: Path) -> None:
    copy = ChangelogStore(tmp_path / "state" / "answered" / "0")
    copy.apply({b"key": b"value" * 300_000, b"other": b"value" * 300_000}, 1)  # more than stays in memory
    copy.apply({b"third": b"value"}, 2)
    copy.close()
    ChangelogStore(tmp_path / "state" / "answered" / "0").close()

    assert open_to_others(tmp_path) == {}
    assert sum(one.is_file() for one in tmp_path.rglob("*")) > 3


def test_a_copy_that_an_earlier_version_made_is_closed(tmp_path: Path) -> None:
    ChangelogStore(tmp_path / "0").close()
    for one in ((tmp_path / "0"), *(tmp_path / "0").iterdir()):
        one.chmod(0o755 if one.is_dir() else 0o644)

    ChangelogStore(tmp_path / "0").close()

    assert open_to_others(tmp_path) == {}


@pytest.mark.usefixtures("any_umask")
@pytest.mark.parametrize("form", list(Format))
def test_an_archive_is_ours_alone(form: Format, log: MemorySource, tmp_path: Path) -> None:
    archived(log, tmp_path / "archives" / "kept", form)

    assert open_to_others(tmp_path) == {}
    assert {"manifest.json"} < {one.name for one in tmp_path.rglob("*")}


@pytest.mark.usefixtures("any_umask")
def test_findings_are_ours_alone(tmp_path: Path) -> None:
    Findings(tmp_path / "work", 0).close()
    ResumedFindings(tmp_path / "again" / "work", 1, 0).close()

    assert open_to_others(tmp_path) == {}


@pytest.mark.usefixtures("any_umask")
def test_hashes_of_keys_are_ours_alone(log: MemorySource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, str]] = []

    def look(bucket: Path) -> list[int]:
        seen.append(open_to_others(bucket.parent))
        return []

    monkeypatch.setattr("workers.replay.repeated_request_ids._twice", look)
    with umask(0o022):  # the folder is Python's own, and is made in another
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    repeated(log, log.topic(REQUESTS), 0)

    assert seen
    assert {tuple(one.items()) for one in seen} == {()}


def test_what_commands_write_is_ours_alone(log: MemorySource, tmp_path: Path) -> None:
    kept = archived(log, tmp_path / "kept")
    draft = str(PACKAGED / "L.2.03.402.yaml")

    made = dli("generate", "-n", "5", "--out", str(tmp_path / "requests.jsonl"))
    page = str(tmp_path / "page.html")
    told = dli("replay", "what-if", str(kept), "--policy", draft, "--work", str(tmp_path / "work"), "--html", page)

    assert (made.code, told.code) == (0, 0), made.err + told.err
    assert {"requests.jsonl", "page.html", "work"} <= {one.name for one in tmp_path.iterdir()}
    assert open_to_others(tmp_path) == {}


# --- and nowhere else ----------------------------------------------------------------------------------------------

MAKING = {"write_text", "write_bytes", "mkdir", "makedirs", "touch", "mkstemp", "NamedTemporaryFile", "symlink_to"}
ELSEWHERE = {
    "workers/process/private_files.py": "the place itself",
    "workers/main/generated_files.py": "contracts, for everybody",
    "workers/console/streams.py": "opens the null device",
}


def makers(tree: ast.AST) -> Iterator[int]:
    """The lines that make a file or a folder."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        owner = node.func.value if isinstance(node.func, ast.Attribute) else None
        given = [*node.args, *(one.value for one in node.keywords if one.arg == "mode")]
        modes = {one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)}
        writes = any(set(mode) & set("wax+") and set(mode) <= set("wrabxt+") for mode in modes)
        ours = isinstance(owner, ast.Name) and owner.id == "files"
        if name in MAKING or (name in {"open", "fdopen"} and writes and not ours):
            yield node.lineno


def test_files_are_made_in_one_place() -> None:
    found = {
        f"{name}:{line}"
        for file in sorted((ROOT / "workers").rglob("*.py"))
        for name in [file.relative_to(ROOT).as_posix()]
        if name not in ELSEWHERE
        for line in makers(ast.parse(file.read_text("utf-8")))
    }

    assert found == set()


@pytest.mark.parametrize(
    "line", ["file.open('wb')", "open(file, mode='a')", "file.write_text('')", "folder.mkdir()", "os.makedirs(folder)"]
)
def test_one_that_is_made_elsewhere_is_found(line: str) -> None:
    assert list(makers(ast.parse(line))) == [1]
    assert list(makers(ast.parse("file.open('rb'); files.opened(file, 'wb'); consumer.open()"))) == []
