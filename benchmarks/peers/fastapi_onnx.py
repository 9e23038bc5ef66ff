"""The server that one would write by hand: FastAPI, pydantic and ONNX Runtime. Prints CPU milliseconds a request.

python fastapi_onnx.py MODEL ROW_AS_JSON REQUESTS FOLDER_OF_LOAD_PY
"""

import json
import os
import sys
from pathlib import Path


def make_app():
    """Return the application; the model and a row to take the types from come by environment."""
    import numpy as np
    import onnxruntime
    from fastapi import FastAPI
    from pydantic import create_model

    row = json.loads(os.environ["PEER_ROW"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(os.environ["PEER_MODEL"], options)
    shapes = {given.name: [-1, 1] if len(given.shape) != 1 else [-1] for given in session.get_inputs()}
    dtypes = {
        given.name: {"tensor(string)": object, "tensor(int64)": np.int64}.get(given.type, np.float32)
        for given in session.get_inputs()
    }
    one = create_model("Row", **{name: (type(value), ...) for name, value in row.items()})
    request = create_model("Request", rows=(list[one], ...))
    app = FastAPI()

    @app.get("/ready")
    def ready() -> dict:
        return {}

    @app.post("/predict")
    async def predict(body: request) -> dict:
        feed = {
            name: np.array([getattr(found, name) for found in body.rows], dtype=dtypes[name]).reshape(shape)
            for name, shape in shapes.items()
        }
        prediction, probability = session.run(["prediction", "probability"], feed)
        answers = zip(prediction.reshape(-1).tolist(), probability.reshape(-1).tolist(), strict=True)
        return {"predictions": [{"prediction": bool(p), "probability": q} for p, q in answers]}

    return app


def main() -> None:
    """Serve with one worker, ask, and say what a request took."""
    model, row, requests, folder = sys.argv[1:]
    sys.path.insert(0, folder)
    from load import Server, free_port

    port = free_port()
    command = [
        *(sys.executable, "-m", "uvicorn", "--factory", "fastapi_onnx:make_app", "--port", str(port)),
        *("--log-level", "warning", "--no-access-log"),
    ]
    environment = {"PEER_MODEL": model, "PEER_ROW": row}
    server = Server(command, port=port, ready="/ready", cwd=Path(__file__).parent, env=environment)
    try:
        body = json.dumps({"rows": [json.loads(row)]}).encode()
        print(json.dumps(server.cpu_per_request("/predict", body, requests=int(requests))))
    finally:
        server.close()


if __name__ == "__main__":
    main()
