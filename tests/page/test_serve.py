import asyncio
import socket

import pytest

from mfdet.errors import InputError
from mfdet.page.serve import SelfContained, listen


def test_a_free_port_is_listened_to():
    with listen('127.0.0.1', 0) as listening, socket.create_connection(listening.getsockname(), timeout=5):
        assert listening.getsockname()[0] == '127.0.0.1'


def test_mistakes():
    with listen('127.0.0.1', 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f'^--port {port} is in use on 127.0.0.1; name another, or 0'):
            listen('127.0.0.1', port)
    with pytest.raises(InputError, match=r'^--port must be from 0 \(any that is free\) to 65535, got 70000'):
        listen('127.0.0.1', 70000)
    with pytest.raises(InputError, match=r'^--host 192\.0\.2\.1: is no address of this machine'):
        listen('192.0.2.1', 0)
    with pytest.raises(InputError, match=r'^--host no such host: there is no such address'):
        listen('no such host', 0)


def answer(path):
    async def app(scope, receive, send):
        await send(dict(type='http.response.start', status=200, headers=[(b'content-type', b'text/html')]))
        await send(dict(type='http.response.body', body=b'page'))

    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(SelfContained(app)(dict(type='http', path=path), None, send))
    return sent[0]['status'], dict(sent[0]['headers'])


def test_browsers_are_told_to_load_nothing_from_elsewhere():
    status, headers = answer('/')
    assert (status, headers[b'content-type']) == (200, b'text/html')
    policy = headers[b'content-security-policy'].decode()
    assert policy.startswith("default-src 'self';")
    assert 'http' not in policy
    assert '*' not in policy


def test_the_server_fetches_nothing_from_elsewhere():
    assert answer('/gradio_api/file=https://example.com/a.png')[0] == 403
    assert answer('/gradio_api/proxy=https://example.com/a.png')[0] == 403
    assert answer('/gradio_api/file=/tmp/a.png')[0] == 200
