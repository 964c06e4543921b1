"""Export a trained model: weights (safetensors), ONNX, OpenVINO, LiteRT, ExecuTorch, Core ML; compared with PyTorch."""

import copy
import importlib.util
import os
import sys
import tempfile

from mfdet.commands._detection import data_pair
from mfdet.commands._precision import MEASURED, PRECISIONS, check_float_layers, check_precision, in_lower_precision
from mfdet.commands._run import add_config_options, announced, command, new_parser
from mfdet.commands.train import add_data_options
from mfdet.compat import check_environment
from mfdet.errors import InputError
from mfdet.files import check_writable

EXAMPLE = """examples:
  %(prog)s CONFIG CHECKPOINT --format onnx --output detector.onnx
  %(prog)s CONFIG CHECKPOINT --format openvino --precision int8 --calibration IMAGES --output detector.xml
  %(prog)s CONFIG CHECKPOINT --format litert --fixed-size 320 320 --output detector.tflite
  %(prog)s CONFIG CHECKPOINT --format weights --output detector.safetensors"""
COMPARING = 'comparing its output with that of PyTorch'
SUFFIXES = dict(
    weights='.safetensors', onnx='.onnx', openvino='.xml', litert='.tflite', executorch='.pte', coreml='.mlpackage'
)
PHONES = ('litert', 'executorch', 'coreml')
NEEDED = dict(
    weights=('safetensors',),
    onnx=('onnx', 'onnxscript', 'onnxruntime'),
    openvino=('onnx', 'onnxscript', 'openvino'),
    litert=('litert_torch', 'ai_edge_litert'),
    executorch=('executorch',),
    coreml=('coremltools',),
)


def build_parser():
    """Return the argument parser."""
    parser = new_parser('export', __doc__, EXAMPLE)
    parser.add_argument('config', help='config file, the one of the training')
    parser.add_argument('checkpoint', help='checkpoint of the training')
    parser.add_argument('--format', required=True, choices=sorted(SUFFIXES), help='kind of file to write')
    parser.add_argument(
        '--output', required=True, metavar='FILE', help=f'file to write: {", ".join(SUFFIXES.values())}'
    )
    parser.add_argument('--preprocess', action='store_true', help='put normalisation and channel order into the graph')
    parser.add_argument(
        '--precision',
        choices=PRECISIONS,
        default='fp32',
        help='number format: int8 (not weights, coreml), bf16 and int8-bf16 (openvino) are kept if AP holds and '
        'they are faster here; fp16 (weights, openvino) halves the file, which computes in float32',
    )
    parser.add_argument(
        '--fixed-size',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='for single images of this size alone, in pixels, others being fitted in; faster, and a must for phones',
    )
    parser.add_argument('--backbone-only', action='store_true', help="weights: the backbone's alone")
    parser.add_argument('--calibration', metavar='DIR', help='int8, int8-bf16: some of the training images')
    parser.add_argument(
        '--float-layers',
        nargs='+',
        metavar='NAME',
        help='int8, int8-bf16: parts to leave in float (not litert)',
    )
    parser.add_argument('--max-drop', type=float, metavar='P', help='int8, bf16, both: most AP points to lose (1.0)')
    parser.add_argument('--force', action='store_true', help='int8, bf16, both: keep a file that is no faster')
    add_data_options(parser, ('val',))
    add_config_options(parser, 'those of the training')
    return parser


def check_options(args):
    """Check what does not need the model.

    Raises:
        InputError: options do not go together, or the output cannot be written.
    """
    suffix = SUFFIXES[args.format]
    if not args.output.endswith(suffix):
        raise InputError(f'--output {args.output}: a file of format {args.format} ends in {suffix}')
    for package in NEEDED[args.format]:
        if importlib.util.find_spec(package) is None:
            name = package.replace('_', '-')
            raise InputError(f'--format {args.format} needs {name}: pip install {name}')
    if args.format == 'coreml' and os.path.exists(args.output):
        raise InputError(f'--output {args.output}: is there, and packages are not replaced; remove it or name another')
    check_writable(args.output, '--output')
    for option, formats in (
        ('preprocess', ('onnx', 'openvino', *PHONES)),
        ('fixed_size', ('onnx', 'openvino', *PHONES)),
        ('backbone_only', ('weights',)),
    ):
        if getattr(args, option) and args.format not in formats:
            raise InputError(
                f'--{option.replace("_", "-")} goes with --format {" or ".join(formats)}, not {args.format}'
            )
    if args.format in PHONES and not args.fixed_size:
        raise InputError(f'--format {args.format} needs --fixed-size H W: its files are for images of one size')
    if args.fixed_size and (min(args.fixed_size) < 32 or any(side % 32 for side in args.fixed_size)):
        raise InputError(f'--fixed-size takes multiples of 32 pixels, got {args.fixed_size[0]} {args.fixed_size[1]}')
    check_precision(args)


