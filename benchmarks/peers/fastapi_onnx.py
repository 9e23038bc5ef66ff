"""The server that one would write by hand: FastAPI, pydantic and ONNX Runtime, behind uvicorn with uvloop and httptools.

python fastapi_onnx.py PORT    (PEER_MODEL and PEER_ROW come by environment)
"""

import sys

from _model import Model
from fastapi import FastAPI
from pydantic import create_model


def make_app():
    """Return the application."""
    model = Model()
    one = create_model("Row", **{name: (type(value), ...) for name, value in model.row.items()})
    request = create_model("Request", rows=(list[one], ...))
    app = FastAPI()

    @app.get("/ready")
    def ready() -> dict:
        return {}

    @app.post("/predict")
    async def predict(body: request) -> dict:
        return {"predictions": model([dict(row) for row in body.rows])}

    return app


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(
        make_app(),
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
    )
