"""Draw what object queries look at, and how their boxes move from block to block."""

import os

import cv2
import numpy as np

from mfdet.commands._run import add_config_options, command, new_parser
from mfdet.compat import check_environment
from mfdet.errors import InputError
from mfdet.files import write_file
from mfdet.runtime.images import read_image
from mfdet.visualization import contact_sheet, titled

EXAMPLE = """example:
  %(prog)s configs/shapes/e2e_mf26m.py work_dirs/shapes/e2e_mf26m/best_*.pth \\
      image.png --out queries"""
PANEL = 320  # long side of a panel, in pixels


def build_parser():
    """Return the argument parser."""
    parser = new_parser('visualize_queries', __doc__, EXAMPLE)
    parser.add_argument('config', help='config of an end-to-end detector, such as configs/e2e_mf508m.py')
    parser.add_argument('checkpoint', help='checkpoint of the training')
    parser.add_argument('image', help='image file')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder for the picture, <image name>_queries.png')
    parser.add_argument('--queries', type=int, nargs='+', metavar='I', help='queries to draw, from 0; default: --top')
    add_config_options(parser, 'those of the training')
    parser.add_argument('--top', type=int, default=4, metavar='N', help='draw the N best-scored queries (default 4)')
    return parser


def observe(model, inputs):
    """Run an end-to-end detector on one image and keep what its queries do.

    Args:
        model: :class:`mfdet.models.E2EMobileFormer` in evaluation mode.
        inputs: of the image's pipeline, ``inputs`` and ``data_samples`` as lists of one.

    Returns:
        Class scores (L, M, K) and boxes (L, M, 4), normalised (cx, cy, w, h), after each of the L blocks;
        and for each scale the attention of its last block, averaged over the heads, (M, h, w), of the image alone.
    """
    import torch

    from mfdet.models.e2e_detector import valid_mask

    attention = {}

    def watch(stage):
        def hook(module, args):
            x = args[0]
            weights = module.attention(*args)[1]
            attention[stage] = weights.mean(1)[0].unflatten(-1, x.shape[-2:])

        return hook

    head = model.bbox_head
    hooks = [
        stage[-1].mobile_to_former.register_forward_pre_hook(watch(i))
        for i, stage in enumerate(head.stages)
        if len(stage)
    ]
    data = model.data_preprocessor(inputs)
    x, sample = data['inputs'], data['data_samples'][0]
    try:
        with torch.no_grad():
            feats, valid = model.features(x, [sample])
            logits, boxes = head(feats, valid, all_blocks=True)
    finally:
        for hook in hooks:
            hook.remove()
    inside = valid_mask([sample], x)
    maps = []
    for weights in attention.values():
        if inside is not None:
            stride = x.shape[-1] // weights.shape[-1]
            rows, columns = (-(-size // stride) for size in sample.img_shape)
            weights = weights[:, :rows, :columns]
        maps.append(weights.numpy())
    return head.scores(logits[:, 0]).numpy(), boxes[:, 0].numpy(), maps


def draw_attention(image, weights, cell):
    """Lay attention over an image: blue where there is none, red where most of it is.

    Args:
        image: uint8 (H, W, 3) BGR.
        weights: (h, w).
        cell: width and height of a cell in pixels of the image; the last ones may reach beyond it.

    Returns:
        uint8 (H, W, 3) BGR.
    """
    height, width = image.shape[:2]
    heat = weights / max(weights.max(), 1e-12)
    rows = np.minimum((np.arange(height) / cell[1]).astype(int), len(heat) - 1)
    columns = np.minimum((np.arange(width) / cell[0]).astype(int), heat.shape[1] - 1)
    heat = heat[rows][:, columns]
    color = cv2.applyColorMap((255 * heat).astype(np.uint8), cv2.COLORMAP_JET)
    gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return cv2.addWeighted(gray, 0.5, color, 0.5, 0)


def draw_steps(image, boxes):
    """Draw the box after each block, boxes (L, 4) normalised (cx, cy, w, h), from blue to red; the last one is bold.

    The numbers of the blocks stand in their colours at the lower edge.
    """
    canvas = image.copy()
    height, width = image.shape[:2]
    shades = np.linspace(0, 255, len(boxes)).astype(np.uint8)
    colors = cv2.applyColorMap(shades, cv2.COLORMAP_JET)[:, 0].tolist()
    for i, ((cx, cy, w, h), color) in enumerate(zip(boxes, colors, strict=True)):
        first = round(float((cx - w / 2) * width)), round(float((cy - h / 2) * height))
        second = round(float((cx + w / 2) * width)), round(float((cy + h / 2) * height))
        cv2.rectangle(canvas, first, second, color, 3 if i == len(boxes) - 1 else 1, cv2.LINE_AA)
        place = 4 + 16 * i, height - 6
        for shade, thickness in (((255, 255, 255), 3), (color, 1)):  # a white rim keeps the number readable
            cv2.putText(canvas, str(i + 1), place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, shade, thickness, cv2.LINE_AA)
    return canvas


def picture(image, shape, queries, scores, boxes, attention, strides, classes):
    """Compose one row for each query: its boxes, then its attention over each scale.

    Args:
        image: uint8 (H, W, 3) BGR.
        shape: height and width at which the model saw it.
        queries: indices of the queries.
        scores, boxes, attention: of :func:`observe`.
        strides: stride of each scale.
        classes: class names.

    Returns:
        uint8 (H', W', 3) BGR.
    """
    factor = PANEL / max(image.shape[:2])
    image = cv2.resize(
        image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    )
    panels = []
    for query in queries:
        label = int(scores[-1, query].argmax())
        score = scores[-1, query, label]
        steps = draw_steps(image, boxes[:, query])
        panels.append(titled(steps, f'query {query}: {classes[label]} {score:.2f}, box by block'))
        for weights, stride in zip(attention, strides, strict=True):
            cell = stride * image.shape[1] / shape[1], stride * image.shape[0] / shape[0]
            panels.append(titled(draw_attention(image, weights[query], cell), f'attention at 1/{stride}'))
    return contact_sheet(panels, 1 + len(attention))


@command
def main(argv=None):
    """Run the command; returns the exit code."""
    check_environment()
    args = build_parser().parse_args(argv)
    import mfdet.register  # noqa: F401
    from mfdet.engine.inference import image_pipeline, load_model
    from mfdet.models import E2EMobileFormer

    image = read_image(args.image)
    model, config, classes = load_model(args.config, args.checkpoint, args.cfg_options)
    if not isinstance(model, E2EMobileFormer):
        raise InputError(f'{args.config} is no end-to-end detector; take one such as configs/e2e_mf508m.py')
    count = model.bbox_head.num_queries
    if args.top < 1:
        raise InputError(f'--top must be at least 1, got {args.top}')
    if args.queries and not set(args.queries) <= set(range(count)):
        raise InputError(f'--queries must be from 0 to {count - 1}, got {" ".join(map(str, args.queries))}')
    data = image_pipeline(config)(dict(img=image, img_id=0))
    data = {name: [value] for name, value in data.items()}
    scores, boxes, attention = observe(model, data)
    best = scores[-1].max(-1).argsort()[::-1][: args.top]
    names = classes or [f'class {i}' for i in range(model.bbox_head.num_classes)]
    used = [
        stride
        for stride, stage in zip(reversed(model.backbone.out_strides), model.bbox_head.stages, strict=True)
        if len(stage)
    ]
    shape = data['data_samples'][0].img_shape
    sheet = picture(image, shape, args.queries or best, scores, boxes, attention, used, names)
    path = os.path.join(args.out, f'{os.path.splitext(os.path.basename(args.image))[0]}_queries.png')
    try:
        os.makedirs(args.out, exist_ok=True)
    except OSError as error:
        raise InputError(f'--out {args.out}: {error.strerror}; name a folder that can be written') from error
    write_file(path, cv2.imencode('.png', sheet)[1])
    print(f'{path}: one row for each query; boxes after each block, then the attention of the last block of each scale')
