"""A real HTTP server on the loopback that answers the Hugging Face hub's own client as far as an export needs it.

It makes data sets, says which files go over LFS, takes them and commits. Repositories are kept as the files of their
last commit, so that a test sees what an export has left there.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import threading
from types import TracebackType
from typing import Any

from aiohttp import web

TOKEN = "hf_loopbackTokenThatNobodyMaySee"


class HubServer:
    """Runs in a thread of its own. `lfs`: files of this suffix go over LFS; empty: all go into the commit. `full`:
    commits are refused."""

    def __init__(self, *, lfs: str = "", full: bool = False) -> None:
        self.lfs, self.full = lfs, full
        self.private: dict[str, bool] = {}
        """Data set to whether it is private."""
        self.files: dict[str, dict[str, bytes]] = {}
        """Data set to its files, path to content."""
        self.calls: list[str] = []
        self.tokens: set[str | None] = set()
        self._objects: dict[str, bytes] = {}
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.url = ""

    def __enter__(self) -> HubServer:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._over.set_result, None)
        self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._main())
        self._loop.close()

    async def _main(self) -> None:
        self._over: asyncio.Future[None] = self._loop.create_future()
        app = web.Application(client_max_size=1 << 26, middlewares=[self._seen])
        app.router.add_post("/api/repos/create", self._create)
        app.router.add_post("/api/validate-yaml", self._validate)
        app.router.add_post("/api/datasets/{user}/{name}/preupload/main", self._preupload)
        app.router.add_post("/datasets/{user}/{name}.git/info/lfs/objects/batch", self._batch)
        app.router.add_put("/lfs/{oid}", self._store)
        app.router.add_post("/api/datasets/{user}/{name}/commit/main", self._commit)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.0)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]
        self._ready.set()
        await self._over
        await runner.cleanup()

    @web.middleware
    async def _seen(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.calls.append(f"{request.method} {request.path}")
        # What this server does not know is not about the data set; the address of an LFS object is signed by itself.
        if request.match_info.http_exception is not None or request.path.startswith("/lfs/"):
            return await handler(request)
        self.tokens.add(request.headers.get("Authorization"))
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"error": "Invalid username or password."}, status=401)
        return await handler(request)

    async def _create(self, request: web.Request) -> web.Response:
        body = await request.json()
        name = f"{body['organization']}/{body['name']}"
        assert body["type"] == "dataset"
        if name in self.private:
            return web.json_response({"error": "You already created this dataset repo"}, status=409)
        # Clients say it in one of two ways; the hub's own default, where they say nothing, is public.
        self.private[name] = body.get("visibility") == "private" or body.get("private") is True
        self.files[name] = {}
        return web.json_response({"url": f"{self.url}/datasets/{name}"})

    async def _validate(self, request: web.Request) -> web.Response:
        body = await request.json()
        fault = "" if body["content"].startswith("---\n") else "no metadata"
        return web.json_response({"warnings": [], "errors": [{"message": fault}] if fault else []})

    async def _preupload(self, request: web.Request) -> web.Response:
        files = [
            {"path": f["path"], "uploadMode": self._mode(f["path"]), "shouldIgnore": False, "oid": None}
            for f in (await request.json())["files"]
        ]
        return web.json_response({"files": files})

    def _mode(self, path: str) -> str:
        return "lfs" if self.lfs and path.endswith(self.lfs) else "regular"

    async def _batch(self, request: web.Request) -> web.Response:
        objects = [
            {"oid": o["oid"], "size": o["size"], "actions": {"upload": {"href": f"{self.url}/lfs/{o['oid']}"}}}
            for o in (await request.json())["objects"]
        ]
        return web.json_response({"transfer": "basic", "objects": objects})

    async def _store(self, request: web.Request) -> web.Response:
        data, oid = await request.read(), request.match_info["oid"]
        assert hashlib.sha256(data).hexdigest() == oid
        self._objects[oid] = data
        return web.Response()

    async def _commit(self, request: web.Request) -> web.Response:
        name = f"{request.match_info['user']}/{request.match_info['name']}"
        if self.full:
            return web.json_response({"error": "Private repository storage limit reached"}, status=403)
        for line in (await request.text()).splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                self.files[name][value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                self.files[name][value["path"]] = self._objects[value["oid"]]
        commit = {"commitUrl": f"{self.url}/datasets/{name}/commit/{'0' * 40}", "commitOid": "0" * 40, "success": True}
        return web.json_response(commit)
