"""Servers while a test lasts: in a thread over what a test makes, or as processes of their own.

with served(small_operations) as url: ...
with started("serve", "--catalogue", path) as url: ...
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn
from small_world import WordSearch, WordSelector, small_catalogue

from diffagent_tools.agents.operations import Operations
from diffagent_tools.http_guard import listen
from diffagent_tools.serve.protocol import Bounded
from diffagent_tools.serve.run import Guarded


def small_operations() -> Operations:
    """Over the small catalogue, by shared words."""
    catalogue = small_catalogue()
    return Operations(catalogue, WordSelector(catalogue), WordSearch(catalogue))


@contextmanager
def served(make: Callable[[], Operations], token: str | None = None) -> Iterator[str]:
    """The address of a server in a thread."""
    app = Guarded(make, "127.0.0.1", token)
    server = uvicorn.Server(uvicorn.Config(app, http=Bounded, ws="none", lifespan="on", log_level="critical"))
    with listen("127.0.0.1", 0) as listening:
        running = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        running.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            running.join()


def ask(url: str, body: Any = None, **headers: str) -> httpx.Response:
    """A POST of `body`, or a GET where there is none."""
    with httpx.Client(trust_env=False, timeout=60) as client:
        if body is None:
            return client.get(url, headers=headers)
        return client.post(url, json=body, headers=headers)


def wait_until_ready(url: str) -> None:
    """Until `/ready` is 200; fails after a minute."""
    for _ in range(600):
        if ask(f"{url}/ready").status_code == 200:
            return
        time.sleep(0.1)
    raise AssertionError(f"{url} is not ready: {ask(f'{url}/ready').text}")


@contextmanager
def started(*arguments: str, **environment: str) -> Iterator[str]:
    """The address of a `diffagent serve` of its own, on a free port, once its models are loaded."""
    command = [sys.executable, "-m", "diffagent_tools", "serve", "--port", "0", *arguments]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=variables)
    assert process.stderr is not None
    try:
        said = process.stderr.readline()
        assert said.startswith("listening on "), said + process.stderr.read()
        # what it says later must not fill the pipe
        threading.Thread(target=process.stderr.read, daemon=True).start()
        url = said.split()[-1]
        wait_until_ready(url)
        yield url
    finally:
        process.terminate()
        process.wait(30)
