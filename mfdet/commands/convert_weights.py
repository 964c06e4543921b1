"""Convert a released Mobile-Former or MobileViT checkpoint to the layout of this project."""

from mfdet.commands._run import command, new_parser
from mfdet.compat import check_environment
from mfdet.errors import InputError
from mfdet.files import check_writable, replacing

EXAMPLE = """example:
  %(prog)s mobile-former-508m.pth.tar mobile_former_508m.pth"""


def build_parser():
    """Return the argument parser."""
    parser = new_parser('convert_weights', __doc__, EXAMPLE)
    parser.add_argument('src', help='released file: weights under "state_dict" or bare, with or without "module."')
    parser.add_argument('dst', help='file to write: {"state_dict": weights, "meta": {"arch", "num_classes"}}')
    return parser


@command
def main(argv=None):
    """Run the command; returns the exit code."""
    check_environment()
    args = build_parser().parse_args(argv)
    check_writable(args.dst)
    import torch

    from mfdet.models.find_arch import find_arch
    from mfdet.models.mobilevit import MOBILEVITS
    from mfdet.weights import convert_released, is_released, read_checkpoint, state_dict_of

    weights = state_dict_of(read_checkpoint(args.src), args.src)
    if not is_released(weights):
        raise InputError(
            f'{args.src} is not in the released layout: it has no entry "tokens.weight", as Mobile-Former has, nor '
            '"conv_stem.convolution.weight", as MobileViT has'
        )
    weights = convert_released(weights, args.src)
    arch, num_classes = find_arch(weights, args.src)
    family = 'MobileViT' if arch in MOBILEVITS else 'Mobile-Former'
    with replacing(args.dst) as part, open(part, 'wb') as file:
        torch.save(dict(state_dict=weights, meta=dict(arch=arch, num_classes=num_classes)), file)
    print(f'{args.dst}: {family} {arch}, {num_classes} classes, {len(weights)} entries')
