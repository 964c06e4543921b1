"""Convert a released Mobile-Former checkpoint to the layout of this project."""

import argparse
import os

from mfdet.commands._run import check_environment, command, program
from mfdet.errors import InputError

EXAMPLE = """example:
  %(prog)s mobile-former-508m.pth.tar mobile_former_508m.pth"""


def build_parser():
    """Return the argument parser."""
    parser = argparse.ArgumentParser(
        program('convert_weights'),
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('src', help='released file: weights under "state_dict" or bare, with or without "module."')
    parser.add_argument('dst', help='file to write: {"state_dict": weights, "meta": {"arch", "num_classes"}}')
    return parser


@command
def main(argv=None):
    """Run the command; returns the exit code."""
    check_environment()
    args = build_parser().parse_args(argv)
    import torch

    from mfdet.models.find_arch import find_arch
    from mfdet.weights import convert_official, is_official, read_checkpoint, state_dict_of

    weights = state_dict_of(read_checkpoint(args.src), args.src)
    if not is_official(weights):
        raise InputError(f'{args.src} is not in the released layout: it has no entry "tokens.weight"')
    try:
        weights = convert_official(weights)
    except InputError as error:
        raise InputError(f'{args.src}: {error}') from error
    arch, num_classes = find_arch(weights, args.src)
    if not os.path.isdir(os.path.dirname(args.dst) or '.'):
        raise InputError(f'{args.dst}: its folder does not exist')
    part = f'{args.dst}.part'
    torch.save(dict(state_dict=weights, meta=dict(arch=arch, num_classes=num_classes)), part)
    os.replace(part, args.dst)
    print(f'{args.dst}: Mobile-Former {arch}, {num_classes} classes, {len(weights)} entries')
