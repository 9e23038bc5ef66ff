"""Programs that mount the prediction server in another one; run by the tests: `asgi_host.py <kind> <root> <port>`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import serving_wiring

from treadle.core.settings import ServingSettings
from treadle.serving.asgi import Asgi

KIND, ROOT = os.environ["TEST_ASGI_KIND"], Path(os.environ["TEST_ASGI_ROOT"])

predictions = Asgi(lambda: serving_wiring.build(ROOT, ServingSettings(durability="sync", max_body=100_000)))


def fastapi():
    """A host with routes of its own and the server below /ml, which begins and ends with it."""
    from fastapi import FastAPI

    host = FastAPI(lifespan=predictions.lifespan)

    @host.get("/hello")
    def hello() -> dict[str, str]:
        return {"hello": "world"}

    host.mount("/ml", predictions)
    return host


def starlette():
    """A host that tells what is mounted in it nothing of its lifespan."""
    from starlette.applications import Starlette
    from starlette.routing import Mount

    return Starlette(routes=[Mount("/ml", app=predictions)])


app = {"fastapi": fastapi, "starlette": starlette, "alone": lambda: predictions}[KIND]()

if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
