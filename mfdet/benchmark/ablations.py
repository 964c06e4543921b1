"""The paper's ablations as one table: what each variant weighs and, if asked for, what it learns on a small task.

Chen et al., "Mobile-Former: Bridging MobileNet and Transformer", CVPR 2022: Tables 4 to 7, of Mobile-Former-294M on
ImageNet, and the parts of the end-to-end detector of section 4. A new variant is a new entry of :data:`VARIANTS`.
"""

import copy
import dataclasses
import functools
import os
import shlex
import signal
import statistics
import subprocess
import sys
from pathlib import Path

from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

import mfdet
from mfdet.complexity import count_model
from mfdet.engine.checkpoint import holds_run
from mfdet.engine.config import load_config
from mfdet.engine.report import read_summary
from mfdet.engine.settings import set_epochs
from mfdet.errors import InputError
from mfdet.files import make_folder, replacing
from mfdet.models.mobile_former import ARCHS
from mfdet.models.training_aids import drop_aids

COLUMNS = ('variant', 'params M', 'paper params M', 'params %', 'MAdds M', 'paper MAdds M', 'MAdds %')
CLASSIFIER, DETECTOR = 'imagenet/mobile_former_294m', 'e2e_mf294m'  # what the paper varies
SHAPES = {CLASSIFIER: (224, 224), DETECTOR: (800, 1333)}
KINDS = {  # a row's base by the types of model, backbone and head: that of E2E-MF+ lacks these parts
    ('MobileFormerClassifier', None, None): CLASSIFIER,
    ('E2EMobileFormer', 'MobileFormer', 'MobileFormerHead'): DETECTOR,
}
NAMES = {CLASSIFIER: 'classifiers', DETECTOR: 'E2E-MF'}


@dataclasses.dataclass(frozen=True)
class Variant:
    """A row: what it changes in a config, and what the paper says of the result.

    Attributes:
        base: config that the paper varies, :data:`CLASSIFIER` or :data:`DETECTOR`.
        options: entries of ``model`` by their dotted names, as of ``--cfg-options``.
        params: parameters in millions in the paper; None where it gives none.
        madds: MAdds in millions in the paper; None where it gives none.
        scales: maps that the head of a detector reads, from the coarsest on; None for those of the config. The blocks
            of the maps left out go to the finest that stays, so that the depth is the same.
    """

    base: str
    options: dict
    params: float | None = None
    madds: float | None = None
    scales: int | None = None

    def changes(self, model):
        """Return the entries to change in a config's ``model``, a dict by dotted names.

        Raises:
            InputError: the model has too few maps for the variant, or its config leaves out what it needs.
        """
        if self.scales is None:
            return self.options
        backbone, head, kept = model['backbone'], model['bbox_head'], self.scales
        for part, entry in ((backbone, 'out_indices'), (head, 'channels'), (head, 'num_blocks')):
            if entry not in part:
                raise InputError(f'the config does not give the {entry} of its {part["type"]}')
        blocks, ratio = list(head['num_blocks']), head.get('expand_ratio')
        if kept >= len(blocks):
            raise InputError(f'its head reads {len(blocks)} maps in all')
        changes = {
            'backbone.out_indices': list(backbone['out_indices'])[-kept:],
            'bbox_head.in_channels': list(head['in_channels'])[-kept:],  # fine to coarse, unlike the others
            'bbox_head.channels': list(head['channels'])[:kept],
            'bbox_head.num_blocks': [*blocks[: kept - 1], sum(blocks[kept - 1 :])],
        }
        return {**changes, 'bbox_head.expand_ratio': ratio[:kept]} if isinstance(ratio, (list, tuple)) else changes


