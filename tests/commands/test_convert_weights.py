import torch

from mfdet.commands.convert_weights import main
from mfdet.models import MobileFormerClassifier, MobileViTClassifier
from mfdet.weights import convert_to_mobilevit, convert_to_official


def test_converts_the_released_form(tmp_path, capsys):
    model = MobileFormerClassifier('52m', num_classes=9)
    released = {f'module.{name}': value for name, value in convert_to_official(model.state_dict()).items()}
    src, dst = tmp_path / 'mobile-former-52m.pth.tar', tmp_path / 'out.pth'
    torch.save({'state_dict': released, 'epoch': 449}, src)
    assert main([str(src), str(dst)]) == 0
    assert 'Mobile-Former 52m, 9 classes' in capsys.readouterr().out
    content = torch.load(dst, weights_only=True)
    assert content['meta'] == {'arch': '52m', 'num_classes': 9}
    MobileFormerClassifier('52m', num_classes=9).load_state_dict(content['state_dict'])


def test_converts_mobilevit_as_transformers_stores_it(tmp_path, capsys):
    model = MobileViTClassifier('xxs', num_classes=9)
    src, dst = tmp_path / 'pytorch_model.bin', tmp_path / 'out.pth'
    torch.save(convert_to_mobilevit(model.state_dict()), src)
    assert main([str(src), str(dst)]) == 0
    assert 'MobileViT xxs, 9 classes' in capsys.readouterr().out
    content = torch.load(dst, weights_only=True)
    assert content['meta'] == {'arch': 'xxs', 'num_classes': 9}
    model.load_state_dict(content['state_dict'])


def test_mistakes_write_nothing(tmp_path, capsys):
    dst = tmp_path / 'out.pth'
    weights = convert_to_official(MobileFormerClassifier('26m', num_classes=9).state_dict())
    src = tmp_path / 'src.pth'
    for change, says in (
        (dict(tokens=torch.zeros(1)), "unknown entry 'tokens'"),
        ({'stem.0.weight': torch.zeros(1)}, "'backbone.stem.conv.weight' has shape (1,), expected (8, 3, 3, 3)"),
        (None, 'not in the released layout'),
    ):
        torch.save({**weights, **change} if change else {'a': torch.zeros(1)}, src)
        assert main([str(src), str(dst)]) == 2
        error = capsys.readouterr().err
        assert says in error
        assert 'src.pth' in error
        assert not dst.exists()
    torch.save(weights, src)
    assert main([str(src), str(tmp_path / 'nowhere' / 'out.pth')]) == 2
