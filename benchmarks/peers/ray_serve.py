"""Ray Serve with ONNX Runtime and batches.

python ray_serve.py PORT    (PEER_MODEL and PEER_ROW come by environment)
"""

import signal
import sys

import ray
from _model import Model
from ray import serve


@serve.deployment(num_replicas=1, max_ongoing_requests=256, ray_actor_options={"num_cpus": 0.5})
class Flights:
    """Answers the rows of requests."""

    def __init__(self):
        self._model = Model()

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.001)
    async def _together(self, requests):
        told = iter(self._model([row for rows in requests for row in rows]))
        return [[next(told) for _ in rows] for rows in requests]

    async def __call__(self, request):
        """Answer a request."""
        if request.method == "GET":
            return {}
        return {"predictions": await self._together((await request.json())["rows"])}


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, configure_logging=False, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Flights.bind(), route_prefix="/predict")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    ray.shutdown()
