# The end-to-end detector for a few hundred images of one's own, the same as e2e_plus_mf151m.py: E2E-MF+ at 320 px. The
# paper's own head is e2e_paper_mf151m.py.
#   python tools/train.py configs/small/e2e_mf151m.py --data-root cells --train-ann train.json --train-images images \
#       --val-ann val.json --val-images images
_base_ = ['e2e_plus_mf151m.py']
