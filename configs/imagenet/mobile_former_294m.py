# Mobile-Former-294M as released for ImageNet, to export; there is no training of classifiers here.
model = dict(type='MobileFormerClassifier', arch='294m')
