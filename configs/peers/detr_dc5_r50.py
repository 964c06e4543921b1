# DETR-DC5-R50: detr_r50.py with ResNet's last stage dilated in place of halving the map: AP 43.3 after 500 epochs in
# its paper, twice the multiply-adds. Not trained here.
#   python tools/train.py configs/peers/detr_dc5_r50.py --backbone-weights FILE
_base_ = ['detr_r50.py']
model = dict(backbone=dict(strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2)))
