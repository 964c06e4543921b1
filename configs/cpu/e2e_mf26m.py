# The end-to-end detector at 192 px, for a CPU and images of one's own: E2E-MF+, as configs/cpu/e2e_plus_mf26m.py. The
# paper's own head is configs/cpu/e2e_paper_mf26m.py.
#   python tools/train.py configs/cpu/e2e_mf26m.py --data-root cells --train-ann train.json --train-images images \
#       --val-ann val.json --val-images images
_base_ = ['e2e_plus_mf26m.py']
