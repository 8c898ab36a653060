"""A pod of the foreign servers: a WSGI application. The variable LOG names its log."""

import os
import time
from urllib.parse import parse_qs

LOG = os.open(os.environ["LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def read(environ):
    """Returns the length of the body."""
    length, body = 0, environ["wsgi.input"]
    while data := body.read(65536):
        length += len(data)
    return length


def app(environ, start_response):
    request_id = environ.get("HTTP_X_ID", "")
    os.write(LOG, f"{environ['REQUEST_METHOD']} {request_id}\n".encode())
    query = parse_qs(environ["QUERY_STRING"])
    number = lambda name: int(query.get(name, ["0"])[0])
    path = environ["PATH_INFO"]
    if path == "/early":
        start_response("413 Content Too Large", [("x-id", request_id), ("content-length", "0")])
        return []
    length = read(environ)
    fields, body, status = [("x-id", request_id)], b"", "200 OK"
    if path == "/id":
        body = f"{request_id} {length}\n".encode()
    elif path == "/slow":
        time.sleep(number("ms") / 1000)
        body = f"{request_id} {length}\n".encode()
    elif path == "/big":
        body = b"x" * number("bytes")
    elif path == "/stream":
        start_response(status, fields)
        return pieces(number("bytes"))
    elif path == "/none":
        start_response("204 No Content", fields)
        return []
    elif path == "/same":
        start_response("304 Not Modified", fields)
        return []
    else:
        status = "404 Not Found"
    fields.append(("content-length", str(len(body))))
    start_response(status, fields)
    return [body]


def pieces(left):
    while left > 0:
        size = min(left, 16384)
        left -= size
        yield b"x" * size
