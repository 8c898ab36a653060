"""A pod of the foreign servers: an ASGI application. The variable LOG names its log."""

import asyncio
import os
from urllib.parse import parse_qs

LOG = os.open(os.environ["LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


async def read(receive):
    """Returns the length of the body."""
    length, more = 0, True
    while more:
        event = await receive()
        length += len(event.get("body", b""))
        more = event.get("more_body", False)
    return length


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    request_id = dict(scope["headers"]).get(b"x-id", b"")
    os.write(LOG, scope["method"].encode() + b" " + request_id + b"\n")
    query = parse_qs(scope["query_string"].decode())
    number = lambda name: int(query.get(name, ["0"])[0])
    path = scope["path"]

    async def answer(status, body=None):
        headers = [(b"x-id", request_id)]
        if body is not None:
            headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body or b""})

    if path == "/early":
        return await answer(413, b"")
    length = await read(receive)
    if path == "/id":
        await answer(200, b"%s %d\n" % (request_id, length))
    elif path == "/slow":
        await asyncio.sleep(number("ms") / 1000)
        await answer(200, b"%s %d\n" % (request_id, length))
    elif path == "/big":
        await answer(200, b"x" * number("bytes"))
    elif path == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-id", request_id)]})
        left = number("bytes")
        while left > 0:
            size = min(left, 16384)
            left -= size
            await send({"type": "http.response.body", "body": b"x" * size, "more_body": True})
        await send({"type": "http.response.body"})
    elif path == "/none":
        await answer(204)
    elif path == "/same":
        await answer(304)
    else:
        await answer(404, b"")
