"""Serving the page: to this machine alone unless told otherwise, with nothing from elsewhere in it."""

import contextlib
import errno
import importlib.util
import os
import signal
import socket
import sys
import tempfile

from mfdet.errors import InputError
from mfdet.page.examples import make_examples
from mfdet.page.models import Models

# Should a version of gradio ask for fonts, scripts or counters of others, the browser does not load them.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; frame-ancestors 'self'"
)
HEADERS = [
    (b'content-security-policy', POLICY.encode()),
    (b'x-content-type-options', b'nosniff'),
    (b'referrer-policy', b'no-referrer'),
]
LOOPBACK = ('127.0.0.1', 'localhost')


def listen(host, port):
    """Return a socket that listens.

    Raises:
        InputError: the host is none of this machine, or the port is taken or not allowed.
    """
    if not 0 <= port <= 65535:
        raise InputError(f'--port must be from 0 (any that is free) to 65535, got {port}')
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except (socket.gaierror, UnicodeError) as error:
        raise InputError(f'--host {host}: there is no such address') from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(f'--port {port} is in use on {host}; name another, or 0 for any that is free') from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise InputError(f'--host {host}: is no address of this machine') from error
        raise InputError(f'--port {port} cannot be used on {host}: {error.strerror}') from error


class SelfContained:
    """ASGI application that keeps the browser, and the server, from loading anything from elsewhere.

    Args:
        app: the application behind it.
    """

    def __init__(self, app):
        self._app = app

    async def __call__(self, scope, receive, send):
        """Answer a request, see the ASGI specification."""
        path = scope.get('path', '')
        if '/file=http' in path or '/proxy=' in path:  # what gradio would fetch for the browser
            await send(dict(type='http.response.start', status=403, headers=HEADERS))
            await send(dict(type='http.response.body', body=b'not allowed'))
            return

        async def send_with_headers(message):
            if message['type'] == 'http.response.start':
                message = dict(message, headers=[*message['headers'], *HEADERS])
            await send(message)

        await self._app(scope, receive, send_with_headers)


@contextlib.contextmanager
def application(paths, host='127.0.0.1', examples=None):
    """Yield the page as an ASGI application; its temporary files are gone afterwards.

    Args:
        paths: of the models; the first is loaded now.
        host: that it will be served on; on this machine's own address it answers to that name alone.
        examples: folder of images, or None for generated ones.

    Raises:
        InputError: a model or the folder is wrong, or gradio is not installed.
    """
    models = Models(paths)
    models.detector(models.names[0])
    if importlib.util.find_spec('gradio') is None:
        raise InputError('the page needs gradio: pip install "mfdet[demo]"')
    with tempfile.TemporaryDirectory(prefix='mfdet-page-', ignore_cleanup_errors=True) as folder:
        made = make_examples(folder, examples)
        os.environ.update(  # read when gradio is imported
            GRADIO_TEMP_DIR=folder,
            GRADIO_EXAMPLES_CACHE=os.path.join(folder, 'examples'),
            GRADIO_ANALYTICS_ENABLED='False',
            HF_HUB_OFFLINE='1',
        )
        import gradio
        from fastapi import FastAPI
        from starlette.middleware.trustedhost import TrustedHostMiddleware

        from mfdet.page.app import CSS, THEME, build
        from mfdet.page.uploads import VIDEO_BYTES

        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        if host in LOOPBACK:  # else another site could reach it by a name that it points to this machine
            app.add_middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK)
        gradio.mount_gradio_app(
            app,
            build(models, *made, folder),
            path='/',
            server_name=host,
            footer_links=[],
            run_history=False,
            show_error=False,
            max_file_size=VIDEO_BYTES,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
            theme=gradio.themes.Default(**THEME),
            css=CSS,
        )
        yield SelfContained(app)


def serve(paths, host='127.0.0.1', port=7860, examples=None):
    """Serve the page until Ctrl-C or SIGTERM; arguments as of :func:`application`, and the port, 0 for any.

    Raises:
        InputError: see :func:`application` and :func:`listen`.
        KeyboardInterrupt: at Ctrl-C, once it has ended in order.
    """
    with listen(host, port) as listening, application(paths, host, examples) as app:
        import uvicorn

        name, port = f'[{host}]' if ':' in host else host, listening.getsockname()[1]
        print(f'http://{name}:{port} shows the page; Ctrl-C ends it', flush=True)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # uvicorn hands it on at its end
        config = uvicorn.Config(app, log_level='critical', timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[listening])
