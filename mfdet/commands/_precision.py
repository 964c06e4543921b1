"""Export in bfloat16 and INT8: a file is kept if it holds the AP and is faster than in float32, both measured here."""

import functools
import os

from mfdet.commands._run import announced
from mfdet.errors import InputError
from mfdet.export.calibration import Batches, calibration_images, check_ai_edge_quantizer, check_nncf
from mfdet.values import listed

PRECISIONS = dict(  # with the formats that have them
    fp32=('weights', 'onnx', 'openvino', 'litert', 'executorch', 'coreml'),
    fp16=('weights', 'openvino'),
    bf16=('openvino',),
    int8=('onnx', 'openvino', 'litert', 'executorch'),
    **{'int8-bf16': ('openvino',)},  # convolutions in INT8, the rest in bfloat16
)
MEASURED = ('bf16', 'int8', 'int8-bf16')
MAX_DROP = 1.0  # AP points
GAIN = 0.98  # of the time in float32: what takes longer than this is no faster, as far as can be measured


def check_precision(args):
    """Check the options on precision.

    Raises:
        InputError: they do not go together, or a package or the images to calibrate with are missing.
    """
    formats = PRECISIONS[args.precision]
    if args.format not in formats:
        raise InputError(f'--precision {args.precision} goes with --format {" or ".join(formats)}, not {args.format}')
    for option in ('force', 'max_drop'):
        if getattr(args, option) not in (None, False) and args.precision not in MEASURED:
            raise InputError(f'--{option.replace("_", "-")} goes with --precision {" or ".join(MEASURED)}')
    if args.max_drop is not None and not args.max_drop >= 0:
        raise InputError(f'--max-drop must be 0 or more AP points, got {args.max_drop}')
    if args.precision.endswith('bf16') and not args.force:
        from mfdet.export.openvino import computes_in_bfloat16

        if not computes_in_bfloat16():
            raise InputError(
                f'--precision {args.precision}: this CPU does not compute in bfloat16, so neither AP nor speed can be '
                'measured; --force keeps the file for a CPU that does'
            )
    if args.precision.startswith('int8'):
        if args.format == 'openvino':
            check_nncf()
        if args.format == 'litert':
            check_ai_edge_quantizer()
            if args.float_layers:
                raise InputError('--float-layers: a LiteRT file does not keep the names of layers; leave it out')
        if not args.calibration:
            raise InputError(
                f'--precision {args.precision} needs --calibration DIR, a folder with some of the training images'
            )
        calibration_images(args.calibration)
    for option in ('calibration', 'float_layers'):
        if getattr(args, option) and not args.precision.startswith('int8'):
            raise InputError(f'--{option.replace("_", "-")} goes with --precision int8 or int8-bf16')


def check_float_layers(names, model):
    """Check that a model has the parts that names of its layers begin with, before it is converted.

    Raises:
        InputError: it has not.
    """
    parts = [name for name, part in model.named_children() if list(part.parameters())]
    for name in names or ():
        if name.partition('.')[0] not in parts:
            raise InputError(f'--float-layers {name}: the model has no such part; its parts are {listed(parts)}')


def write_lower(args, model, metadata, source, path):
    """Write a verified file of a model in the precision asked for; return a line on it."""
    from mfdet.export.openvino import computes_in_bfloat16, for_bfloat16, quantize_openvino
    from mfdet.export.phone_files import quantize_for_phones
    from mfdet.export.quantize import quantize_onnx

    written = dict(metadata, precision=args.precision)
    bfloat16 = 'bfloat16'
    if args.precision.endswith('bf16') and not computes_in_bfloat16():
        bfloat16 = 'float32, as this CPU does not compute in bfloat16'
    if args.precision == 'bf16':
        for_bfloat16(source, path, written)
        return f'all in {bfloat16}'
    paths = calibration_images(args.calibration)
    with announced('calibrating and quantising to INT8'):
        for_phones = functools.partial(quantize_for_phones, model)
        quantize = dict(onnx=quantize_onnx, openvino=quantize_openvino).get(args.format, for_phones)
        count = quantize(source, path, written, Batches(paths, metadata), args.float_layers or ())
    rest = f', the rest in {bfloat16}' if args.precision == 'int8-bf16' else ''
    return f'{count} convolutions in INT8{rest}, calibrated on {len(paths)} images'


def in_lower_precision(args, model, config, metadata, source, path):
    """Write a verified file of a model in the precision asked for, and return a line on what that costs and brings.

    Raises:
        InputError: AP falls by more than ``--max-drop``, or it is no faster and there is no ``--force``.
    """
    from mfdet.benchmark.quantized import score, speed_ratio
    from mfdet.engine.config import set_classes

    set_classes(config, metadata['classes'])
    what = write_lower(args, model, metadata, source, path)
    with announced('measuring AP on the test data, before and after'):
        before, after = score(source, config), score(path, config)
    if not before > 0:
        raise InputError(
            f'{args.output}: AP is {before:.4f} in float32, so a loss cannot be measured; give other test data'
        )
    most = MAX_DROP if args.max_drop is None else args.max_drop
    if not 100 * (before - after) <= most:
        more = ''
        if args.calibration:
            more = '. Give --calibration more images, or more typical ones'
            if args.format != 'litert':
                more += ', or leave a part in float, as by --float-layers bbox_head'
        raise InputError(
            f'{args.output}: AP falls from {before:.4f} to {after:.4f} in {args.precision}, by more than --max-drop '
            f'{most} points; nothing was written{more}'
        )
    with announced('timing both'):
        ratio = speed_ratio(path, source, metadata)
    if ratio > GAIN and not args.force:
        raise InputError(
            f'{args.output}: {args.precision} takes {ratio:.2f} of the time of float32 on this CPU, so it brings no '
            'speed; nothing was written. --force keeps it, for a CPU that may have what this one lacks'
        )
    weights = [f'{file.removesuffix(".xml")}.bin' if args.format == 'openvino' else file for file in (path, source)]
    sizes = [os.path.getsize(file) for file in weights]
    return (
        f'{what}; AP {before:.4f} in float32, {after:.4f} in {args.precision}; {ratio:.2f} of the time of float32 at '
        f'the test size on one thread, {sizes[0] / sizes[1]:.2f} of its size'
    )
