"""The classifier of images: the oracle's logits, and dropout in front of its last layer."""

import pytest
import torch

from mmspanet.checkpoints import model_to_authors
from mmspanet.models import SPANetV2ClassifierNeck
from mmspanet.models.classifier import SPANetV2Classifier
from tests.helpers import TINY_HYBRID
from tests.oracle import Oracle


def test_equals_the_oracle():
    """In float64, where the epsilons of the two norms show; the features are small for that."""
    torch.manual_seed(0)
    model = SPANetV2Classifier(TINY_HYBRID, num_classes=7, input_size=64).double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
            if 'neck.fc.' in name:
                parameter.mul_(1e-2)
    image = 1e-2 * torch.randn(2, 3, 72, 56, dtype=torch.float64)
    with torch.no_grad():
        expected = Oracle(model_to_authors(model.state_dict())).logits(image)
        torch.testing.assert_close(model(image), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize('training', [False, True])
def test_dropout_of_the_neck(training):
    torch.manual_seed(0)
    neck = SPANetV2ClassifierNeck(32, dropout=0.5).train(training)
    maps = (torch.randn(4, 32, 3, 3),)
    (found,) = neck(maps)
    (whole,) = neck.eval()(maps)
    kept = found != 0
    torch.testing.assert_close(found[kept], (2 if training else 1) * whole[kept])
    assert 0.3 < kept.float().mean() < 0.7 if training else kept.all()
