# The end-to-end detector on generated shapes, the same as e2e_plus_mf26m.py: E2E-MF+. The paper's own head is
# e2e_paper_mf26m.py.
#   python tools/train.py configs/shapes/e2e_mf26m.py
_base_ = ['e2e_plus_mf26m.py']
