"""autocron.system.address: where a database lies, and the private directory beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from autocron.errors import StoreError
from autocron.system.address import (
    FILES,
    LONGEST_SOCKET_PATH,
    acquire,
    directory_of,
    locate,
    make_directory,
    remove_directory,
    socket_path,
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_relative_name_lies_in_the_home_directory(home: Path) -> None:
    """contract 1: relative → inside ~/.autocron/ (created if missing, mode 0700)."""
    assert locate("app.db") == locate(Path("app.db")) == str(home.resolve() / ".autocron" / "app.db")
    assert (home / ".autocron").stat().st_mode & 0o777 == 0o700
    assert not (home / ".autocron" / "app.db").exists()


def test_an_absolute_name_is_used_as_it_is(tmp_path: Path) -> None:
    """contract 1: absolute → used as is."""
    for name in ("app.db", "ä ö.db", "a%20b?c=d#e.db"):
        assert locate(tmp_path / name) == str(tmp_path.resolve() / name)


def test_a_name_with_a_tilde_is_that_of_the_home_directory(home: Path) -> None:
    """contract 1: str or Path."""
    assert locate("~/app.db") == str(home.resolve() / "app.db")


def test_one_database_has_one_address_whatever_its_name(tmp_path: Path) -> None:
    """design 2: a database is identified by its real path."""
    (tmp_path / "link").symlink_to(tmp_path / "app.db")
    (tmp_path / "sub").mkdir()
    wanted = str(tmp_path.resolve() / "app.db")
    assert locate(tmp_path / "link") == locate(tmp_path / "sub" / ".." / "app.db") == wanted


@pytest.mark.parametrize("name", ["missing/app.db", "/nowhere/at/all/app.db"])
def test_a_missing_directory_is_named(home: Path, name: str) -> None:
    """contract 1: a missing directory is a FileNotFoundError that names it."""
    with pytest.raises(FileNotFoundError) as caught:
        locate(name)
    missing = Path(name).parent if name.startswith("/") else home / ".autocron" / "missing"
    assert f"the directory {missing} of the database" in str(caught.value)
    assert "create it first" in str(caught.value)


def test_a_missing_directory_behind_a_link_is_named(tmp_path: Path) -> None:
    """contract 1: a missing directory is a FileNotFoundError that names it."""
    (tmp_path / "app.db").symlink_to("/nowhere/at/all/app.db")
    with pytest.raises(FileNotFoundError, match="the directory /nowhere/at/all of the database"):
        locate(tmp_path / "app.db")


@pytest.mark.parametrize(
    ("name", "error"),
    [("", ValueError), ("a\0b", ValueError), (None, TypeError), (b"app.db", TypeError), (3, TypeError)],
)
def test_what_is_no_name_is_refused(home: Path, name: Any, error: type[Exception]) -> None:
    """contract 1: database_file: str or Path."""
    with pytest.raises(error, match="database_file="):
        locate(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("postgresql://host/app", "there is no store for 'postgresql' yet; give the path of a SQLite file"),
        ("sqlite:///app.db", "there is no store for 'sqlite' yet; give the path of a SQLite file"),
        (":memory:", "the workers could not see it; give the name of a file"),
    ],
)
def test_what_is_no_file_is_refused(home: Path, name: str, words: str) -> None:
    """contract 1: a URL selects another store, and there is none yet; style 10: the way out."""
    with pytest.raises(ValueError, match=f"database_file='{name}': {words}"):
        locate(name)
    assert not (home / ".autocron").exists()


@pytest.mark.parametrize("name", ["app.db", "~/app.db", "~nobody-of-this-name/app.db"])
def test_without_a_home_a_relative_name_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """style 10: many services have no home directory: the message says what to give instead."""
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as for a user who is not in the list of users
    with pytest.raises(StoreError, match=rf"cannot use the database {name}: .*; give an absolute path"):
        locate(name)
    monkeypatch.undo()
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    with pytest.raises(
        StoreError, match=r"cannot use the database app.db: .*file/\.autocron: .*; give an absolute path"
    ):
        locate("app.db")


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """style 10: SQLite's log and the monitor's socket lie beside the database, so this user has to write there."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StoreError, match=rf"Permission denied; this user must be able to write to {tmp_path}$"):
        make_directory(str(tmp_path / "app.db"))


def test_the_directory_beside_it_is_private(tmp_path: Path) -> None:
    """design 2: modes 0600 and 0700."""
    address = str(tmp_path / "app.db")
    directory = make_directory(address)
    assert directory == directory_of(address) == tmp_path / "app.db-autocron"
    assert directory.stat().st_mode & 0o777 == 0o700
    directory.chmod(0o755)
    with pytest.raises(StoreError, match=r"must belong to this user alone \(chmod 700\)"):
        make_directory(address)


@pytest.mark.parametrize("mask", [0o177, 0o777])
def test_directories_are_usable_whatever_the_umask_is(mask: int, home: Path, tmp_path: Path) -> None:
    """contract 1 and 6: mode 0700; and the next start works, also where an earlier version has left them unusable."""
    (tmp_path / "old.db-autocron").mkdir(mode=0o600)
    before = os.umask(mask)
    try:
        locate("app.db")
        made = [make_directory(str(tmp_path / name)) for name in ("app.db", "old.db")]
    finally:
        os.umask(before)
    assert [each.stat().st_mode & 0o777 for each in (home / ".autocron", *made)] == [0o700] * 3


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    """design 2: private: nobody else chooses where the socket lies."""
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    (tmp_path / "app.db-autocron").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match=r"app\.db-autocron"):
        make_directory(str(tmp_path / "app.db"))


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    """design 2: one monitor: it alone holds an OS lock on a lock file beside the database."""
    address = str(tmp_path / "app.db")
    fd = acquire(address, "lock")
    assert fd is not None
    assert not os.get_inheritable(fd)
    assert acquire(address, "lock") is None
    other = acquire(address, "starting")
    assert other is not None
    os.close(fd)
    again = acquire(address, "lock")
    assert again is not None
    for each in (other, again):
        os.close(each)


def test_a_lock_file_that_was_removed_is_a_lock_no_more(tmp_path: Path) -> None:
    """design 2: there is no stale flag to repair: whoever comes after a removed directory makes its own."""
    address = str(tmp_path / "app.db")
    fd = acquire(address, "lock")
    assert fd is not None
    remove_directory(address)
    other = acquire(address, "lock")
    assert other is not None
    assert os.fstat(other).st_ino == (directory_of(address) / "lock").stat().st_ino
    os.close(fd)
    os.close(other)


def test_nothing_is_left_behind_but_what_is_not_ours(tmp_path: Path) -> None:
    """contract 6: no file is left; somebody else's is not touched."""
    address = str(tmp_path / "app.db")
    directory = make_directory(address)
    for name in FILES:
        (directory / name).touch()
    remove_directory(address)
    assert list(tmp_path.iterdir()) == []
    remove_directory(address)
    make_directory(address)
    (directory / "notes.txt").touch()
    remove_directory(address)
    assert (directory / "notes.txt").exists()


@pytest.mark.parametrize("length", [10, 90, 250])
def test_a_socket_has_a_path_that_the_kernel_takes(tmp_path: Path, length: int) -> None:
    """design 2: reached through /proc/self/fd/N/name where the path exceeds 107 bytes."""
    directory = tmp_path / ("d" * length)
    directory.mkdir()
    (directory / "link").write_text("here")
    with socket_path(directory) as path:
        assert len(os.fsencode(path)) <= max(LONGEST_SOCKET_PATH, 107)
        assert Path(path).read_text() == "here"
