# mmdet's DETR-R50 (Carion et al., ECCV 2020) with our data and the 300 epochs of configs/e2e_mf*.py: AP 42.0 after 500
# epochs in its paper. Not trained here.
#   python tools/train.py configs/peers/detr_r50.py --backbone-weights FILE
_base_ = [
    '../_base_/datasets/coco_detection_e2e.py',
    '../_base_/schedules/e2e_300e.py',
    '../_base_/runtime/default.py',
]  # mmengine wants it before any import
from mmengine.hub import get_config  # noqa: E402

model = get_config('mmdet::detr/detr_r50_8xb2-150e_coco.py').model.to_dict()
model['backbone']['init_cfg'] = None
