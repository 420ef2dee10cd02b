"""From the hub and to it. Every file comes with its checksum, in a file of the repository beside it.

The library of the hub keeps what it fetched in a cache in the home folder, reads the access token from there or from
`HF_TOKEN`, and asks nobody if `HF_HUB_OFFLINE` is set.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from textspot.extras import name_extras
from textspot.file_checksum import CHECKSUMS, format_checksums, hash_file, parse_checksums
from textspot.hub.address import HubAddress
from textspot.hub.card import CARD, describe_model
from textspot.model_card import CheckpointError, ModelCard


class HubError(OSError):
    """The hub does not give or take a file; the message names the repository."""


def list_files(address: HubAddress) -> dict[str, str]:
    """The files of a repository that `push` wrote, by name, each with its SHA-256."""
    return parse_checksums(_fetch(address, CHECKSUMS).read_text(encoding="utf-8"))


def fetch_file(address: HubAddress, name: str, sha256: str) -> Path:
    """The file of this name, from the cache or the hub. One with another checksum is a `CheckpointError`."""
    file = _fetch(address, name)
    if hash_file(file) != sha256:
        raise CheckpointError(f"{address}: {name} is not the file that {CHECKSUMS} describes: delete {file}, try again")
    return file


def push(file: Path, card: ModelCard, repo: str, private: bool = False) -> str:
    """Upload a weights or `.onnx` file into a repository, with its checksum, in one commit; the repository's URL.

    A repository that does not exist is created, and so is its page if it has none: a page that exists may have been
    edited, and stays as it is.
    """
    with name_extras(), explain_failure(HubAddress(repo)):
        from huggingface_hub import CommitOperationAdd, HfApi

        api = HfApi()
        url = api.create_repo(repo, private=private, exist_ok=True)
        checksums = list_files(HubAddress(repo)) if api.file_exists(repo, CHECKSUMS) else {}
        checksums[file.name] = hash_file(file)
        files: dict[str, str | bytes] = {file.name: str(file), CHECKSUMS: format_checksums(checksums).encode()}
        if not api.file_exists(repo, CARD):
            files[CARD] = describe_model(card, repo).encode()
        added = [CommitOperationAdd(name, content) for name, content in files.items()]
        api.create_commit(repo, added, commit_message=f"{file.name} by textspot")
        return str(url)


def _fetch(address: HubAddress, name: str) -> Path:
    with name_extras(), explain_failure(address):
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(address.repo, name, revision=address.revision))


@contextmanager
def explain_failure(address: HubAddress) -> Iterator[None]:
    """Turn what the hub's library raises into a `HubError` of one line."""
    try:
        yield
    except (ImportError, CheckpointError, HubError):
        raise
    except Exception as error:  # its errors have no common base: those of HTTP, of names, of the cache
        words = " ".join(str(error).split()) or type(error).__name__
        raise HubError(f"{address}: {words}") from error