classifier, detector = (functools.partial(Variant, base) for base in (CLASSIFIER, DETECTOR))
SHARED_RELU = {'backbone.spatial_aware_dyrelu': False, 'bbox_head.spatial_aware_dyrelu': False}
VARIANTS = {
    # Mobile by itself, with Former and bridge, with dynamic ReLUs: the last is Mobile-Former.
    'mobile': classifier(dict(num_tokens=0, dynamic_relu=False), 6.1, 259),
    'former': classifier(dict(dynamic_relu=False), 10.1, 290),
    'dynamic-relu': classifier({}, 11.4, 294),
    'tokens-1': classifier(dict(num_tokens=1), None, 269),
    'tokens-3': classifier(dict(num_tokens=3), None, 279),
    'tokens-6': classifier(dict(num_tokens=6), None, 294),
    'tokens-9': classifier(dict(num_tokens=9), None, 309),
    'width-64': classifier(dict(token_dim=64), 7.3),
    'width-128': classifier(dict(token_dim=128), 9.1),
    'width-192': classifier(dict(token_dim=192), 11.4),
    'width-256': classifier(dict(token_dim=256), 14.3),
    'width-320': classifier(dict(token_dim=320), 17.9),
    'no-ffn': classifier({'former_cfg.ffn_ratio': 0}, 9.8, 284),
    'token-mlp': classifier({'former_cfg.token_mixer': 'mlp'}, 10.5, 284),
    # The paper tells the cost of the whole detector alone (Table 9).
    'e2e': detector({}, 25.1, 24100),
    'e2e-shared-relu': detector(SHARED_RELU),
    'e2e-fixed-positions': detector({'bbox_head.refine_positions': False}),
    'e2e-1-scale': detector({}, scales=1),
    'e2e-2-scales': detector({}, scales=2),
    'e2e-queries-25': detector({'bbox_head.num_queries': 25}),
    'e2e-queries-50': detector({'bbox_head.num_queries': 50}),
    'e2e-queries-100': detector({'bbox_head.num_queries': 100}),
    'e2e-queries-200': detector({'bbox_head.num_queries': 200}),
    'e2e-blocks-3': detector({'bbox_head.num_blocks': [1, 1, 1]}),
    'e2e-blocks-6': detector({'bbox_head.num_blocks': [2, 2, 2]}),
    'e2e-blocks-9': detector({'bbox_head.num_blocks': [5, 2, 2]}),
    'e2e-blocks-12': detector({'bbox_head.num_blocks': [8, 2, 2]}),
}
NOTES = (
    'Classifiers are Mobile-Former-294M at 224×224, e2e rows E2E-MF-294M at 800×1333; % is how much more it is here '
    'than in the paper, whose figures are rounded; – is what it does not publish.',
    'With fewer scales, the blocks of those left out go to the finest that stays.',
)


def varied(config, variant):
    """Return a copy of a config with the changes of a variant.

    Raises:
        InputError: the variant does not fit the config.
    """
    config = copy.deepcopy(config)
    config.merge_from_dict({f'model.{name}': value for name, value in variant.changes(config.model).items()})
    return config


def weigh(names, progress=print):
    """Count parameters and MAdds of rows of :data:`VARIANTS`; return dicts with the keys of :data:`COLUMNS`."""
    progress(f'counting {len(names)} variants')
    rows, configs = [], {}
    for name in names:
        variant = VARIANTS[name]
        if variant.base not in configs:
            configs[variant.base] = load_config(variant.base)
        cost = count_model(varied(configs[variant.base], variant).model, SHAPES[variant.base])
        row = dict(variant=name)
        for what, here, paper in (('params', cost.params, variant.params), ('MAdds', cost.madds, variant.madds)):
            millions = here / 1e6
            share = None if paper is None else 100 * (millions / paper - 1)
            row |= {f'{what} M': millions, f'paper {what} M': paper, f'{what} %': share}
        rows.append(row)
    return rows


