"""Average pooling becomes a convolution where that is the same."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from ahl.apps.export.pooling import pools_as_convolutions


def pooling(**attributes):
    node = helper.make_node("AveragePool", ["maps"], ["means"], name="pool", **attributes)
    entry = helper.make_node("Identity", ["images"], ["maps"])
    given = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 12, 10])
    result = helper.make_tensor_value_info("means", TensorProto.FLOAT, ["n", 3, "h", "w"])
    maps = helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["batch", 3, 12, 10])
    graph = helper.make_graph([entry, node], "g", [given], [result], value_info=[maps])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(model, images):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"images": images})[0]


@pytest.mark.parametrize(
    ("attributes", "replaced"),
    [
        ({"kernel_shape": [2, 2], "strides": [2, 2]}, True),
        ({"kernel_shape": [6, 4], "strides": [2, 1]}, True),
        ({"kernel_shape": [2, 5], "strides": [2, 5], "ceil_mode": 1}, True),
        ({"kernel_shape": [5, 3]}, True),
        ({"kernel_shape": [8, 8], "strides": [8, 8], "ceil_mode": 1}, False),
        ({"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}, False),
        ({"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER"}, False),
    ],
)
def test_means_stay_what_they_are(attributes, replaced):
    images = np.random.default_rng(0).normal(0, 1, (2, 3, 12, 10)).astype(np.float32)
    expected = run(pooling(**attributes), images)
    changed = pools_as_convolutions(pooling(**attributes))
    onnx.checker.check_model(changed)
    assert any(node.op_type == "Conv" for node in changed.graph.node) == replaced
    np.testing.assert_allclose(run(changed, images), expected, rtol=1e-5, atol=1e-6)
