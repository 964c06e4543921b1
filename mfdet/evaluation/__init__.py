"""COCO evaluation, of results files (:mod:`mfdet.evaluation.coco`) and in training (:mod:`mfdet.evaluation.metric`)."""
