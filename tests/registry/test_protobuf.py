import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from treadle.core.errors import PackageRefused
from treadle.registry.protobuf import refuse_external_data


def outside(location="../../etc/passwd"):
    made = numpy_helper.from_array(np.ones(4, dtype=np.float32), "w")
    made.ClearField("raw_data")
    made.data_location = onnx.TensorProto.EXTERNAL
    made.external_data.add(key="location", value=location)
    return made


def model(*, initializer=None, attribute=None, nested=None, function=None):
    nodes = [helper.make_node("Identity", ["location"], ["y"])]
    if attribute is not None:
        nodes.append(helper.make_node("Constant", [], ["k"], value=attribute))
    if nested is not None:
        inner = helper.make_graph([], "inner", [], [], initializer=[nested])
        nodes.append(helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner))
    graph = helper.make_graph(
        nodes,
        "location",
        [helper.make_tensor_value_info("location", 1, [None, 1])],
        [helper.make_tensor_value_info("y", 1, [None, 1])],
        initializer=[initializer] if initializer is not None else [],
    )
    functions = []
    if function is not None:
        body = [helper.make_node("Constant", [], ["o"], value=function)]
        functions = [helper.make_function("own", "F", [], ["o"], body, [helper.make_opsetid("", 21)])]
    return helper.make_model(graph, functions=functions)


@pytest.mark.parametrize("place", ["initializer", "attribute", "nested", "function"])
@pytest.mark.parametrize("location", ["../../etc/passwd", "/etc/passwd", "weights.bin"])
def test_data_outside_is_found_wherever_it_is(place, location):
    data = model(**{place: outside(location)}).SerializeToString()

    with pytest.raises(PackageRefused, match="another file"):
        refuse_external_data(data)


@pytest.mark.parametrize("place", ["initializer", "attribute", "nested", "function"])
def test_data_inside_is_accepted(place):
    held = numpy_helper.from_array(np.ones(4, dtype=np.float32), "location")

    refuse_external_data(model(**{place: held}).SerializeToString())


@pytest.mark.parametrize("data", [b"\x80", b"\x3a\xff\xff\xff\xff\x0f", b"\x3b", b"\xff" * 20])
def test_bytes_that_are_no_model_are_refused(data):
    with pytest.raises(PackageRefused, match="not an ONNX model"):
        refuse_external_data(data)
