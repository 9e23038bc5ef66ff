"""MLServer with ONNX Runtime: a runtime of one's own, as there is none for ONNX.

mlserver start FOLDER    (the folder holds settings.json and model-settings.json; PEER_MODEL and PEER_ROW come by environment)
"""

from _model import Model
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class Flights(MLModel):
    """Answers in the Open Inference Protocol."""

    async def load(self) -> bool:
        """Load the model."""
        self._model = Model()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Call the model for the rows of a request."""
        columns = {}
        for tensor in payload.inputs:
            codec = StringCodec if tensor.datatype == "BYTES" else NumpyCodec
            decoded = codec.decode_input(tensor)
            columns[tensor.name] = decoded if isinstance(decoded, list) else decoded.reshape(-1).tolist()
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        told = self._model(rows)
        outputs = [
            ResponseOutput(name=name, datatype=kind, shape=[len(told)], data=[row[name] for row in told])
            for name, kind in (("prediction", "BOOL"), ("probability", "FP64"))
        ]
        return InferenceResponse(model_name=self.name, outputs=outputs)
