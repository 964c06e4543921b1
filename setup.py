import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r"__version__ = '(.+)'", (ROOT / 'mfdet' / '__init__.py').read_text())[1]

TRAIN = [
    'torch>=2.4',
    'onedl-mmengine>=0.10.12,<0.11',
    'onedl-mmcv>=2.3.6,<2.4',
    'onedl-mmdetection>=3.5.1,<3.6',
    'pycocotools>=2.0.7',
    'scipy>=1.10',
    'matplotlib>=3.7',
    'rich>=13',
    'safetensors>=0.4',
]
# The configs in the root of a clone are installed as data below the package, where mfdet/engine/find_config.py looks.
CONFIGS = sorted({'.'.join(('mfdet', *path.relative_to(ROOT).parts[:-1])) for path in ROOT.glob('configs/**/*.py')})
EXPORT = [*TRAIN, 'torch>=2.8', 'onnx>=1.16', 'onnxscript>=0.5', 'onnxruntime>=1.18']
INT8 = [*EXPORT, 'openvino>=2024.6', 'nncf>=3']
setup(
    name='mfdet',
    version=VERSION,
    description='Object detection with Mobile-Former',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=[*find_packages(include=['mfdet', 'mfdet.*']), *CONFIGS],
    package_dir={'mfdet.configs': 'configs'},
    package_data={'mfdet.report': ['template.html'], 'mfdet.weights': ['*.safetensors']},
    python_requires='>=3.10,<3.13',
    install_requires=['numpy>=1.24,<3', 'opencv-python-headless>=4.8'],
    extras_require={
        'train': TRAIN,
        'runtime': ['onnxruntime>=1.18'],
        'video': ['trackers>=2.6,<3'],
        'demo': ['gradio>=6.20,<7', 'onnxruntime>=1.18'],
        'faster': ['faster-coco-eval>=1.6'],
        'export': EXPORT,
        'openvino': ['openvino>=2024.6'],
        'int8': INT8,
        'litert': [*TRAIN, 'litert-torch>=0.10,<0.11', 'ai-edge-litert>=2.3,<3', 'ai-edge-quantizer>=0.10,<0.11'],
        'executorch': [*TRAIN, 'executorch>=1.5,<1.6'],
        'coreml': [*TRAIN, 'coremltools>=9,<10'],
        'dev': [
            *INT8,
            'faster-coco-eval>=1.6',
            'hypothesis>=6.100',
            'ipykernel>=6.29',
            'nbclient>=0.10',
            'pytest>=8',
            'pytest-xdist>=3.6',
            'ruff>=0.9',
        ],
    },
    entry_points={'console_scripts': ['mfdet = mfdet.cli:main']},
)
