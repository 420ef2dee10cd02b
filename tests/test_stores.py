"""Stores: what is listed, read and written, and what each kind of failure is called."""

import sys

import pytest

from textspot import stores
from textspot.extras import MissingExtraError
from textspot.stores import DeniedError, StoreError, list_files, open_file, read_file, write_file

fsspec = pytest.importorskip("fsspec")


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """The pauses that are made, none of which takes time."""
    made = []
    monkeypatch.setattr("textspot.stores.time.sleep", made.append)
    return made


@pytest.fixture(params=["local", "memory"])
def folder(request, tmp_path):
    """The address of an empty folder, on this machine or in a store."""
    return str(tmp_path) if request.param == "local" else f"memory://{tmp_path.name}"


def test_an_empty_folder_and_one_that_is_not_there_hold_nothing(folder):
    assert list_files(folder) == []
    assert list_files(f"{folder}/absent") == []


def test_files_are_listed_by_name_and_read_again(folder):
    for name in ("b", "deep/a", "a"):
        write_file(f"{folder}/{name}", name.encode() * 10)
    files = list_files(folder)
    assert [(file.name, file.num_bytes) for file in files] == [("a", 10), ("b", 10), ("deep/a", 60)]
    assert [read_file(file.address) for file in files] == [b"a" * 10, b"b" * 10, b"deep/a" * 10]
    assert read_file(files[2].address, 1, 4) == b"eep"
    with open_file(files[0].address) as file:
        assert file.read(2) == b"aa"


def test_a_file_is_replaced_whole(folder):
    write_file(f"{folder}/a", b"long before")
    write_file(f"{folder}/a", b"now")
    assert read_file(f"{folder}/a") == b"now"
    assert [file.name for file in list_files(folder)] == ["a"]


def test_a_range_ends_where_the_file_does(folder):
    write_file(f"{folder}/a", b"0123")
    assert read_file(f"{folder}/a", 2, 9) == b"23"
    assert read_file(f"{folder}/a", 7, 9) == b""


def test_a_missing_file_is_named(folder):
    with pytest.raises(FileNotFoundError, match=r"absent\.jpg: no such file"):
        read_file(f"{folder}/absent.jpg")


def test_a_file_of_this_machine_that_may_not_be_read_is_one_file(monkeypatch):
    raise_in_store(monkeypatch, PermissionError(13, "Permission denied", "/x/a.jpg"))
    with pytest.raises(DeniedError, match="may not be read"):
        read_file("memory://a.jpg")


class ClientError(Exception):
    """As botocore's: `response` holds the code."""

    def __init__(self, code):
        super().__init__(code)
        self.response = {"Error": {"Code": code}}


def caused(error, code):
    error.__cause__ = ClientError(code)
    return error


class NoCredentialsError(Exception):
    """Bears the name of botocore's."""


class ConnectTimeoutError(Exception):
    """Bears the name of botocore's."""


@pytest.mark.parametrize(
    ("raised", "expected", "words"),
    [
        (caused(PermissionError("Access Denied"), "AccessDenied"), DeniedError, "may not be read"),
        (caused(PermissionError("key"), "InvalidAccessKeyId"), StoreError, "refuses the credentials.*InvalidAccessKey"),
        (caused(PermissionError("token"), "ExpiredToken"), StoreError, "refuses the credentials"),
        (NoCredentialsError("Unable to locate credentials"), StoreError, "refuses the credentials"),
        (ConnectTimeoutError("5 s"), StoreError, "does not answer"),
        (TimeoutError(), StoreError, "does not answer"),
        (ConnectionRefusedError("refused"), StoreError, "does not answer"),
        (caused(OSError("Please reduce your request rate"), "SlowDown"), StoreError, "fails.*SlowDown"),
    ],
)
def test_failures_are_called_by_what_they_mean(monkeypatch, raised, expected, words):
    raise_in_store(monkeypatch, raised)
    with pytest.raises(expected, match=rf"memory://a\.jpg: .*{words}"):
        read_file("memory://a.jpg")


def test_a_store_that_fails_is_asked_again(monkeypatch, pauses):
    answers = [TimeoutError(), TimeoutError(), b"at last"]

    def answer(*_, **__):
        found = answers.pop(0)
        if isinstance(found, bytes):
            return found
        raise found

    monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.cat_file", answer)
    assert read_file("memory://a.jpg") == b"at last"
    assert len(pauses) == 2


class ResponseError(Exception):
    """As that of aiohttp."""

    status = 416


@pytest.mark.parametrize("error", [caused(OSError("range"), "InvalidRange"), ResponseError()])
def test_a_range_that_is_refused_is_empty(monkeypatch, error):
    raise_in_store(monkeypatch, error)
    assert read_file("memory://a.jpg", 9, 12) == b""


def raise_in_store(monkeypatch, error):
    """Have every read of the memory store fail so."""

    def fail(*_, **__):
        raise error

    monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.cat_file", fail)


def test_what_a_store_needs_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(MissingExtraError, match=r"s3://b/a\.jpg.*textspot\[stores\]"):
        read_file("s3://b/a.jpg")


@pytest.mark.parametrize(("address", "remote"), [("/a", False), ("a/b", False), ("file:///a", False), ("s3://a", True)])
def test_paths_of_this_machine_are_not_remote(address, remote):
    assert stores.is_remote(address) == remote
