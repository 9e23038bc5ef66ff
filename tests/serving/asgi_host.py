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


def django():
    """Django has no mounting: its own ASGI application gets what is not below /ml. It knows no lifespan, so ours goes to the server."""
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.http import JsonResponse
    from django.urls import path

    def hello(request):
        return JsonResponse({"hello": "world"})

    settings.configure(
        ROOT_URLCONF=type("Urls", (), {"urlpatterns": [path("hello", hello)]}), ALLOWED_HOSTS=["*"]
    )
    own = get_asgi_application()

    async def host(scope, receive, send):
        if scope["type"] == "lifespan" or scope["path"].startswith("/ml/"):
            await predictions({**scope, "root_path": "/ml"}, receive, send)
        else:
            await own(scope, receive, send)

    return host


HOSTS = {"fastapi": fastapi, "starlette": starlette, "django": django, "alone": lambda: predictions}
app = HOSTS[KIND]()

if __name__ == "__main__":
    import uvicorn

    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
