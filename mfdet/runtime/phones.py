"""Files for phones run on a computer: LiteRT's by ai-edge-litert, ExecuTorch's by executorch, which needs torch."""

import threading

import numpy as np

from mfdet.runtime.names import INPUTS, OUTPUTS


class LiteRtModel:
    """A ``.tflite`` file."""

    package = install = 'ai-edge-litert'
    module = 'ai_edge_litert.interpreter'

    def __init__(self, interpreter, path, threads):
        from ai_edge_litert import schema_py_generated as schema

        with open(path, 'rb') as file:
            content = file.read()
        self.metadata = litert_metadata(schema.Model.GetRootAs(content, 0))
        self.interpreter = interpreter.Interpreter(model_content=content, num_threads=threads)
        self.interpreter.allocate_tensors()
        runner = self.interpreter.get_signature_runner()
        self.inputs = {name: entry['index'] for name, entry in runner.get_input_details().items()}
        self.outputs = {name: entry['index'] for name, entry in runner.get_output_details().items()}
        self.lock = threading.Lock()  # of the tensors, which are the interpreter's own

    def run(self, images, sizes):
        """Return boxes, scores and labels of images (1, 3, H, W)."""
        values = np.ascontiguousarray(images.transpose(0, 2, 3, 1)), sizes.astype(np.float32)
        with self.lock:
            for name, value in zip(INPUTS, values, strict=True):
                self.interpreter.set_tensor(self.inputs[name], value)
            self.interpreter.invoke()
            boxes, scores, labels = (self.interpreter.get_tensor(self.outputs[name]) for name in OUTPUTS)
        return boxes, scores, labels.astype(np.int64)


def litert_metadata(model):
    """Return what a LiteRT model says about itself, as text; None if it says nothing."""
    for i in range(model.MetadataLength()):
        entry = model.Metadata(i)
        if entry.Name() == b'mfdet':
            return model.Buffers(entry.Buffer()).DataAsNumpy().tobytes().decode()
    return None


class ExecuTorchModel:
    """A ``.pte`` file; its inputs and outputs are in the order of their names, which it does not hold."""

    package = install = 'executorch'
    module = 'executorch.runtime'

    def __init__(self, runtime, path, threads):
        import torch
        from executorch.extension.pybindings.portable_lib import _unsafe_reset_threadpool

        if threads is not None:
            _unsafe_reset_threadpool(int(threads))
        self.tensor = torch.from_numpy
        program = runtime.Runtime.get().load_program(path)
        known = 'mfdet' in program.method_names
        self.metadata = bytes(program.load_method('mfdet').execute([])[0].tolist()).decode() if known else None
        self.inputs, self.outputs = INPUTS, OUTPUTS
        self.method = program.load_method('forward')
        self.lock = threading.Lock()

    def run(self, images, sizes):
        """Return boxes, scores and labels of images (1, 3, H, W)."""
        with self.lock:
            outputs = self.method.execute([self.tensor(images), self.tensor(sizes.astype(np.float32))])
            return tuple(output.numpy().copy() for output in outputs)
