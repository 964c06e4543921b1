"""One function of an image batch, run by each runtime, ready to be timed."""

import copy
import os

import torch

from mfdet.errors import InputError
from mfdet.export.calibration import check_ai_edge_quantizer, check_nncf
from mfdet.export.channels_last import channels_last
from mfdet.export.graph import ClassifierGraph
from mfdet.export.onnx import export_onnx
from mfdet.export.openvino import computes_in_bfloat16, convert_to_openvino, quantize_openvino
from mfdet.export.quantize import quantize_onnx
from mfdet.models.backbone import Backbone
from mfdet.models.fuse import fuse
from mfdet.runtime.openvino_core import openvino_core

RUNTIMES = (
    'eager',
    'compile',
    'onnxruntime',
    'onnxruntime-int8',
    'openvino',
    'openvino-int8',
    'openvino-bf16',
    'openvino-int8-bf16',
)
PHONES = {  # for detectors, with their files' ends
    'litert': '.tflite',
    'litert-int8': '.tflite',
    'executorch': '.pte',
    'executorch-int8': '.pte',
}


class LastMap(ClassifierGraph):
    """A backbone as a graph: images to its last map."""

    outputs = ('map',)

    def forward(self, images):
        """Return the map (B, C, H', W')."""
        maps = self.model(images)
        return maps[-1] if isinstance(maps, (tuple, list)) else maps


def onnx_file(graph, folder, name, size=None, optimize=True):
    """Write a graph as ``name.onnx`` into a folder unless it is there already; return the path.

    Args:
        graph: module with the names of its outputs in ``outputs``.
        folder, name: see above.
        size: (height, width) of the images that the file is made for; None for any.
        optimize: see :func:`mfdet.export.onnx.export_onnx`.
    """
    path = os.path.join(folder, f'{name}.onnx')
    if not os.path.exists(path):
        export_onnx(graph, dict(version='0', fixed_size=size), path, optimize)
    return path


def eager(graph, inputs, threads):
    """Return a function that runs a module on a tuple of tensors."""
    torch.set_num_threads(threads)
    graph.eval().requires_grad_(False)

    def run():
        with torch.inference_mode():
            return graph(*inputs)

    return run


def compiled(graph, inputs, threads):
    """As :func:`eager` by ``torch.compile``, with the weights as constants; it needs a C++ compiler."""
    torch._inductor.config.freezing = True
    torch.set_num_threads(threads)
    function = torch.compile(graph.eval().requires_grad_(False))

    def run():
        with torch.no_grad():
            return function(*inputs)

    return run


def onnxruntime(path, inputs, threads):
    """Return a function that runs an ONNX file by onnxruntime on a dict of arrays, specialised for their shapes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    for name, size in free_dimensions(path, inputs).items():
        options.add_free_dimension_override_by_name(name, size)
    session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    return lambda: session.run(None, inputs)


def free_dimensions(path, inputs):
    """Return the sizes that the named dimensions of an ONNX file's inputs take for a dict of arrays."""
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    return {
        dimension.dim_param: size
        for value in graph.input
        for dimension, size in zip(value.type.tensor_type.shape.dim, inputs[value.name].shape, strict=True)
        if dimension.dim_param
    }


def openvino(path, inputs, threads, hint='f32'):
    """Return a function that runs a file by OpenVINO; otherwise as :func:`onnxruntime`.

    Args:
        path: ONNX file, or OpenVINO's own (.xml).
        inputs, threads: see above.
        hint: what to compute in, 'f32' or, where the CPU has it, 'bf16'.
    """
    core = openvino_core()
    model = core.read_model(path)
    model.reshape({name: list(array.shape) for name, array in inputs.items()})
    options = {'INFERENCE_PRECISION_HINT': hint, 'INFERENCE_NUM_THREADS': threads, 'PERFORMANCE_HINT': 'LATENCY'}
    options['ENABLE_CPU_PINNING'] = False  # as mfdet.runtime.Detector: several of few threads would share a core
    request = core.compile_model(model, 'CPU', options).create_infer_request()
    return lambda: request.infer(inputs)


