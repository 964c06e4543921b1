"""Latency of whole detectors, from a prepared image to boxes, in torch and exported."""

import copy
import tempfile

import mmengine.hub
import torch
from mmdet.models.detectors import DETR
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy
from mmengine.registry import init_default_scope

from mfdet.benchmark import runtimes
from mfdet.benchmark.timing import by_turns, multiply_adds_per_second
from mfdet.complexity import count_detector
from mfdet.engine.config import load_config
from mfdet.export.graph import DetectorGraph, build_graph

COLUMNS = ('model', 'runtime', 'ms', 'ratio', 'of the limit')
PEERS = {  # name: config of mmdet, after mmdet::
    'RetinaNet-R18': 'retinanet/retinanet_r18_fpn_1x_coco.py',
    'RetinaNet-R50': 'retinanet/retinanet_r50_fpn_1x_coco.py',
    'DETR-R50': 'detr/detr_r50_8xb2-150e_coco.py',
}


class DETRGraph(DetectorGraph):
    """mmdet's DETR for one image without padding."""

    def detect(self, images, valid, extent):
        """See :meth:`DetectorGraph.forward`."""
        shape = tuple(images.shape[-2:])
        sample = DetDataSample(metainfo=dict(img_shape=shape, batch_input_shape=shape))
        hidden = self.model.forward_transformer(self.model.extract_feat(images), [sample])
        logits, boxes = self.model.bbox_head(**hidden)
        scores, labels = logits[-1].softmax(-1)[..., :-1].max(-1)
        return (bbox_cxcywh_to_xyxy(boxes[-1]) * extent).clamp(min=0).minimum(extent), scores, labels


def build_detector(config):
    """Build the detector of a config (a path, or a name of :data:`PEERS`) with random weights."""
    init_default_scope('mmdet')
    if config in PEERS:
        model = mmengine.hub.get_config(f'mmdet::{PEERS[config]}').model
        model.backbone.init_cfg = None  # speed does not depend on the weights, and nothing is downloaded
    else:
        model = load_config(config).model
    return MODELS.build(model).eval().requires_grad_(False)


def graph_of(model):
    """Return what is run and exported; see :func:`mfdet.export.graph.build_graph`."""
    return DETRGraph(model) if isinstance(model, DETR) else build_graph(model)


def functions_of(name, model, shape, chosen, folder, threads):
    """Return the functions to time for one detector: runtime to function."""
    padded = [-(-side // 32) * 32 for side in shape]
    if isinstance(model, DETR):  # in mmdet it pads by one pixel at most
        padded = list(shape)
    inputs = dict(images=torch.randn(1, 3, *padded), sizes=torch.tensor([shape]))
    return runtimes.functions_of(name, model, graph_of, inputs, chosen, folder, threads, padded)


def count_madds(model, shape):
    """Return the multiply-adds of a detector without its post-processing; the model stays as it is."""
    model = copy.deepcopy(model)
    model.data_preprocessor = None
    return count_detector(model, shape).madds


def measure_detectors(configs, shape, chosen, threads, repeats, progress=print):
    """Time detectors on one image.

    Args:
        configs: name to config file, or names of :data:`PEERS`.
        shape: (height, width) of the image in pixels.
        chosen, threads, repeats, progress: see :func:`mfdet.benchmark.latency.measure_latency`.

    Returns:
        Rows with the keys of :data:`COLUMNS`, the ratios being to the first model's best runtime, and notes.
    """
    torch.set_num_threads(threads)
    rate = multiply_adds_per_second()
    models = {name: build_detector(config) for name, config in configs.items()}
    functions = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, model in models.items():
            progress(f'preparing {name}')
            for runtime, function in functions_of(name, model, shape, chosen, folder, threads).items():
                functions[name, runtime] = function
        seconds = by_turns(functions, repeats, warmup=2)
    first = min(spent for (name, _), spent in seconds.items() if name == next(iter(models)))
    madds = {name: count_madds(model, shape) for name, model in models.items()}
    rows = [
        {
            'model': name,
            'runtime': runtime,
            'ms': 1e3 * spent,
            'ratio': spent / first,
            'of the limit': madds[name] / rate / spent,
        }
        for (name, runtime), spent in seconds.items()
    ]
    return rows, ['The weights are random, so non-maximum suppression has next to nothing to do.']
