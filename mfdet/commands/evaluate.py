"""``tools/evaluate.py``: the COCO metrics of a results file."""

import json

from mfdet.commands._run import command, new_parser
from mfdet.errors import InputError

EXAMPLE = """example:
  %(prog)s instances_val2017.json work_dirs/run/val.bbox.json --per-class

RESULTS.json is a list of {"image_id", "category_id", "bbox": [x, y, width, height], "score"}, with the ids of GT.json.
Numbers are from 0 to 1, and -1 where GT.json holds no object of that kind. Every image of GT.json counts.
"""


@command
def main(argv=None):
    """Print the twelve numbers, as a table or as JSON."""
    try:
        from mfdet.evaluation import coco
    except ImportError as error:
        raise InputError(f'{error.name} cannot be found; install what this needs: pip install pycocotools') from error
    parser = new_parser(
        'evaluate', 'Evaluate detections in the COCO results format against a COCO annotation file.', EXAMPLE
    )
    parser.add_argument('ground_truth', metavar='GT.json', help='COCO annotation file')
    parser.add_argument('results', metavar='RESULTS.json', help='COCO results file, boxes in pixels')
    parser.add_argument(
        '--evaluator',
        choices=coco.EVALUATORS,
        default='pycocotools',
        help='default: pycocotools; faster gives the same numbers sooner and needs faster-coco-eval',
    )
    parser.add_argument('--per-class', action='store_true', help='also AP, AP50 and AP75 of each class')
    parser.add_argument('--json', action='store_true', help='print one JSON object with unrounded numbers')
    args = parser.parse_args(argv)

    coco.get_evaluator(args.evaluator)  # a missing package is said before large files are read
    ground_truth = coco.load_ground_truth(args.ground_truth)
    result = coco.evaluate(ground_truth, coco.load_results(args.results, ground_truth), args.evaluator)
    if args.json:
        print(json.dumps({**result.stats, 'per_class': result.per_class} if args.per_class else result.stats))
        return
    print(coco.format_table(result))
    if args.per_class:
        print('\n' + coco.format_per_class(result))
