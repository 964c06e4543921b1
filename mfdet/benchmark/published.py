"""What authors publish of their detectors on COCO val2017 and classifiers on ImageNet, each figure with its source.

Multiply-adds are given as such: where a source counts FLOPs, two of them are one multiply-add, and ``flops`` keeps the
published number. Sizes differ, and with them cost and AP: 800×1333 has 2.6 times the pixels of 640×640.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Published:
    """A detector as its authors publish it.

    Attributes:
        name: of the detector.
        ap: AP on COCO val2017, in percent.
        shape: (height, width) of the images in pixels.
        source: where the figures stand.
        params: parameters in millions; None if not published.
        madds: multiply-adds in units of 10⁹; None if not published.
        flops: the published number where it counts each multiply-add twice, in units of 10⁹.
        config: config of this project, below ``configs/`` and without ``.py``; None if there is none.
        note: what else is to be known.
    """

    name: str
    ap: float
    shape: tuple
    source: str
    params: float | None = None
    madds: float | None = None
    flops: float | None = None
    config: str | None = None
    note: str = ''


@dataclasses.dataclass(frozen=True)
class PublishedClassifier:
    """A backbone's classifier as its authors publish it.

    Attributes:
        name: of the backbone, as in :data:`mfdet.benchmark.peers.BACKBONES`.
        top1: accuracy on ImageNet's validation images, in percent, of one crop.
        source: where it stands.
        size: side of that crop in pixels.
    """

    name: str
    top1: float
    source: str
    size: int = 224


COCO = (800, 1333)
MOBILE_FORMER = 'Mobile-Former, Chen et al., CVPR 2022 (arXiv 2108.05895), Table '
PVT = 'PVT, Wang et al., ICCV 2021 (arXiv 2102.12122), Table 3'
DETR = 'DETR, Carion et al., ECCV 2020 (arXiv 2005.12872), Table 1'
MOBILEVIT_PAPER = 'MobileViT, Mehta and Rastegari, ICLR 2022 (arXiv 2110.02178)'
MOBILEVIT = f'{MOBILEVIT_PAPER}, Table 1'
MOBILENET_V4 = 'MobileNetV4, Qin et al., ECCV 2024 (arXiv 2404.10518), Table 7'
O365 = 'pre-trained on Objects365'
TWO = 'that its source counts two FLOPs for a multiply-add is judged by the size of the number'


def of_github(path):
    """Return the address of a file or repository."""
    return f'https://github.com/{path}'


def retinanet(arch, ap, params, madds):
    """RetinaNet of Table 8."""
    return Published(
        f'RetinaNet, Mobile-Former-{arch.upper()}',
        ap,
        COCO,
        f'{MOBILE_FORMER}8',
        params,
        madds,
        config=f'retinanet_mf{arch}',
    )


def e2e(arch, ap, params, madds):
    """End-to-end detector of Table 9."""
    name = f'E2E-MF-{arch.upper()}'
    return Published(name, ap, COCO, f'{MOBILE_FORMER}9', params, madds, config=f'e2e_mf{arch}')


def ssdlite(arch, ap, params, source, note=''):
    """SSDLite of MobileViT."""
    name, config = f'SSDLite, MobileViT-{arch.upper()}', f'ssdlite_mobilevit_{arch}'
    return Published(name, ap, (320, 320), source, params, config=config, note=note)


DETECTORS = (
    retinanet('151m', 34.2, 14.4, 161),
    retinanet('214m', 35.8, 15.2, 162),
    retinanet('294m', 36.6, 16.1, 164),
    retinanet('508m', 38.0, 17.9, 168),
    e2e('151m', 37.2, 14.8, 12.7),
    e2e('214m', 39.3, 20.1, 17.8),
    e2e('294m', 40.5, 25.1, 24.1),
    e2e('508m', 43.1, 26.6, 41.4),
    Published('RetinaNet, ShuffleNetV2', 25.9, COCO, f'{MOBILE_FORMER}8', config='peers/retinanet_shufflenetv2'),
    Published('RetinaNet, MobileNetV3', 27.2, COCO, f'{MOBILE_FORMER}8', config='peers/retinanet_mobilenetv3'),
    Published('RetinaNet, ResNet-18', 31.8, COCO, PVT, 21.3, config='peers/retinanet_r18'),
    Published('RetinaNet, ResNet-50', 36.5, COCO, f'{MOBILE_FORMER}8', 37.7, config='peers/retinanet_r50'),
    Published('RetinaNet, PVT-Tiny', 36.7, COCO, PVT, 23.0, config='peers/retinanet_pvt_tiny'),
    Published(
        'RetinaNet, ConT-M', 37.9, (800, 1280), of_github('yan-hao-tian/ConTNet'), 27.0, 217.2, note='no config here'
    ),
    Published(
        'DETR-R50',
        42.0,
        COCO,
        DETR,
        41,
        86,
        config='peers/detr_r50',
        note='published multiply-adds are a mean over 100 images of val2017, smaller than 800×1333',
    ),
    Published(
        'DETR-DC5-R50',
        43.3,
        COCO,
        DETR,
        41,
        187,
        config='peers/detr_dc5_r50',
        note='published multiply-adds are a mean over 100 images of val2017, smaller than 800×1333',
    ),
    ssdlite('xxs', 19.9, 1.8, of_github('apple/ml-cvnets'), note='not in the paper'),
    ssdlite('xs', 24.8, 2.7, MOBILEVIT),
    ssdlite('s', 27.7, 5.7, MOBILEVIT),
    Published('D-FINE-N', 42.8, (640, 640), of_github('Peterande/D-FINE'), 4, 3.5, 7),
    Published('D-FINE-S', 48.5, (640, 640), of_github('Peterande/D-FINE'), 10, 12.5, 25),
    Published('DEIM-D-FINE-N', 43.0, (640, 640), of_github('Intellindust-AI-Lab/DEIM'), 4, 3.5, 7),
    Published('DEIMv2-Atto', 23.8, (320, 320), of_github('Intellindust-AI-Lab/DEIMv2'), 0.5, 0.4, 0.8),
    Published('DEIMv2-Femto', 31.0, (416, 416), of_github('Intellindust-AI-Lab/DEIMv2'), 1.0, 0.85, 1.7),
    Published('DEIMv2-Pico', 38.5, (640, 640), of_github('Intellindust-AI-Lab/DEIMv2'), 1.5, 2.6, 5.2),
    Published('DEIMv2-N', 43.0, (640, 640), of_github('Intellindust-AI-Lab/DEIMv2'), 3.6, 3.4, 6.8),
    Published('RT-DETRv2-S', 48.1, (640, 640), of_github('lyuwenyu/RT-DETR'), 20, 30, 60, note=TWO),
    Published('LW-DETR-tiny', 42.6, (640, 640), of_github('Atten4Vis/LW-DETR'), 12.1, 11.2, note=O365),
    Published(
        'RF-DETR-N',
        48.4,
        (384, 384),
        f'{of_github("roboflow/rf-detr")}; cost: arXiv 2511.09554, Table 2',
        30.5,
        15.95,
        31.9,
        note=f'{O365}; {TWO}',
    ),
    Published('YOLO11n', 39.5, (640, 640), of_github('ultralytics/ultralytics'), 2.6, 3.25, 6.5),
    Published(
        'YOLO26n', 40.9, (640, 640), of_github('ultralytics/ultralytics'), 2.4, 2.7, 5.4, note='40.1 without NMS'
    ),
    Published('RetinaNet (separable), MobileNetV4-Conv-M', 32.6, (384, 384), MOBILENET_V4, 9.79, 5.06),
    Published('RetinaNet (separable), MobileNetV4-Hybrid-M', 34.0, (384, 384), MOBILENET_V4, 11.15, 5.62),
)

TORCHVISION = of_github('pytorch/vision')
CLASSIFIERS = (
    *(
        PublishedClassifier(f'Mobile-Former-{arch}', top1, of_github('AAboys/MobileFormer'))
        for arch, top1 in (
            ('26M', 64.0),
            ('52M', 68.7),
            ('96M', 72.8),
            ('151M', 75.2),
            ('214M', 76.7),
            ('294M', 77.9),
            ('508M', 79.3),
        )
    ),
    PublishedClassifier('ShuffleNetV2', 69.4, 'ShuffleNet V2, Ma et al., ECCV 2018 (arXiv 1807.11164), Table 8'),
    PublishedClassifier('MobileNetV2', 72.0, 'MobileNetV2, Sandler et al., CVPR 2018 (arXiv 1801.04381), Table 4'),
    PublishedClassifier('MobileNetV3-Large', 75.2, 'MobileNetV3, Howard et al., ICCV 2019 (arXiv 1905.02244), Table 3'),
    PublishedClassifier('ResNet-18', 69.8, f'{TORCHVISION}, ResNet18_Weights.IMAGENET1K_V1'),
    PublishedClassifier('ResNet-50', 76.1, f'{TORCHVISION}, ResNet50_Weights.IMAGENET1K_V1'),
    *(
        PublishedClassifier(f'MobileViT-{arch}', top1, f'{MOBILEVIT_PAPER}, section 4.1', 256)
        for arch, top1 in (('XXS', 69.0), ('XS', 74.8), ('S', 78.4))
    ),
)
