"""SPAM and attention of a model in the graph-spectral frame."""

import pytest
import torch

from mmspanet.analysis.inside.mixer_figures import attention_of, draw_attention, draw_spam
from mmspanet.analysis.inside.spam_response import (
    head_responses,
    local_response,
    mixer_inputs,
)
from mmspanet.models import Attention, MixAttention, SPANetV2
from tests.analysis.theory.helpers import assert_rows_are_the_lines

HYBRID = dict(
    depths=(1, 1, 2, 1),
    channels=(8, 16, 32, 64),
    mixers=('SPAM', 'SPAM', 'MixAttention', 'Attention'),
)


@pytest.fixture(scope='module')
def hybrid():
    torch.manual_seed(0)
    return SPANetV2(HYBRID, input_size=64).eval()


@pytest.fixture(scope='module')
def inputs(hybrid):
    return mixer_inputs(hybrid, torch.randn(1, 3, 64, 64))


@pytest.mark.parametrize('kind', [Attention, MixAttention])
def test_attention_of_a_mixer_gives_back_what_it_computes(kind):
    torch.manual_seed(0)
    mixer = kind(64, (5, 6)).double()
    x = 3 * torch.randn(2, 64, 5, 6, dtype=torch.double)
    matrices = torch.from_numpy(attention_of(mixer, x))
    with torch.no_grad():
        qkv = mixer.qkv(x)
        values = qkv[:, 128:].unflatten(1, (2, 32)).flatten(3)  # (B, heads, 32, N)
        expected = mixer._attend(qkv).unflatten(1, (2, 32)).flatten(3)
    torch.testing.assert_close(values @ matrices.transpose(2, 3), expected)


def test_attention_figure_and_none_without_attention(inputs):
    drawing = draw_attention(inputs, 'x')
    assert_rows_are_the_lines(drawing, 'gain')
    assert {(row['stage'], row['block']) for row in drawing.rows} == {(3, 1), (3, 2), (4, 1)}
    assert draw_attention(inputs[:2], 'x') is None


def test_spam_figure(hybrid, inputs):
    local = {(i.stage, i.block): local_response(i.mixer, i.x) for i in inputs}
    drawing = draw_spam(head_responses(hybrid, (64, 64)), local, 'x')
    assert_rows_are_the_lines(drawing, 'relative_gain', 'kept')
    heads = [row for row in drawing.rows if row['curve'] == 'kernel and re-scaling']
    assert {(row['stage'], row['window']) for row in heads} == {
        (stage, k) for stage in (1, 2) for k in (3, 5, 7, 9)
    }


def test_spam_figure_of_a_model_with_attention_alone():
    arch = dict(depths=(1,) * 4, channels=(32,) * 4, mixers=('Attention',) * 4)
    model = SPANetV2(arch, input_size=64).eval()
    inputs = mixer_inputs(model, torch.randn(1, 3, 64, 64))
    local = {(i.stage, i.block): local_response(i.mixer, i.x, probes=1) for i in inputs}
    drawing = draw_spam(head_responses(model, (64, 64)), local, 'x')
    assert [axes.texts[0].get_text() for axes in drawing.figure.axes[:4]] == ['no SPAM'] * 4
    assert {row['curve'] for row in drawing.rows} == {'whole mixer'}