def quantized(path, suffix, inputs):
    """Write an ONNX file in INT8 beside itself unless it is there already; return the path.

    Ranges are measured on the inputs that it is timed on first: the weights are random, so it is for timing alone.
    ``suffix`` is .onnx, or .xml for OpenVINO.
    """
    stem = os.path.splitext(path)[0]
    target = f'{stem}-int8{suffix}'
    if not os.path.exists(target):
        quantize, source = quantize_onnx, path
        if suffix == '.xml':  # the converter folds constants, without which NNCF takes several times as long
            quantize, source = quantize_openvino, f'{stem}.xml'
            convert_to_openvino(path, dict(version='0'), source)
        quantize(source, target, dict(version='0'), [inputs])
    return target


def with_precisions(names, precisions):
    """Return the runtimes of names, in each of the precisions that they have.

    Args:
        names: of :data:`RUNTIMES`, without a precision, and :data:`PHONES`.
        precisions: 'fp32', 'int8', 'bf16', 'int8-bf16'.

    Raises:
        InputError: none of the runtimes has one of the precisions, or a package is missing.
    """
    found = []
    for precision in precisions:
        runtimes = [name if precision == 'fp32' else f'{name}-{precision}' for name in names]
        if not set(runtimes) & {*RUNTIMES, *PHONES}:
            raise InputError(f'--precision {precision}: none of --runtimes has it, openvino has all')
        found += runtimes
    if any(runtime.startswith('openvino-int8') for runtime in found):
        check_nncf()
    if 'litert-int8' in found:
        check_ai_edge_quantizer()
    halves = [precision for precision in precisions if precision.endswith('bf16')]
    if halves and not computes_in_bfloat16():
        raise InputError(
            f'--precision {halves[0]}: this CPU does not compute in bfloat16, so it would be float32; leave it out'
        )
    return [runtime for runtime in (*RUNTIMES, *PHONES) if runtime in found]


def check_runtimes(names, phones=False):
    """Check the names of runtimes.

    Args:
        names: of the runtimes.
        phones: whether those for phones are among the known ones.

    Raises:
        InputError: one is not known.
    """
    choices = [name for name in (*RUNTIMES, *(PHONES if phones else ())) if '-' not in name]
    unknown = sorted(set(names) - set(choices))
    if unknown:
        raise InputError(f'--runtimes: there is no {unknown[0]!r}, choose of {", ".join(choices)}')


def functions_of(name, model, graph_of, inputs, chosen, folder, threads, size=None):
    """Return the functions to time for one model: runtime to function.

    Models with a backbone of this project run in the form made for the runtime.

    Args:
        name: of its files.
        model: module; it is left as it is.
        graph_of: function from a module to what is run and exported.
        inputs: dict of name to tensor.
        chosen: names of :data:`RUNTIMES`.
        folder, size: see :func:`onnx_file`.
        threads: CPU threads.
    """
    own = any(isinstance(module, Backbone) for module in model.modules())
    tensors, arrays = tuple(inputs.values()), {key: tensor.numpy() for key, tensor in inputs.items()}
    found = {}
    if 'eager' in chosen:
        found['eager'] = eager(graph_of(fuse(copy.deepcopy(model)) if own else model), tensors, threads)
    if 'compile' in chosen:
        found['compile'] = compiled(graph_of(copy.deepcopy(model)), tensors, threads)
    if any(runtime.startswith('onnxruntime') for runtime in chosen):
        path = onnx_file(graph_of(copy.deepcopy(model)), folder, name, size)
        if 'onnxruntime' in chosen:
            found['onnxruntime'] = onnxruntime(path, arrays, threads)
        if 'onnxruntime-int8' in chosen:
            found['onnxruntime-int8'] = onnxruntime(quantized(path, '.onnx', arrays), arrays, threads)
    if any(runtime.startswith('openvino') for runtime in chosen):
        batch, _, height, width = tensors[0].shape
        if own and batch == 1:
            graph = graph_of(channels_last(copy.deepcopy(model), fixed_size=True))
            path = onnx_file(graph, folder, f'{name}-{height}x{width}', (height, width), optimize=False)
        elif own:
            graph = graph_of(channels_last(copy.deepcopy(model)))
            path = onnx_file(graph, folder, f'{name}-channels-last', optimize=False)
        else:
            path = onnx_file(graph_of(copy.deepcopy(model)), folder, name, size)
        for runtime in (runtime for runtime in chosen if runtime.startswith('openvino')):
            file = quantized(path, '.xml', arrays) if 'int8' in runtime else path
            found[runtime] = openvino(file, arrays, threads, 'bf16' if 'bf16' in runtime else 'f32')
    return found
