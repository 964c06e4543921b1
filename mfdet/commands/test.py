"""Test a detector (COCO metrics, in all and for each class) or a classifier (top-1, top-5, worst classes)."""

import os
import shutil
import tempfile

from mfdet.commands._run import TORCH_PRECISIONS, check_at_least_one, check_score, command, new_parser
from mfdet.commands._task import task_of
from mfdet.commands.train import add_common_options, add_data_options, prepare
from mfdet.compat import check_environment
from mfdet.errors import InputError
from mfdet.files import check_writable, make_folder, replacing

EXAMPLE = """examples:
  %(prog)s configs/shapes/retinanet_mf26m.py work_dirs/shapes/retinanet_mf26m/epoch_5.pth \\
      --show-dir pictures
  %(prog)s configs/imagenet/mobile_former_26m.py mobile-former-26m.pth.tar --data-root imagenet"""


BACKENDS = dict(torch='.pth or .safetensors', onnx='.onnx', openvino='.xml', litert='.tflite', executorch='.pte')


def build_parser():
    """Return the argument parser."""
    parser = new_parser('test', __doc__, EXAMPLE)
    parser.add_argument('config', help='config file, the one of the training')
    parser.add_argument('checkpoint', help='checkpoint of the training, a file of tools/export.py or released')
    parser.add_argument(
        '--backend', choices=list(BACKENDS), help="what runs it; by default what the file's ending says"
    )
    parser.add_argument('--batch-size', type=int, metavar='N', help="images at a time, in place of the config's")
    parser.add_argument(
        '--precision',
        choices=TORCH_PRECISIONS,
        default='fp32',
        help='of a checkpoint; for GPUs (default fp32)',
    )
    add_data_options(parser, ('val',))
    parser.add_argument('--out', metavar='FILE', help='write the detections, COCO results JSON')
    parser.add_argument('--show-dir', metavar='DIR', help='draw ground truth and detections into DIR')
    parser.add_argument('--report', metavar='DIR', help='write a page of what is wrong and what to do into DIR')
    parser.add_argument('--score-thr', type=float, default=0.3, help='least score to draw (default 0.3)')
    add_common_options(parser)
    return parser


def backend_of(args):
    """Return what runs the model, by the ending of its file.

    Raises:
        InputError: ``--backend`` says otherwise, or it is a Core ML package.
    """
    from mfdet.runtime.detector import check_no_package

    check_no_package(args.checkpoint)
    suffixes = {suffix: name for name, suffix in BACKENDS.items()}
    backend = suffixes.get(os.path.splitext(args.checkpoint)[1].lower(), 'torch')
    if args.backend and args.backend != backend:
        raise InputError(f'--backend {args.backend} runs a {BACKENDS[args.backend]} file, got {args.checkpoint}')
    return backend


def build_config(args, results_dir):
    """Turn parsed options into the config of the run, all of it checked.

    Raises:
        InputError: an option, the config, the checkpoint or the data is wrong.
    """
    from mfdet.config_parts import backbone_of, evaluators_of
    from mfdet.engine.config import load_config
    from mfdet.models.training_aids import drop_aids
    from mfdet.report.write import check_folder

    config = load_config(args.config, args.cfg_options)
    task = task_of(config, 'test')
    check_at_least_one(args, 'batch_size')
    check_score(args.score_thr)
    if args.batch_size:
        config.test_dataloader.batch_size = args.batch_size
    backend = backend_of(args)
    if args.precision != 'fp32' and backend != 'torch':
        raise InputError(f'--precision: {args.checkpoint} has its own, {args.precision} is for a checkpoint')
    task.prepare_test(config, args, backend)
    if args.out:
        check_writable(args.out, '--out')
    prepare(config, args)
    if args.show_dir:
        make_folder(args.show_dir, '--show-dir')
    if args.report:
        check_folder(args.report, '--report')
    config.load_from = None  # what a training starts from
    if backend == 'torch':
        config.load_from = args.checkpoint
        backbone_of(config.model).pop('init_cfg', None)  # the checkpoint holds all weights
        drop_aids(config.model)
    # The weights are averaged ones already, if they were to be.
    config.custom_hooks = [hook for hook in config.get('custom_hooks', []) if 'EMA' not in hook.type]
    for evaluator in evaluators_of(config, 'test'):
        task.set_evaluator(evaluator, results_dir)
    if args.show_dir:
        hook = dict(type='DrawDetectionsHook', out_dir=args.show_dir, score_thr=args.score_thr)
        config.custom_hooks = [*config.get('custom_hooks', []), hook]
    return config


def make_report(runner, args, results_dir, argv):
    """Write the report of a test into ``args.report``; returns what it says in short.

    Args:
        runner: of the test.
        args: parsed options.
        results_dir: where the evaluator has left detections, and the ground truth if that is in no file.
        argv: arguments of the command, None for those of the process.
    """
    from mfdet.commands.report import command_line, summary
    from mfdet.config_parts import evaluators_of
    from mfdet.engine.draw import image_reader
    from mfdet.evaluation.coco import load_ground_truth, load_results
    from mfdet.report.write import write_report

    ann_file = evaluators_of(runner.cfg, 'test')[0].get('ann_file')
    ground_truth = load_ground_truth(ann_file or os.path.join(results_dir, 'results.gt.json'))
    results = load_results(os.path.join(results_dir, 'results.bbox.json'), ground_truth)
    dataset = runner.test_dataloader.dataset
    ids = {category['name']: category_id for category_id, category in ground_truth.cats.items()}
    made_by = {
        'Command': command_line('test', argv),
        'Annotations': os.path.abspath(ann_file) if ann_file else f'generated by {type(dataset).__name__}',
        'Checkpoint': os.path.abspath(args.checkpoint),
        'Config': os.path.abspath(args.config),
    }
    findings = write_report(
        args.report,
        ground_truth,
        results,
        made_by,
        image_reader(dataset),
        os.path.dirname(os.path.abspath(args.checkpoint)),
        category_ids=[ids[name] for name in dataset.metainfo['classes']],
    )
    return summary(findings, args.report)


@command
def main(argv=None):
    """Run the command; returns the exit code."""
    check_environment()  # first, since the parser is built with mmengine
    args = build_parser().parse_args(argv)
    from mmengine import dist

    import mfdet.register  # noqa: F401
    from mfdet.engine.distributed import telling_of_the_dead
    from mfdet.engine.precision import predict_in
    from mfdet.engine.runner import ConsoleRunner

    with tempfile.TemporaryDirectory() as results_dir, telling_of_the_dead('start the test again'):
        runner = ConsoleRunner.from_cfg(build_config(args, results_dir))
        predict_in(runner.model, args.precision)
        runner.test()
        results = os.path.join(results_dir, 'results.bbox.json')
        if args.out and os.path.isfile(results):
            with replacing(args.out) as part:
                shutil.copyfile(results, part)
            runner.logger.info(f'Detections are in {args.out}')
        if args.report and os.path.isfile(results):
            runner.logger.info(make_report(runner, args, results_dir, argv))
        dist.barrier()  # torchrun ends all when one ends badly
