import importlib
import re

import pytest
import torch

from mfdet.compat import mmcv_ext


def test_any_other_operator_raises_and_says_how_to_build_it():
    version = importlib.import_module('mmcv').__version__
    operator = mmcv_ext.deform_conv_forward
    with pytest.raises(NotImplementedError, match=f"'deform_conv_forward'.*`pip install.* onedl-mmcv=={version}`"):
        operator(torch.zeros(1), stride=2)


def test_special_names_are_missing():
    with pytest.raises(AttributeError, match='__wrapped__'):
        _ = mmcv_ext.__wrapped__


def test_through_mmcv():
    ops = importlib.import_module('mmcv.ops')
    if 'mfdet' not in importlib.import_module('mmcv._ext').__file__:
        pytest.skip('mmcv has its compiled operators')
    assert ops.get_compiler_version() == ops.get_compiling_cuda_version() == 'n/a'
    with pytest.raises(NotImplementedError, match=re.escape("'roi_align_forward'")):
        ops.roi_align(torch.zeros(1, 1, 4, 4), torch.tensor([[0.0, 0, 0, 2, 2]]), (2, 2))
