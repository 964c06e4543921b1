# E2E-MF whose scores tell the quality of the box as well, by a sigmoid in place of a softmax with no-object.
_base_ = ['e2e_mf.py']
model = dict(
    bbox_head=dict(loss_cls=dict(_delete_=True, type='MatchabilityAwareLoss'), matcher=dict(cost_class=2.0)),
)