def kind_of(config):
    """Return the base of the rows that vary a config's kind of model.

    Raises:
        InputError: none do.
    """
    kind = config.model.get('type'), *(config.model.get(part, {}).get('type') for part in ('backbone', 'bbox_head'))
    if kind not in KINDS:
        raise InputError(
            f'{config.filename}: is neither a classifier nor E2E-MF, which the ablations vary; take one such as '
            'configs/shapes/e2e_paper_mf26m.py'
        )
    return KINDS[kind]


def applicable(config, names):
    """Sort rows by whether they can be trained with a config.

    Returns:
        dict of name to the config of the row, and dict of name to why another row is left out.
    """
    init_default_scope('mmdet')
    base, fitting, left_out = kind_of(config), {}, {}
    for name in names:
        variant = VARIANTS[name]
        if variant.base != base:
            left_out[name] = f'it varies {NAMES[variant.base]}'
            continue
        try:
            own = varied(config, variant)
            MODELS.build(copy.deepcopy(own.model))
        except InputError as error:
            left_out[name] = str(error)
        else:
            fitting[name] = own
    return fitting, left_out


def resolved(model):
    """Return a model's config with the tokens that its architecture has by default, to tell models that are equal."""
    model = model.to_dict()
    backbone = model.get('backbone', model)
    for name in ('num_tokens', 'token_dim'):
        if backbone.get(name) is None:
            backbone[name] = ARCHS[backbone.get('arch', '508m')][name]
    return {**model, 'backbone': backbone} if 'backbone' in model else backbone


def owner(name, config):
    """Return the first row of all whose model with this config is that of ``name``: equal rows share their trainings.

    Args:
        name: a row that fits the config.
        config: the config that the rows vary.
    """
    wanted = resolved(varied(config, VARIANTS[name]).model)
    fitting = (other for other in VARIANTS if VARIANTS[other].base == VARIANTS[name].base)
    for other in fitting:
        try:
            if resolved(varied(config, VARIANTS[other]).model) == wanted:
                return other
        except InputError:
            continue
    return name


@dataclasses.dataclass(frozen=True)
class Task:
    """What the rows are trained on.

    Attributes:
        config: the config that the rows vary, with the overrides of the user.
        epochs: of each training; None for the config's.
        seeds: of its trainings.
        data_options: words of the command line that name the data, as ``tools/train.py`` takes them.
        folder: where the trainings go, each into a work directory of its own.
        threads: CPU threads of a training.
    """

    config: Config
    epochs: int | None
    seeds: list
    data_options: list
    folder: str
    threads: int = 1

    def train(self, name, config, seed, progress):
        """Train a row with one seed, or go on with it, unless it has been done.

        Returns:
            The summary of the run, see :class:`mfdet.engine.report.ReportHook`, and the run's config.

        Raises:
            InputError: the folder holds a run of other settings, or the training failed.
        """
        config = copy.deepcopy(config)
        if self.epochs:
            set_epochs(config, self.epochs)
        config.randomness = dict(config.get('randomness') or {}, seed=seed)
        text = f'# mfdet train {shlex.join(["THIS_FILE", *self.data_options])}\n{config.pretty_text}'
        work_dir = os.path.join(self.folder, name, f'seed{seed}')
        file, log = f'{work_dir}.py', f'{work_dir}.log'
        known = Path(file).read_text(encoding='utf-8') if os.path.isfile(file) else None
        if known != text and os.path.isdir(work_dir) and holds_run(work_dir):
            raise InputError(
                f'{work_dir} holds a training of other settings than these (epochs, data or config); name another '
                '--out, or remove it'
            )
        if not read_summary(work_dir):
            make_folder(os.path.dirname(work_dir), '--out')
            with replacing(file) as part:
                Path(part).write_text(text, encoding='utf-8')
            progress(f'training {name} with seed {seed}, see {log}')
            words = ['train', file, '--work-dir', work_dir, '--resume', 'auto', *self.data_options]
            code = run_mfdet(words, log, self.threads)
            if code or not read_summary(work_dir):
                lines = Path(log).read_text(encoding='utf-8', errors='replace').strip().splitlines()
                last = lines[-1].removeprefix('error: ') if lines else 'it said nothing'
                raise InputError(f'{name} with seed {seed}: the training ended with exit code {code}: {last} ({log})')
        return read_summary(work_dir), load_config(os.path.join(work_dir, os.path.basename(file)))

    def train_seeds(self, name, config, progress):
        """Train a row with each seed; return what the table says of it, a dict of column to value.

        Raises:
            InputError: see :meth:`train`.
        """
        runs = [self.train(name, config, seed, progress) for seed in self.seeds]
        metric = 'best_top1' if 'best_top1' in runs[0][0] else 'best_ap'
        values = [summary[metric] for summary, _ in runs]
        if None in values:
            raise InputError(
                f'{self.config.filename}: its trainings measure nothing; the ablations need validation data'
            )
        added = {f'{metric} mean': statistics.fmean(values), 'range': max(values) - min(values)}
        seeds = {f'seed {seed}': value for seed, value in zip(self.seeds, values, strict=True)}
        return {'trained params M': count_parameters(runs[0][1].model) / 1e6, **added, **seeds}


