"""The model as everybody serves it who writes the glue by hand: rows as mappings in, rows as mappings out."""

import json
import os


class Model:
    """A session of ONNX Runtime with one thread, from PEER_MODEL; PEER_ROW is a row to take the types from."""

    def __init__(self):
        import numpy as np
        import onnxruntime

        self._numpy = np
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            os.environ["PEER_MODEL"], options, providers=["CPUExecutionProvider"]
        )
        kinds = {"tensor(string)": object, "tensor(int64)": np.int64}
        self._inputs = {found.name: kinds.get(found.type, np.float32) for found in self._session.get_inputs()}
        self.row = json.loads(os.environ["PEER_ROW"])

    def __call__(self, rows):
        """Answer rows given as mappings."""
        array = self._numpy.array
        feed = {
            name: array([row[name] for row in rows], dtype=kind).reshape(-1, 1)
            for name, kind in self._inputs.items()
        }
        prediction, probability = self._session.run(["prediction", "probability"], feed)
        answers = zip(prediction.reshape(-1).tolist(), probability.reshape(-1).tolist(), strict=True)
        return [{"prediction": bool(said), "probability": share} for said, share in answers]
