"""Tell why an end-to-end detector finds what it finds: is it finding, placing or scoring?

For the cells that queries come from (E2E-MF+) and the queries after each block: AP; AP with NMS, which is higher where
duplicates are the trouble; and the share of objects that any box covers by an IoU of 0.5 and 0.75, whatever its score
and class: where that is high and AP is low, scores are the trouble.
"""

import os
import sys

import torch
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_overlaps

import mfdet.register  # noqa: F401
from mfdet.commands._run import command, new_parser
from mfdet.engine.inference import image_pipeline, load_model
from mfdet.errors import InputError
from mfdet.evaluation.coco import evaluate, load_ground_truth
from mfdet.layers.scales import scales_of
from mfdet.models import E2EMobileFormer
from mfdet.runtime import read_image

EXAMPLE = """example:
  python tools/dev/diagnose_queries.py configs/cpu/e2e_plus_mf26m.py work_dirs/cpu/e2e_plus_mf26m/epoch_30.pth \\
      cells/val.json --images cells/images"""
MOST = 100  # detections of an image
COLUMNS = ('AP', 'AP50', 'AP75', 'AP with NMS', 'IoU > 0.5', 'IoU > 0.75')


def outputs_of(model, inputs):
    """Return class scores (N, K) and boxes (N, 4), normalised (cx, cy, w, h), by name: of cells, and after each block.

    Args:
        model: :class:`mfdet.models.E2EMobileFormer` in evaluation mode.
        inputs: of the image's pipeline, as lists of one.
    """
    data = model.data_preprocessor(inputs)
    head = model.bbox_head
    outputs = {}
    with torch.inference_mode():
        feats, valid = model.features(data['inputs'], data['data_samples'])
        if hasattr(head, 'selection'):
            scales = scales_of(feats, valid)
            maps, cells = head.selection.cells(scales)
            outputs['cells'] = head.scores(cells.logits[0]), cells.boxes[0]
            logits, boxes = head.run_blocks(maps, scales, *head.selection(cells))
        else:
            logits, boxes = head(feats, valid, all_blocks=True)
    blocks = zip(head.scores(logits[:, 0]), boxes[:, 0], strict=True)
    return outputs | {f'block {i}': output for i, output in enumerate(blocks, 1)}


def best_of(scores, boxes, iou=None):
    """Return boxes, scores and labels of the best (box, class) pairs; after NMS if ``iou`` is given."""
    from mmcv.ops import batched_nms  # once mfdet.compat is there

    best, index = scores.flatten().topk(min(MOST, scores.numel()))
    boxes, labels = boxes[index // scores.shape[1]], index % scores.shape[1]
    if iou is not None:
        kept, keep = batched_nms(boxes, best, labels, dict(type='nms', iou_threshold=iou))
        boxes, best, labels = kept[:, :4], kept[:, 4], labels[keep]
    return boxes, best, labels


@command
def main(argv=None):
    """Parse the command line and print the table; returns the exit code."""
    parser = new_parser('diagnose_queries.py', __doc__, EXAMPLE)
    parser.add_argument('config', help='config of the training')
    parser.add_argument('checkpoint', help='checkpoint of the training')
    parser.add_argument('annotations', help='COCO annotation file')
    parser.add_argument('--images', required=True, metavar='DIR', help='folder of its images')
    args = parser.parse_args(argv)
    truth = load_ground_truth(args.annotations)
    model, config, classes = load_model(args.config, args.checkpoint)
    if not isinstance(model, E2EMobileFormer):
        raise InputError(f'{args.config} is no end-to-end detector; take one such as configs/cpu/e2e_plus_mf26m.py')
    ids = {category['name']: number for number, category in truth.cats.items()}
    unknown = sorted(set(classes or ()) ^ set(ids))
    if unknown or not classes:
        raise InputError(f'{args.annotations}: its classes are not those of {args.checkpoint}: {", ".join(unknown)}')
    pipeline, results, covered = image_pipeline(config), {}, {}
    for number, record in truth.imgs.items():
        image = read_image(os.path.join(args.images, record['file_name']))
        inputs = {name: [value] for name, value in pipeline(dict(img=image, img_id=0)).items()}
        scale = torch.tensor([image.shape[1], image.shape[0]] * 2)
        objects = [item['bbox'] for item in truth.imgToAnns[number] if not item['iscrowd']]
        corners = torch.tensor(objects, dtype=torch.float32).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        for name, (scores, boxes) in outputs_of(model, inputs).items():
            boxes = bbox_cxcywh_to_xyxy(boxes) * scale
            covered.setdefault(name, []).append(bbox_overlaps(corners, boxes).amax(1))
            for nms in (None, 0.6):
                best = [part.tolist() for part in best_of(scores, boxes, nms)]
                results.setdefault((name, nms), []).extend(
                    dict(image_id=number, category_id=ids[classes[label]], bbox=[x, y, x2 - x, y2 - y], score=score)
                    for (x, y, x2, y2), score, label in zip(*best, strict=True)
                )
    print(f'{"":10}' + ''.join(f'{title:>12}' for title in COLUMNS))
    for name, shares in covered.items():
        shares = torch.cat(shares)
        plain, apart = (evaluate(truth, results[name, nms]).stats for nms in (None, 0.6))
        row = [plain['AP'], plain['AP50'], plain['AP75'], apart['AP']]
        row += [(shares > iou).float().mean().item() for iou in (0.5, 0.75)]
        print(f'{name:10}' + ''.join(f'{value:12.3f}' for value in row))
    return 0


if __name__ == '__main__':
    sys.exit(main())
