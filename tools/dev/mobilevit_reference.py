"""Write what MobileViT of transformers computes with weights filled by a fixed rule.

tests/models/test_mobilevit.py compares with the file. Needs transformers, which nothing else does:
pip install "transformers>=4.40,<5" into an environment of its own.
"""

import argparse
import importlib.util
import json
from pathlib import Path

import numpy as np
import torch
from transformers import MobileViTConfig, MobileViTForImageClassification

REFERENCE = Path(__file__).parents[2] / 'tests' / 'models' / 'reference'
CONFIGS = {  # of apple/mobilevit-small, -x-small and -xx-small
    's': dict(hidden_sizes=[144, 192, 240], neck_hidden_sizes=[16, 32, 64, 96, 128, 160, 640]),
    'xs': dict(hidden_sizes=[96, 120, 144], neck_hidden_sizes=[16, 32, 48, 64, 80, 96, 384]),
    'xxs': dict(hidden_sizes=[64, 80, 96], neck_hidden_sizes=[16, 16, 24, 48, 64, 80, 320], expand_ratio=2.0),
}
GAIN = 1.8  # of convolutions: with it the last map still depends on the image, and numbers stay below 10
SHAPES = [(1, 3, 256, 256), (2, 3, 97, 131), (1, 3, 200, 64), (1, 3, 33, 50)]


def sample(tensor, count=8):
    """Return the shape of a tensor, its absolute mean and values at a few places of its flat form."""
    flat = tensor.flatten().double().numpy()
    index = np.linspace(0, len(flat) - 1, count).astype(int)
    value = [float(f'{flat[i]:.8g}') for i in index]
    return dict(
        shape=list(tensor.shape), index=index.tolist(), value=value, absmean=float(f'{np.abs(flat).mean():.8g}')
    )


def main():
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', default=REFERENCE / 'mobilevit' / 'mobilevit.json', type=Path, help='file to write')
    out = parser.parse_args().out
    spec = importlib.util.spec_from_file_location('fill', REFERENCE / 'fill.py')
    fill = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fill)
    variants = {}
    for arch, options in CONFIGS.items():
        model = MobileViTForImageClassification(MobileViTConfig(num_labels=1000, **options)).eval()
        keys = [(name, tuple(value.shape)) for name, value in model.state_dict().items()]
        weights = {name: torch.from_numpy(value) for name, value in fill.state_dict(keys).items()}
        model.load_state_dict({name: GAIN * x if x.ndim == 4 else x for name, x in weights.items()})
        cases = []
        for seed, shape in enumerate(SHAPES):
            with torch.no_grad():
                result = model(torch.from_numpy(fill.image(seed, shape)), output_hidden_states=True)
            maps = [sample(x) for x in result.hidden_states[1:]]  # without that at stride 2
            cases.append(dict(seed=seed, shape=shape, maps=maps, logits=sample(result.logits)))
        variants[arch] = dict(entries=len(keys), cases=cases)
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(variants, separators=(',', ':')) + '\n')
    print(f'{out}: {out.stat().st_size} bytes')


if __name__ == '__main__':
    main()
