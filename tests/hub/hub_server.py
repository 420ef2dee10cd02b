"""A server on this machine that speaks as much of the hub's HTTP interface as its library needs to upload and download
files of models: repositories in memory, each with one branch."""

import base64
import hashlib
import json
from http.server import BaseHTTPRequestHandler


class HubServer(BaseHTTPRequestHandler):
    """Answers requests; `repositories` holds files by name, by repository, and `requests` what was asked."""

    repositories: dict[str, dict[str, bytes]]
    requests: list[tuple[str, str, str]]  # method, path, and the header of authorization

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or self._read_chunks()
        path = self._note()
        if path == "/api/repos/create":
            asked = json.loads(body)
            repository = f"{asked['organization']}/{asked['name']}"
            known = repository in self.repositories
            self.repositories.setdefault(repository, {})
            self._answer(409 if known else 200, {"url": f"{self._address()}/{repository}"})
        elif path == "/api/validate-yaml":
            self._answer(200, {"errors": [], "warnings": []})
        elif "/preupload/" in path:
            asked = json.loads(body)["files"]
            modes = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in asked]
            self._answer(200, {"files": modes})
        elif "/commit/" in path:
            repository = "/".join(path.split("/")[3:5])
            files = self.repositories[repository]
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            url = f"{self._address()}/{repository}/commit/{commit_of(files)}"
            self._answer(200, {"commitUrl": url, "commitOid": commit_of(files)})
        else:
            self._answer(404, {"error": path})

    def do_GET(self) -> None:
        owner, name, _, _, *place = self._note().removeprefix("/").split("/")
        files = self.repositories.get(f"{owner}/{name}", {})
        content = files.get("/".join(place))
        if content is None:
            kind = "EntryNotFound" if files else "RepoNotFound"
            self._answer(404, {"error": "not found"}, {"X-Error-Code": kind})
            return
        etag = hashlib.sha256(content).hexdigest()
        self._answer(200, content, {"X-Repo-Commit": commit_of(files), "ETag": f'"{etag}"'})

    def do_HEAD(self) -> None:
        self.do_GET()

    def _note(self) -> str:
        path = self.path.partition("?")[0]
        self.requests.append((self.command, path, self.headers.get("Authorization", "")))
        return path

    def _read_chunks(self) -> bytes:
        data = b""
        while size := int(self.rfile.readline() or b"0", 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        return data

    def _address(self) -> str:
        return f"http://{self.headers['Host']}"

    def _answer(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Not in the output of tests."""


def commit_of(files: dict[str, bytes]) -> str:
    """The id of a commit with these files: 40 hexadecimal digits."""
    digest = hashlib.sha1()
    for name, content in sorted(files.items()):
        digest.update(name.encode() + b"\0" + content)
    return digest.hexdigest()
