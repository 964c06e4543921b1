"""Cut the objects of a COCO annotation file into folders of their classes, to try classifiers without ImageNet."""

import collections
import os

import cv2

from mfdet.commands._run import check_at_least_one, command, new_parser
from mfdet.data.check import box_problem, read_annotations
from mfdet.errors import InputError
from mfdet.files import make_folder, write_file
from mfdet.runtime import read_image

EXAMPLE = """example:
  python tools/dev/crop_objects.py cells/train.json cells/images crops/train
  python tools/dev/crop_objects.py cells/val.json cells/images crops/val
  python tools/train.py configs/cpu/mobile_former_26m.py --data-root crops"""


def crop(image, box, margin):
    """Return the part of an image (H, W, 3) in a box x, y, width, height in pixels, with a share of it on each side."""
    x, y, width, height = box
    left, top = max(0, int(x - margin * width)), max(0, int(y - margin * height))
    right, bottom = int(x + (1 + margin) * width) + 1, int(y + (1 + margin) * height) + 1
    return image[top : max(bottom, 0), left : max(right, 0)]


@command
def main(argv=None):
    """Run the command; returns the exit code."""
    parser = new_parser('crop_objects.py', __doc__, EXAMPLE)
    parser.add_argument('ann', help='COCO annotation file')
    parser.add_argument('images', help='folder of its images')
    parser.add_argument('out', help='folder for the class folders, new or empty')
    parser.add_argument('--margin', type=float, default=0.1, help='share of the box to add on each side (default 0.1)')
    parser.add_argument('--least', type=int, default=16, help='least side of a box in pixels (default 16)')
    args = parser.parse_args(argv)
    check_at_least_one(args, 'least')
    if not 0 <= args.margin < float('inf'):
        raise InputError(f'--margin must be 0 or more, got {args.margin}')
    content = read_annotations(args.ann)
    try:
        names = {category['id']: str(category['name']) for category in content['categories']}
        files = {image['id']: image['file_name'] for image in content['images']}
        objects = collections.defaultdict(list)
        for item in content['annotations']:
            objects[item['image_id']].append((item['id'], names[item['category_id']], item))
    except (KeyError, TypeError) as error:
        raise InputError(f'{args.ann}: is not whole ({error}); tools/check_dataset.py says what is wrong') from error
    wrong = [name for name in names.values() if name.startswith('.') or os.sep in name or not name]
    if wrong:
        raise InputError(f'{args.ann}: the category {wrong[0]!r} cannot name a folder; rename it')
    make_folder(args.out, 'OUT')
    if os.listdir(args.out):
        raise InputError(f'{args.out}: is not empty; name another folder')
    kept = 0
    for image_id, file_name in files.items():
        chosen = [
            (number, name, item['bbox'])
            for number, name, item in objects[image_id]
            if not item.get('iscrowd') and box_problem(item.get('bbox')) is None and min(item['bbox'][2:]) >= args.least
        ]
        pixels = read_image(os.path.join(args.images, file_name)) if chosen else None
        for number, name, box in chosen:
            part = crop(pixels, box, args.margin)
            if not part.size:
                continue  # wholly outside of its image
            os.makedirs(os.path.join(args.out, name), exist_ok=True)
            write_file(os.path.join(args.out, name, f'{number}.png'), cv2.imencode('.png', part)[1].tobytes())
            kept += 1
    print(f'{args.out}: {kept} of {len(content["annotations"])} objects')


if __name__ == '__main__':
    raise SystemExit(main())
