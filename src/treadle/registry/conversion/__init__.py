"""A fitted scikit-learn pipeline written as an ONNX graph that gives the same answers, bit for bit where it matters."""
