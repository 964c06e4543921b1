"""tools/train.py in float64, where rounding does not move values across the kinks of ReLU and of the matching."""

import torch

from mfdet.commands.train import main


def use_double():
    """Make weights and images float64."""
    from mmdet.models.data_preprocessors import DetDataPreprocessor

    torch.set_default_dtype(torch.float64)
    forward = DetDataPreprocessor.forward

    def forward_in_double(self, data, training=False):
        data = forward(self, data, training)
        return {**data, 'inputs': data['inputs'].double()}

    DetDataPreprocessor.forward = forward_in_double


if __name__ == '__main__':
    use_double()
    raise SystemExit(main())