def count_parameters(config):
    """Return the number of parameters of a model config once it is trained, without those of training aids."""
    config = copy.deepcopy(config)
    drop_aids(config)
    return sum(parameter.numel() for parameter in MODELS.build(config).parameters())


def run_mfdet(words, log, threads):
    """Run a command of mfdet in a process of its own, its output added to a file; return its exit code.

    Raises:
        KeyboardInterrupt: SIGINT or SIGTERM came; the process has been told to end, and has ended.
    """
    here = os.path.dirname(os.path.dirname(mfdet.__file__))  # a clone need not be installed
    path = os.pathsep.join(filter(None, [here, os.environ.get('PYTHONPATH')]))
    env = {**os.environ, 'PYTHONPATH': path, 'OMP_NUM_THREADS': str(threads)}
    process, stopped = None, []

    def stop(*_):
        stopped.append(True)
        if process is not None:
            process.terminate()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with open(log, 'a') as file:
            process = subprocess.Popen(
                [sys.executable, '-m', 'mfdet', *words], stdout=file, stderr=subprocess.STDOUT, env=env
            )
        if stopped:  # before there was a process to tell
            process.terminate()
        code = process.wait()  # told to end, a training saves its state, and the next run goes on from there
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if stopped:
        raise KeyboardInterrupt
    return code


def measure_ablations(names, task=None, progress=print):
    """Weigh rows of the table, and train them if there is a task.

    Args:
        names: of :data:`VARIANTS`.
        task: the :class:`Task`; None to train nothing.
        progress: called with a line now and then.

    Returns:
        The columns, rows and notes. Trained rows have the mean and range of the metric over the seeds, and each
        seed's value.

    Raises:
        InputError: no row fits the task, or a training failed; those that are done are kept.
    """
    fitting, left_out = applicable(task.config, names) if task else ({}, {})
    notes = [f'{name} is not trained: {why}.' for name, why in left_out.items()]
    if task and not fitting:
        raise InputError(f'--rows: none fits {task.config.filename}: {" ".join(notes)}')
    learnt, columns = {}, []
    for name, config in fitting.items():
        first = owner(name, task.config)
        if first != name:
            notes.append(f'{name} is {first} with this config: one training counts for both.')
        learnt[name] = task.train_seeds(first, config, progress)
        columns = list(learnt[name])
    if task:
        epochs = task.epochs or task.config.train_cfg.max_epochs
        notes.append(f'Trained with {task.config.filename}, epochs: {epochs}; the best validation of each training.')
    rows = [{**row, **learnt.get(row['variant'], {})} for row in weigh(names, progress)]
    return (*COLUMNS, *columns), rows, [*NOTES, *notes]
