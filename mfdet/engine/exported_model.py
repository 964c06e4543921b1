"""An exported detector in the place of the model in mmengine's test loop."""

import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.model import BaseModel
from mmengine.structures import InstanceData

from mfdet.errors import InputError
from mfdet.runtime import Detector
from mfdet.values import rounded_up


def check_fits(metadata, name):
    """Check that an exported detector takes the images of its test pipeline as they are.

    Args:
        metadata: of the detector.
        name: how the message calls it.

    Raises:
        InputError: it takes images of one size, and that is too small for them.
    """
    fixed, resize = metadata.get('fixed_size'), metadata['resize']
    # Images of both orientations come; of those that are not resized, the detector refuses the ones that are too large.
    if fixed and resize is not None and max(resize['scale']) > min(fixed):
        raise InputError(
            f'{name}: takes images of {fixed[0]}×{fixed[1]} alone, and those of the test data would not all fit '
            'without being shrunk, so its AP cannot be measured; both sides of --fixed-size must be at least '
            f'{rounded_up(max(resize["scale"]))} for that'
        )


def exported_config(path, config):
    """Return the model config that puts an exported file in the place of a config's model, and its metadata.

    Raises:
        InputError: the file takes images of one size, and it is too small for the test data.
    """
    metadata = Detector(path).metadata
    check_fits(metadata, path)
    preprocessor = ConfigDict(config.model.data_preprocessor)
    preprocessor.pad_size_divisor = metadata['pad_divisor']
    if not metadata['normalized']:
        preprocessor.update(mean=None, std=None, bgr_to_rgb=False, rgb_to_bgr=False)
    return ConfigDict(type='ExportedDetector', path=path, data_preprocessor=preprocessor), metadata


def exported_model(path, config):
    """Build the model of :func:`exported_config`."""
    return MODELS.build(exported_config(path, config)[0])


@MODELS.register_module()
class ExportedDetector(BaseModel):
    """Runs an exported file on the batches of a data loader, so that it is scored as the PyTorch model is.

    Args:
        path: the file, see :class:`mfdet.runtime.Detector`.
        data_preprocessor: the model's own; set to leave images raw where the graph normalises by itself.
    """

    def __init__(self, path, data_preprocessor):
        super().__init__(data_preprocessor)
        self.detector = Detector(path)
        self.unused = torch.nn.Parameter(torch.empty(0))  # mmengine looks for the device of the parameters

    def forward(self, inputs, data_samples, mode='predict'):
        """Return the data samples with ``pred_instances`` in pixels of the original images."""
        sizes = torch.tensor([sample.img_shape for sample in data_samples])
        outputs = self.detector.run(inputs.cpu().numpy(), sizes.numpy())
        for sample, *rows in zip(data_samples, *map(torch.from_numpy, outputs), strict=True):
            boxes, scores, labels = (row[rows[1] > 0] for row in rows)
            boxes = boxes / boxes.new_tensor(sample.scale_factor).repeat(2)
            sample.pred_instances = InstanceData(bboxes=boxes, scores=scores, labels=labels)
        return data_samples
