# mmdet's DETR-R50, data as e2e_paper_mf26m.py, to compare with; from scratch too, so nothing is frozen. Optimiser as in
# DETR. Blood cells, 30 epochs: AP 0.00 in 53 minutes on a core.
#   python tools/train.py configs/cpu/detr_r50.py --data-root BCCD --epochs 30 \
#       --train-ann annotations_coco/instances_train.json --train-images JPEGImages \
#       --val-ann annotations_coco/instances_val.json --val-images JPEGImages
_base_ = ['e2e_paper_mf26m.py']  # mmengine wants it before any import
from mmengine.hub import get_config  # noqa: E402

model = get_config('mmdet::detr/detr_r50_8xb2-150e_coco.py').model.to_dict()
model['_delete_'] = True
model['backbone'].update(frozen_stages=-1, norm_cfg=dict(type='BN', requires_grad=True), norm_eval=False, init_cfg=None)
optim_wrapper = dict(optimizer=dict(lr=1e-4, weight_decay=1e-4), clip_grad=dict(max_norm=0.1))
