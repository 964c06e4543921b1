"""A detector of a few nodes, as an exported file."""

import json

import numpy as np
import pytest

METADATA = dict(
    format=1,
    version='0.1.0',
    task='detection',
    model='RetinaNet',
    classes=['cat', 'dog'],
    normalized=True,
    channel_order='rgb',
    mean=[0, 0, 0],
    std=[255, 255, 255],
    pad_divisor=32,
    resize=dict(scale=[64, 32], keep_ratio=True),
)
OUTPUTS = ('boxes', 'scores', 'labels')


def tiny_model(label=1, outputs=OUTPUTS, weight=(1, 0.5, 0)):
    """Return an ONNX detector that finds three rows in each image.

    The first is the whole image and two pixels more on each side, class 0, its score the mean of the pixels. The
    second is the upper left quarter with half the score and class ``label``. The third is unused, unless ``weight``,
    by which the mean is multiplied for each row, says otherwise.
    """
    onnx = pytest.importorskip('onnx')
    from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info
    from onnx.numpy_helper import from_array

    constants = dict(
        part=np.float32([[[0, 0, 1, 1], [0, 0, 0.5, 0.5], [0, 0, 0, 0]]]),
        margin=np.float32([[[-2, -2, 2, 2], [0, 0, 0, 0], [0, 0, 0, 0]]]),
        weight=np.float32([weight]) / 3,  # of three channels
        label=np.int64([[0, label, 0]]),
        whwh=np.int64([1, 0, 1, 0]),
        zero=np.int64([0]),
        one=np.int64([1]),
    )
    nodes = [
        make_node('Cast', ['sizes'], ['sides'], to=onnx.TensorProto.FLOAT),
        make_node('Gather', ['sides', 'whwh'], ['corners'], axis=1),
        make_node('Unsqueeze', ['corners', 'one'], ['corner_rows']),
        make_node('Mul', ['corner_rows', 'part'], ['inner']),
        make_node('Add', ['inner', 'margin'], ['boxes']),
        make_node('Flatten', ['images'], ['values'], axis=1),
        make_node('ReduceSum', ['values', 'one'], ['sum']),
        make_node('ReduceProd', ['sides'], ['area'], axes=[1]),
        make_node('Div', ['sum', 'area'], ['mean']),
        make_node('Mul', ['mean', 'weight'], ['scores']),
        make_node('ReduceSum', ['sizes', 'one'], ['any']),
        make_node('Mul', ['any', 'zero'], ['zeros']),
        make_node('Add', ['zeros', 'label'], ['labels']),
    ]
    float32, int64 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    results = dict(
        boxes=make_tensor_value_info('boxes', float32, ['batch', 3, 4]),
        scores=make_tensor_value_info('scores', float32, ['batch', 3]),
        labels=make_tensor_value_info('labels', int64, ['batch', 3]),
    )
    inputs = [
        make_tensor_value_info('images', float32, ['batch', 3, 'height', 'width']),
        make_tensor_value_info('sizes', int64, ['batch', 2]),
    ]
    initializers = [from_array(value, name) for name, value in constants.items()]
    graph = make_graph(nodes, 'tiny', inputs, [results[name] for name in outputs], initializers)
    model = make_model(graph, opset_imports=[make_opsetid('', 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def save_onnx(path, metadata=METADATA, **options):
    pytest.importorskip('onnxruntime')
    model = tiny_model(**options)
    if metadata is not None:
        text = metadata if isinstance(metadata, str) else json.dumps(metadata)
        model.metadata_props.add(key='mfdet', value=text)
    path.write_bytes(model.SerializeToString())
    return path


def save_openvino(path, metadata=METADATA):
    openvino = pytest.importorskip('openvino')
    source = path.with_suffix('.onnx')
    source.write_bytes(tiny_model().SerializeToString())
    model = openvino.convert_model(source)
    if metadata is not None:
        model.set_rt_info(json.dumps(metadata), 'mfdet')
    openvino.save_model(model, path, compress_to_fp16=False)
    source.unlink()
    return path
