"""Count parameters and multiply-adds (MAdds) of a detector, as the paper counts them."""

import json

from mfdet.commands._run import command, new_parser
from mfdet.compat import check_environment
from mfdet.errors import InputError

EXAMPLE = """example:
  %(prog)s configs/retinanet_mf508m.py --shape 800 1333 --json"""


def build_parser():
    """Return the argument parser."""
    parser = new_parser('get_flops', __doc__, EXAMPLE)
    parser.add_argument('config', help='config file, such as configs/retinanet_mf508m.py')
    parser.add_argument('--shape', type=int, nargs=2, default=(800, 1333), metavar=('H', 'W'), help='image in pixels')
    parser.add_argument('--json', action='store_true', help='print params, madds, backbone_params, backbone_madds')
    return parser


@command
def main(argv=None):
    """Run the command; returns the exit code."""
    check_environment()
    args = build_parser().parse_args(argv)
    if min(args.shape) < 1:
        raise InputError(f'--shape must be two positive numbers, height and width, got {args.shape[0]} {args.shape[1]}')
    import mfdet.register  # noqa: F401
    from mfdet.complexity import count_model
    from mfdet.engine.config import load_config

    cost = count_model(load_config(args.config).model, tuple(args.shape))
    if args.json:
        params, madds = cost.parts['backbone']
        print(json.dumps(dict(params=cost.params, madds=cost.madds, backbone_params=params, backbone_madds=madds)))
        return
    print(f'{args.config} at {args.shape[0]}×{args.shape[1]} (height × width)\n')
    print(f'{"part":<20}{"params M":>12}{"MAdds G":>12}')
    for name, (params, madds) in cost.parts.items():
        if params:
            print(f'{name:<20}{params / 1e6:>12.3f}{madds / 1e9:>12.3f}')
    print(f'{"total":<20}{cost.params / 1e6:>12.3f}{cost.madds / 1e9:>12.3f}')
