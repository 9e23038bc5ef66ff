"""LitServe with ONNX Runtime; requests that wait together run together.

python litserve_onnx.py PORT    (PEER_MODEL and PEER_ROW come by environment)
"""

import sys

import litserve
from _model import Model


class Api(litserve.LitAPI):
    """Answers the rows of a request."""

    def setup(self, device):
        """Load the model."""
        self._model = Model()

    def decode_request(self, request):
        """Return the rows."""
        return request["rows"]

    def batch(self, inputs):
        """Leave requests apart, so that each gets its own rows."""
        return inputs

    def unbatch(self, output):
        """Return what each request is answered."""
        return output

    def predict(self, requests):
        """Call the model once."""
        told = iter(self._model([row for rows in requests for row in rows]))
        return [[next(told) for _ in rows] for rows in requests]

    def encode_response(self, output):
        """Return the answer."""
        return {"predictions": output}


if __name__ == "__main__":
    server = litserve.LitServer(
        Api(max_batch_size=64, batch_timeout=0.001), accelerator="cpu", workers_per_device=1, timeout=60
    )
    server.run(port=int(sys.argv[1]), num_api_servers=1, log_level="warning", generate_client_file=False)
