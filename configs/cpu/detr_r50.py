# mmdet's DETR-R50, data as e2e_paper_mf26m.py, to compare with; from scratch too, so nothing is frozen. Optimiser as in
# DETR.
_base_ = ['e2e_paper_mf26m.py']  # mmengine wants it before any import
from mmengine.hub import get_config  # noqa: E402

model = get_config('mmdet::detr/detr_r50_8xb2-150e_coco.py').model.to_dict()
model['_delete_'] = True
model['backbone'].update(frozen_stages=-1, norm_cfg=dict(type='BN', requires_grad=True), norm_eval=False, init_cfg=None)
optim_wrapper = dict(optimizer=dict(lr=1e-4, weight_decay=1e-4), clip_grad=dict(max_norm=0.1))
