# End-to-end detector E2E-MF+, beyond the paper, for little data and short trainings: queries are the best cells of a
# small pyramid of maps, they refine their boxes from block to block and look at the map inside them, see docs/model.md.
# A config over this one sets the variant and the widths.
_base_ = ['e2e_mf_quality.py']
model = dict(bbox_head=dict(type='MobileFormerPlusHead', pyramid_channels=64))
