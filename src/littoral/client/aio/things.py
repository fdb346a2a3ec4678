"""Twins of devices over HTTP."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Unpack

from littoral.client.answers import converted, decoded, next_page, read, written
from littoral.client.errors import StreamEnded
from littoral.client.events import EventParser
from littoral.client.http import AsyncHttpTransport
from littoral.client.model import Read, Written
from littoral.client.requests import (
    EVENT_STREAM,
    NOTHING,
    V1,
    Json,
    ReadOptions,
    Request,
    WriteOptions,
    pointer,
    reading,
    search_form,
    search_option,
    thing_address,
    writing,
)

THINGS = "/api/2/things"
IDS_MAX = 50
"""Things asked for in one request of `AsyncThings.get_many`: an address has 8 KiB."""

PAGE = 200


class AsyncThings:
    """``/api/2/things``. A ``path`` is a JSON pointer into the thing; ``/`` is the whole of it."""

    def __init__(self, node: AsyncHttpTransport) -> None:
        self._node = node

    async def get(self, thing_id: str, path: str = "/", **options: Unpack[ReadOptions]) -> Any:
        """What is at ``path``, as JSON."""
        return (await self.read(thing_id, path, **options)).value

    async def read(self, thing_id: str, path: str = "/", **options: Unpack[ReadOptions]) -> Read:
        """What is at ``path``, with its entity tag, and with metadata if it was asked for."""
        request = reading(thing_address(thing_id, path), options)
        return read(await self._node.send(request))

    async def get_many(
        self, ids: Sequence[str], *, fields: str | Sequence[str] | None = None
    ) -> list[Any]:
        """Several things at once, in the order of ``ids``; those not visible are left out."""
        found: list[Any] = []
        for start in range(0, len(ids), IDS_MAX):
            params = search_form(query=None, namespaces=(), fields=fields)
            params["ids"] = ",".join(ids[start : start + IDS_MAX])
            found += (await self._node.send(Request("GET", THINGS, params))).json()
        return found

    async def all(
        self,
        *,
        namespaces: Sequence[str] = (),
        fields: str | Sequence[str] | None = None,
        size: int | None = None,
    ) -> AsyncIterator[Any]:
        """Every thing that the user may see, in the order of ids, page by page."""
        option = search_option(sort=(), size=size)
        form = search_form(query=None, namespaces=namespaces, fields=fields, option=option)
        request = Request("GET", THINGS, form)
        while True:
            answer = await self._node.send(request)
            for thing in answer.json():
                yield thing
            following = next_page(answer)
            if not following:
                return
            request = Request("GET", following)

    async def ids(self, *, namespaces: Sequence[str] = ()) -> AsyncIterator[str]:
        """Ids of all things that the user may see, in order, page by page."""
        after = ""
        while True:
            params: dict[str, str | int] = {"after": after, "limit": PAGE}
            if namespaces:
                params["namespaces"] = ",".join(namespaces)
            answer = await self._node.send(Request("GET", f"{V1}/things", params))
            page = answer.json()
            for one in converted(answer.url, page["items"], list[str]):
                yield one
            after = page.get("next") or ""
            if not after:
                return

    async def create(
        self, document: Json, *, namespace: str | None = None, **options: Unpack[WriteOptions]
    ) -> Written:
        """Create a thing with an id of the node's; it is in the ``value``."""
        request = writing("POST", THINGS, document, options)
        if namespace is not None:
            request = Request(
                "POST", THINGS, {"namespace": namespace}, request.headers, request.content
            )
        return written(await self._node.send(request))

    async def put(
        self, thing_id: str, value: Json, path: str = "/", **options: Unpack[WriteOptions]
    ) -> Written:
        """Create or replace what is at ``path``."""
        request = writing("PUT", thing_address(thing_id, path), value, options)
        return written(await self._node.send(request))

    async def merge(
        self, thing_id: str, patch: Json, path: str = "/", **options: Unpack[WriteOptions]
    ) -> Written:
        """Merge ``patch`` at ``path`` (RFC 7396: null deletes)."""
        request = writing("PATCH", thing_address(thing_id, path), patch, options)
        return written(await self._node.send(request))

    async def delete(
        self, thing_id: str, path: str = "/", **options: Unpack[WriteOptions]
    ) -> Written:
        """Delete a thing, or what is at ``path`` of it."""
        request = writing("DELETE", thing_address(thing_id, path), NOTHING, options)
        return written(await self._node.send(request))

    async def put_properties(
        self, thing_id: str, feature: str, values: Json, **options: Unpack[WriteOptions]
    ) -> Written:
        """Create or replace all properties of a feature."""
        path = pointer("features", feature, "properties")
        return await self.put(thing_id, values, path, **options)

    async def desire(
        self, thing_id: str, feature: str, values: Json, **options: Unpack[WriteOptions]
    ) -> Written:
        """Merge into the desired properties of a feature: what its device is to become."""
        path = pointer("features", feature)
        return await self.merge(thing_id, {"desiredProperties": values}, path, **options)

    async def migrate(self, thing_id: str, migration: Json, *, dry_run: bool = False) -> Any:
        """Give a thing another definition."""
        request = writing(
            "POST", thing_address(thing_id, "/migrateDefinition"), migration, WriteOptions()
        )
        params = {"dry-run": "true"} if dry_run else {}
        request = Request("POST", request.path, params, request.headers, request.content)
        return (await self._node.send(request)).json()

    async def watch(
        self,
        ids: Sequence[str] = (),
        *,
        namespaces: Sequence[str] = (),
        fields: str | Sequence[str] | None = None,
        extra_fields: str | None = None,
        query: str | None = None,
    ) -> AsyncIterator[Any]:
        """Changes of things as partial things, as they are committed; ends by `StreamEnded`.

        A reader that is too slow loses changes: it then gets ``{"_dropped": <how many>}``.
        """
        params = search_form(query=query, namespaces=namespaces, fields=fields)
        if ids:
            params["ids"] = ",".join(ids)
        if extra_fields is not None:
            params["extraFields"] = extra_fields
        async for change in self._stream(Request("GET", THINGS, params)):
            yield change

    async def watch_one(self, thing_id: str, path: str = "/") -> AsyncIterator[Any]:
        """The changed parts of one thing, or what is at ``path`` of it after each change."""
        async for change in self._stream(Request("GET", thing_address(thing_id, path))):
            yield change

    async def _stream(self, request: Request) -> AsyncIterator[Any]:
        asked = Request("GET", request.path, request.params, {"accept": EVENT_STREAM})
        parser = EventParser()
        async with self._node.lines(asked) as lines:
            async for line in lines:
                event = parser.feed(line)
                if event is None:
                    continue
                if event.data:
                    yield decoded(self._node.url, event.data.encode())
                elif event.comment.startswith("dropped "):
                    yield {"_dropped": int(event.comment.split()[1])}
        raise StreamEnded("the node ended the stream.", hint="Begin it again.")
