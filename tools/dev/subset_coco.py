"""Write the first images of a COCO annotation file, with their annotations, into a smaller one."""

import argparse
import json
import os

from mfdet.commands._run import command
from mfdet.errors import InputError

EXAMPLE = """example:
  python tools/dev/subset_coco.py coco128/annotations/instances_train2017.json first16.json --images 16"""


@command
def main(argv=None):
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        'subset_coco.py', description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('src', help='COCO annotation file')
    parser.add_argument('dst', help='file to write')
    parser.add_argument('--images', type=int, default=16, help='number of images to keep (default 16)')
    args = parser.parse_args(argv)
    if args.images < 1:
        raise InputError(f'--images must be at least 1, got {args.images}')
    try:
        with open(args.src, encoding='utf-8') as file:
            content = json.load(file)
        content['images'] = content['images'][: args.images]
        kept = {image['id'] for image in content['images']}
        content['annotations'] = [a for a in content['annotations'] if a['image_id'] in kept]
    except OSError as error:
        raise InputError(f'{args.src} cannot be read: {error.strerror}') from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f'{args.src} is no COCO annotation file with images and annotations') from error
    if not os.path.isdir(os.path.dirname(args.dst) or '.'):
        raise InputError(f'{args.dst}: its folder does not exist')
    part = f'{args.dst}.part'
    with open(part, 'w', encoding='utf-8') as file:
        json.dump(content, file)
    os.replace(part, args.dst)
    print(f'{args.dst}: {len(content["images"])} images, {len(content["annotations"])} annotations')


if __name__ == '__main__':
    raise SystemExit(main())
