import torch

from mfdet.models.training_aids import drop_aids, without_aids


def test_the_aid_is_left_out_of_configs_and_weights():
    model = dict(bbox_head=dict(type='MobileFormerPlusHead', dense_aid=dict(type='ATSSHead'), num_queries=5))
    drop_aids(model)
    assert model == dict(bbox_head=dict(type='MobileFormerPlusHead', num_queries=5))
    drop_aids(dict(type='MobileFormerClassifier'))
    value = torch.zeros(1)
    names = ['bbox_head.dense_aid.atss_cls.weight', 'bbox_head.fc_cls.bias', 'backbone.dense_aid']
    assert list(without_aids(dict.fromkeys(names, value))) == names[1:]
