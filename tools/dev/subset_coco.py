"""Write the first images of a COCO annotation file, with their annotations, into a smaller one."""

import json

from mfdet.commands._run import check_at_least_one, command, new_parser
from mfdet.errors import InputError
from mfdet.files import check_writable, read_json, replacing

EXAMPLE = """example:
  python tools/dev/subset_coco.py coco128/annotations/instances_train2017.json first16.json --images 16"""


@command
def main(argv=None):
    """Run the command; returns the exit code."""
    parser = new_parser('subset_coco.py', __doc__, EXAMPLE)
    parser.add_argument('src', help='COCO annotation file')
    parser.add_argument('dst', help='file to write')
    parser.add_argument('--images', type=int, default=16, help='number of images to keep (default 16)')
    args = parser.parse_args(argv)
    check_at_least_one(args, 'images')
    check_writable(args.dst)
    content = read_json(args.src)
    try:
        content['images'] = content['images'][: args.images]
        kept = {image['id'] for image in content['images']}
        content['annotations'] = [a for a in content['annotations'] if a['image_id'] in kept]
    except (KeyError, TypeError) as error:
        raise InputError(f'{args.src} is no COCO annotation file with images and annotations') from error
    with replacing(args.dst) as part, open(part, 'w', encoding='utf-8') as file:
        json.dump(content, file)
    print(f'{args.dst}: {len(content["images"])} images, {len(content["annotations"])} annotations')


if __name__ == '__main__':
    raise SystemExit(main())
