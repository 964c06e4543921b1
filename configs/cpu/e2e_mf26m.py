# The end-to-end detector for a CPU and images of one's own, the same as e2e_plus_mf26m.py: E2E-MF+ at 192 px. The
# paper's own head is e2e_paper_mf26m.py.
#   python tools/train.py configs/cpu/e2e_mf26m.py --data-root cells --train-ann train.json --train-images images \
#       --val-ann val.json --val-images images
_base_ = ['e2e_plus_mf26m.py']