def write_graph(args, model, metadata, stem):
    """Write a model as ``stem.onnx`` or, made of that, ``stem.xml`` and ``stem.bin``; return the path."""
    from mfdet.export.channels_last import channels_last
    from mfdet.export.graph import build_graph
    from mfdet.export.onnx import export_onnx
    from mfdet.export.openvino import convert_to_openvino

    onnx = args.format == 'onnx'
    path = f'{stem}.onnx'
    source = model if onnx else channels_last(copy.deepcopy(model), bool(args.fixed_size))
    with announced('tracing the model into an ONNX graph, for one to three minutes'):
        export_onnx(build_graph(source, not args.preprocess), metadata, path, optimize=onnx)
    if onnx:
        return path
    with announced('converting the graph to OpenVINO'):
        convert_to_openvino(path, metadata, f'{stem}.xml', args.precision == 'fp16')
    return f'{stem}.xml'


def write_phone_graph(args, model, metadata, stem):
    """Write a model as ``stem.tflite``, ``stem.pte`` or ``stem.mlpackage``; return the path and what runs it.

    The latter is None for what :class:`mfdet.runtime.Detector` runs.
    """
    from mfdet.export.phone_files import export_for_phones

    path = stem + SUFFIXES[args.format]
    with announced('converting the model, for a few minutes'):
        line, run = export_for_phones(model, metadata, path)
    print(line, file=sys.stderr)
    return path, run


def export_detector(args, model, config, classes, folder):
    """Write a detector into a folder, verify it there, and return its files in it and a line about it.

    They have the output's name, which is the one in sentences on what is wrong with them.
    """
    from mfdet.engine.exported_model import check_fits
    from mfdet.export.metadata import describe
    from mfdet.export.verify import verify
    from mfdet.runtime import Detector

    metadata = describe(model, config, classes, not args.preprocess, args.fixed_size)
    if args.precision in MEASURED:
        check_fits(metadata, args.output)
    tolerances = {}
    if args.precision == 'fp16':  # weights of 11 bits cannot agree to 1e-4
        tolerances = dict(box_tolerance=1.0, score_tolerance=0.02)

    def write_and_verify(part):
        os.mkdir(os.path.join(folder, part))
        stem, run = os.path.join(folder, part, os.path.splitext(os.path.basename(args.output))[0]), None
        if args.format in PHONES:
            path, run = write_phone_graph(args, model, metadata, stem)
        else:
            path = write_graph(args, model, metadata, stem)
        with announced(COMPARING):
            return path, verify(model, run or Detector(path).run, metadata, args.output, **tolerances)

    path, (box_error, score_error, compared) = write_and_verify('export')
    if not compared:  # nothing scored above the threshold: compare without one, then keep the file with it
        print('it finds nothing, so the comparison is made once more without a score threshold', file=sys.stderr)
        threshold = model.test_cfg.score_thr
        model.test_cfg.score_thr = model.bbox_head.test_cfg.score_thr = 0.0
        _, (box_error, score_error, compared) = write_and_verify('probe')
        model.test_cfg.score_thr = model.bbox_head.test_cfg.score_thr = threshold
    line = (
        f'{compared} detections agree with PyTorch, alone and in batches of different sizes: '
        f'boxes within {box_error:.1e} pixels, scores within {score_error:.1e}'
    )
    if args.precision in MEASURED:
        source, path = path, os.path.join(folder, os.path.basename(path))
        line = in_lower_precision(args, model, config, metadata, source, path)
    stem = os.path.splitext(os.path.relpath(path, folder))[0]
    return [f'{stem}.bin', f'{stem}.xml'] if args.format == 'openvino' else [stem + SUFFIXES[args.format]], line


