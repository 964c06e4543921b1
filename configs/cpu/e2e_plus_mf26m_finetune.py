# E2E-MF+ with Mobile-Former-26M at 192 px, from a trained detector of the same make, whatever its classes; this one
# comes with mfdet. Blood cells, 10 epochs: AP 0.405 (0.398 to 0.411, three seeds; scratch: 0.328), 5 minutes:
#   python tools/train.py configs/cpu/e2e_plus_mf26m_finetune.py --load-from e2e_plus_mf26m_shapes --epochs 10 \
#       --data-root cells --train-ann train.json --train-images images --val-ann val.json --val-images images
_base_ = [
    '../_base_/models/e2e_plus_mf26m.py',
    '../_base_/datasets/cpu_detection.py',
    '../_base_/schedules/finetune.py',
    '../_base_/runtime/averaged.py',
]
