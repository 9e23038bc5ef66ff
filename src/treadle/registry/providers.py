"""Where ONNX models are computed: ONNX Runtime's execution providers by short names, and what is done without one.

A version answers wherever a server runs: where a provider is not there, does not take a model, or changes what golden rows
are answered, the processor does the work, and the model says so (`fallback`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from treadle.core.optional import require
from treadle.core.servable import Servable

_log = logging.getLogger("treadle.registry")

#: Short name → what ONNX Runtime calls it, in the order in which it tries them.
PROVIDERS = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
    "openvino": ("OpenVINOExecutionProvider", "CPUExecutionProvider"),
}
_BROUGHT_BY = {"cuda": "onnxruntime-gpu", "tensorrt": "onnxruntime-gpu", "openvino": "onnxruntime-openvino"}


def on(provider: str, load: Callable[[Any], Servable]) -> Callable[[Any], Servable]:
    """Return a loader whose ONNX models are computed on a provider; models of other formats stay as they are."""

    def placed(version: Any) -> Servable:
        model = load(version)
        place = getattr(model, "place", None)
        if place is not None:
            place(provider)
        elif provider != "cpu":
            _log.warning("%s is not computed on %s: it is no ONNX model", version, provider)
        return model

    return placed


def session(data: bytes, provider: str) -> Any:
    """Return a session of ONNX Runtime on a provider, with one thread: it is called by many threads.

    Raises:
        RuntimeError: the provider is not there, or does not take the model; the message says what to do.
    """
    runtime = require("onnxruntime", extra="serve")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    wanted, available = PROVIDERS[provider], runtime.get_available_providers()
    if wanted[0] not in available:
        msg = (
            f"The installed ONNX Runtime has no {wanted[0]}, only {', '.join(available)}. Install "
            f'{_BROUGHT_BY.get(provider, "another build of it")} instead of onnxruntime, or set serving.provider = "cpu".'
        )
        raise RuntimeError(msg)
    made = runtime.InferenceSession(data, options, providers=[name for name in wanted if name in available])
    if made.get_providers()[0] != wanted[0]:
        msg = (
            f"{wanted[0]} could not be started on this machine; ONNX Runtime took {made.get_providers()[0]}."
        )
        raise RuntimeError(msg)
    return made