def export_classifier(args, model, config, classes, folder):
    """Write a classifier; see :func:`export_detector`."""
    from mfdet.export.metadata import describe_classifier
    from mfdet.export.verify import verify_classifier

    path = write_graph(args, model, describe_classifier(model, config, classes), os.path.join(folder, 'model'))
    if args.format == 'openvino':
        from mfdet.runtime.openvino_core import openvino_core

        compiled = openvino_core().compile_model(path, 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})
        with announced(COMPARING):
            error = verify_classifier(
                model, lambda x: compiled(x)[0], args.output, 0.1 if args.precision == 'fp16' else 1e-3
            )
        return ['model.bin', 'model.xml'], f'logits agree with PyTorch within {error:.1e}'
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
    with announced(COMPARING):
        error = verify_classifier(model, lambda x: session.run(None, dict(images=x))[0], args.output)
    return ['model.onnx'], f'logits agree with PyTorch within {error:.1e}'


def export_model_weights(args, model, config, classes, folder):
    """Write weights that load back; see :func:`export_detector`."""
    from mfdet.engine.plain_config import plain_config
    from mfdet.export.metadata import describe, describe_classifier
    from mfdet.export.weights import export_weights
    from mfdet.models import Classifier
    from mfdet.weights import read_checkpoint, state_dict_of

    classifier = isinstance(model, Classifier)
    metadata = describe_classifier(model, config, classes) if classifier else describe(model, config, classes)
    if not classifier:
        metadata['config'] = plain_config(config)
    path = os.path.join(folder, 'model.safetensors')
    weights, half = model.state_dict(), args.precision == 'fp16'
    export_weights(weights, metadata, path, args.backbone_only, half)
    written = state_dict_of(read_checkpoint(path), path)
    prefix = 'backbone.' if args.backbone_only else ''
    expected = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    if set(written) != set(expected) or not all(
        value.equal(expected[name].to(value.dtype)) for name, value in written.items()
    ):
        raise InputError(f'{args.output} does not read back as it was written; nothing was kept')
    stored = ', stored in float16 where they have more than one dimension' if half else ''
    return ['model.safetensors'], f'{len(written)} tensors read back the same{stored}'


def run(args):
    """Export.

    Args:
        args: options of :func:`build_parser`.

    Returns:
        A sentence on how the file was checked.

    Raises:
        InputError: an option, the checkpoint or the data is wrong, or the file does not agree with PyTorch; then none
            is left.
    """
    check_options(args)
    import mfdet.register  # noqa: F401
    from mfdet.engine.config import check_data, set_data
    from mfdet.engine.inference import load_model
    from mfdet.models import Classifier

    with announced(f'loading {args.checkpoint}'):
        model, config, classes = load_model(args.config, args.checkpoint, args.cfg_options)
    if args.precision in MEASURED and 'bbox_head' in config.model:  # its AP is measured, so the data must be there
        set_data(config, args.data_root, val=data_pair(args, 'val'))
        check_data(config, ('test',))
    classifier = isinstance(model, Classifier)
    if classifier and args.format in PHONES:
        raise InputError(f'--format {args.format} is for detectors, this is a classifier')
    lower = args.precision in MEASURED
    if classifier and (args.preprocess or lower or args.backbone_only or args.fixed_size):
        raise InputError(
            '--preprocess, --precision int8, bf16 and int8-bf16, --fixed-size and --backbone-only are for detectors, '
            'this is a classifier'
        )
    check_float_layers(args.float_layers, model)
    export = export_classifier if classifier else export_detector
    if args.format == 'weights':
        export = export_model_weights
    try:
        with tempfile.TemporaryDirectory(dir=os.path.dirname(args.output) or '.', prefix='.export-') as folder:
            names, line = export(args, model, config, classes, folder)
            stem = os.path.splitext(args.output)[0]
            for name in names:  # the .bin before the .xml that needs it
                os.replace(os.path.join(folder, name), stem + os.path.splitext(name)[1])
    except OSError as error:
        raise InputError(f'{args.output}: cannot be written: {error.strerror or error}') from error
    return line


@command
def main(argv=None):
    """Run the command; returns the exit code."""
    check_environment()
    args = build_parser().parse_args(argv)
    print(f'{args.output}: {run(args)}')
