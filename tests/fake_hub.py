"""A Hugging Face hub on this machine: what `create_repo`, `upload_folder` and `snapshot_download` ask for, no more."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Hub(ThreadingHTTPServer):
    """Models in memory: `repositories[OWNER/NAME][path]` are the bytes of a file."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def commit(self, repository: str) -> str:
        """40 hex digits that change with the contents."""
        return hashlib.sha1(repr(sorted(self.repositories[repository].items())).encode()).hexdigest()


@contextmanager
def fake_hub() -> Iterator[Hub]:
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


class Answer(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(f"POST {self.path}")
        if self.headers.get("Authorization") != "Bearer hf_test":
            return self._json({"error": "Invalid username or password."}, 401)
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            self.server.repositories.setdefault(name, {})
            hidden = asked.get("private") or asked.get("visibility") == "private"
            self.server.private.setdefault(name, bool(hidden))
            return self._json({"url": f"{self.server.address}/{name}", "name": name})
        if match := re.fullmatch(r"/api/models/(.+?)/preupload/.+", self.path):
            files = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]
            ]
            return self._json({"files": files})
        if match := re.fullmatch(r"/api/models/(.+?)/commit/[^?]+.*", self.path):
            return self._commit(match[1], body)
        if self.path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        return self._json({"error": "not found"}, 404)

    def _commit(self, repository: str, body: bytes) -> None:
        for line in body.splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                self.server.repositories[repository][entry["value"]["path"]] = base64.b64decode(
                    entry["value"]["content"]
                )
        commit = self.server.commit(repository)
        address = f"{self.server.address}/{repository}/commit/{commit}"
        self._json({"success": True, "commitOid": commit, "commitUrl": address, "hookOutput": ""})

    def do_HEAD(self) -> None:
        self._file(head=True)

    def do_GET(self) -> None:
        self.server.asked.append(f"GET {self.path}")
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^?]+))?(?:\?.*)?", self.path):
            if match[1] not in self.server.repositories:
                return self._json({"error": "Repository not found"}, 404, "RepoNotFound")
            if match[2] not in (None, "main", self.server.commit(match[1])):
                return self._json({"error": "Invalid rev id"}, 404, "RevisionNotFound")
            siblings = [{"rfilename": path} for path in self.server.repositories[match[1]]]
            about = {"id": match[1], "sha": self.server.commit(match[1]), "siblings": siblings, "private": False}
            return self._json(about | {"tags": [], "downloads": 0})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/([^?]+)(?:\?.*)?", self.path):
            listed = self.server.repositories.get(match[1], {})
            tree = [{"type": "file", "path": p, "size": len(c), "oid": _oid(c)} for p, c in listed.items()]
            return self._json(tree)
        return self._file(head=False)

    def _file(self, head: bool) -> None:
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
        contents = None if match is None else self.server.repositories.get(match[1], {}).get(match[3])
        if match is None or contents is None:
            return self._json({"error": "Entry not found"}, 404, "EntryNotFound")
        self.send_response(200)
        self.send_header("ETag", f'"{_oid(contents)}"')
        self.send_header("X-Repo-Commit", self.server.commit(match[1]))
        self.send_header("Content-Length", str(len(contents)))
        self.end_headers()
        if not head:
            self.wfile.write(contents)
        return None

    def _json(self, value: Any, status: int = 200, error: str = "") -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if error:
            self.send_header("X-Error-Code", error)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _oid(contents: bytes) -> str:
    return hashlib.sha1(contents).hexdigest()
