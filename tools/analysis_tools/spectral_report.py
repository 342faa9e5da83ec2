"""Make one self-contained HTML page about a SPANetV2: spectra, filters, fields, Grad-CAM.

The given model stands beside peers built from config, by default ConvNeXt-T and Swin-T of
MMPretrain. Without checkpoints the weights are random, and the page says so.
"""

import argparse
import datetime
import platform
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from mmengine.device import get_device
from rich.progress import track
from torch import Tensor, nn

import mmspanet
from mmspanet import cli
from mmspanet.analysis import images, plotting
from mmspanet.analysis.inside import (
    feature_spectrum,
    grad_cam,
    modulators,
    receptive_field,
    srf_gain,
)
from mmspanet.analysis.inside.blocks import find_blocks
from mmspanet.analysis.inside.spam_response import (
    depthwise_kernels,
    head_responses,
    local_response,
    mixer_inputs,
)
from mmspanet.analysis.models import RANDOM, Model, build, read_config
from mmspanet.analysis.report import Panel, Row, Section, curve, inline_svg, page, tile
from mmspanet.analysis.theory import sweeps
from mmspanet.analysis.theory.grid import Grid
from mmspanet.checkpoints.publish import file_hash

TEMPLATE = Path(__file__).parent / 'spectral_report.html'
PEERS = (
    'mmpretrain::convnext/convnext-tiny_32xb128_in1k.py',
    'mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py',
)

TORUS = 28  # positions a side, as stage 2 has at 224 pixels
WINDOWS = (3, 5, 7, 9, 13)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path of the config file')
    parser.add_argument('checkpoint', nargs='?', help='path or URL (default: random weights)')
    images.add_image_options(parser, count=64)
    parser.add_argument(
        '--peers',
        nargs='*',
        default=PEERS,
        metavar='MODEL[=CHECKPOINT]',
        help='models to compare with: config, mmpretrain::NAME or timm:NAME (default: ConvNeXt-T '
        'and Swin-T of MMPretrain, random weights)',
    )
    parser.add_argument(
        '--show',
        type=images.at_least_one,
        default=4,
        help='number of images with modulators and Grad-CAM (4)',
    )
    parser.add_argument(
        '--field-images',
        type=images.at_least_one,
        default=8,
        help='images per effective receptive field (8)',
    )
    parser.add_argument(
        '--batch-size', type=images.at_least_one, default=8, help='images at a time (default 8)'
    )
    parser.add_argument('--seed', type=int, default=0, help='seed of random weights')
    parser.add_argument('--device', default=get_device(), help='where to compute')
    parser.add_argument(
        '--out',
        type=Path,
        help='the page (default work_dirs/analysis/CONFIG_report.html)',
    )
    return parser.parse_args()


@dataclass(frozen=True)
class Pictures:
    """The images of a report: where they are and how they are read."""

    paths: Sequence[Path]
    policy: str
    size: int
    device: str

    def stream(self, model: Model, count: int, batch_size: int, said: str) -> Iterator[Tensor]:
        """Normalized batches of ``count`` of the images, with progress."""
        chosen = images.evenly(self.paths, count)
        policy = images.SIZE_POLICIES[self.policy]
        batches = images.batches(chosen, self.size, batch_size, policy)
        steps = -(-len(chosen) // batch_size)
        for batch in track(batches, f'{said}, {model.name}', total=steps):
            yield model.normalize(batch.to(self.device))

    def some(self, count: int) -> list[tuple[str, Tensor]]:
        """Name and pixels, (3, H, W) uint8 RGB, of ``count`` of the images."""
        policy = images.SIZE_POLICIES[self.policy]
        return [
            (f'{path.parent.name}/{path.stem}', images.read_image(path, policy, self.size))
            for path in images.evenly(self.paths, count)
        ]

    def input_of(self, model: Model, picture: Tensor) -> Tensor:
        """One image as the model's input, (1, 3, H, W)."""
        return model.normalize(picture[None].to(self.device))

    def stage_ends(self, model: Model) -> dict[str, nn.Module]:
        """The last block of every stage at these images."""
        image = self.input_of(model, self.some(1)[0][1])
        blocks = find_blocks(model.backbone)
        return receptive_field.stage_ends(model.backbone, blocks, image)


class Drawing:
    """Figures of one section, turned into panels whose SVG ids do not clash."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.count = 0

    def panel(self, figure: Figure, alt: str, kind: str = 'curve') -> Panel:
        self.count += 1
        return Panel(inline_svg(figure, f'{self.key}{self.count}'), alt, kind)


def spectrum_section(
    models: Sequence[Model], pictures: Pictures, args: argparse.Namespace
) -> Section:
    measured = {
        model.title: feature_spectrum.feature_spectrum(
            model.backbone,
            find_blocks(model.backbone),
            pictures.stream(model, args.count, args.batch_size, 'feature spectra'),
        )
        for model in models
    }
    draw = Drawing('features')
    panels = []
    with plotting.style():
        for title, spectra in measured.items():
            figure = curve()
            feature_spectrum.draw_spectra(figure.subplots(), spectra, title)
            panels.append(draw.panel(figure, f'Relative log amplitude by block, {title}'))
        figure = curve()
        feature_spectrum.draw_depth(figure.subplots(), measured)
        panels.append(
            draw.panel(figure, 'Relative log amplitude at the highest frequency by depth')
        )
    return Section(
        'features',
        'Relative log amplitude of the blocks',
        "Natural logarithm of the Fourier amplitude of each block's output, minus its value at "
        'zero frequency, as a mean over channels, images and rings of equal frequency (Park and '
        'Kim, ICLR 2022; they draw the diagonal). Dark curves are early blocks, light ones late. '
        'Steeper curves: less beside the mean, as behind a low-pass filter.',
        'What a block does to its input: the curve is of what arrives, skip connections and '
        'earlier blocks included. Curves of maps of other sizes are not comparable point by '
        'point, for each ends at the Nyquist frequency of its own map. Random weights say what the '
        'architecture does before training and nothing about the trained model.',
        [Row(panels)],
        feature_spectrum.table(measured),
    )


def gain_section(model: Model) -> Section:
    gains = srf_gain.head_gains(model.backbone)
    limit = srf_gain.color_limit(gains)
    draw = Drawing('filters')
    rows = []
    with plotting.style():
        for stage in sorted({gain.stage for gain in gains}):
            own = [gain for gain in gains if gain.stage == stage]
            tiles = []
            for gain in own:
                figure = tile()
                srf_gain.draw_map(figure.subplots(), gain, limit)
                alt = f'Mean gain, stage {stage}, {gain.label}'
                tiles.append(draw.panel(figure, alt, 'tile'))
            rows.append(
                Row(tiles, f'Stage {stage}, maps of {" x ".join(map(str, own[0].gain.shape))}')
            )
        profiles = []
        for stage in sorted({gain.stage for gain in gains}):
            figure = curve()
            axes = figure.subplots()
            srf_gain.draw_profiles(axes, [gain for gain in gains if gain.stage == stage])
            axes.legend()
            profiles.append(draw.panel(figure, f'Mean gain by frequency, stage {stage}'))
        rows.append(Row(profiles, 'Means over rings of equal frequency'))
    return Section(
        'filters',
        'Gains of the spectral re-scaling filters',
        'What each filter multiplies a frequency by, as a mean over the channels of a head and the '
        'blocks of a stage; zero frequency is in the middle, axes are in cycles per position. All '
        f'gains start at 0.5: white in the maps; orange is more, purple less, at most {limit:.4f} '
        'away from it.',
        'The whole mixer: a convolution precedes the filter, and the modulator it feeds multiplies '
        'a query. A mean near 0.5 can hide channels that differ.',
        rows,
        srf_gain.table(gains),
    )


def modulator_section(model: Model, pictures: Pictures, count: int) -> Section:
    draw = Drawing('modulators')
    names, rows, maps = [], [], []
    with plotting.style():
        for name, picture in track(pictures.some(count), 'modulators'):
            x = pictures.input_of(model, picture)
            own = modulators.modulator_maps(model.backbone, x)
            figure = tile()
            modulators.draw_picture(figure.subplots(), picture, name)
            tiles = [draw.panel(figure, f'Image {name}', 'tile')]
            for modulator in own:
                figure = tile()
                axes = figure.subplots()
                image = modulators.draw_map(axes, modulator)
                figure.colorbar(image, ax=axes, location='bottom', shrink=0.8)
                alt = f'Modulator of stage {modulator.stage} over {name}'
                tiles.append(draw.panel(figure, alt, 'tile'))
            names.append(name)
            rows.append(Row(tiles))
            maps.append(own)
    return Section(
        'modulators',
        'Modulators over images',
        'The modulator m of y = Wo (q * m) in the last SPAM block of each stage: its root mean '
        'square over the channels at every position, each map on its own color scale.',
        'What is passed on: sign, channel and query decide, too.',
        rows,
        modulators.table(names, maps),
    )


def field_section(models: Sequence[Model], pictures: Pictures, count: int) -> Section:
    draw = Drawing('fields')
    rows, measured = [], {}
    with plotting.style():
        for model in models:
            ends = pictures.stage_ends(model)
            stream = pictures.stream(model, count, 1, 'receptive fields')
            fields = receptive_field.receptive_fields(model.backbone, ends, stream)
            tiles = []
            for number in fields:
                figure = tile()
                receptive_field.draw_field(figure.subplots(), number, f'stage {number.stage}')
                alt = f'Effective receptive field, {model.title}, stage {number.stage}'
                tiles.append(draw.panel(figure, alt, 'tile'))
            rows.append(Row(tiles, model.title))
            measured[model.title] = fields
    return Section(
        'fields',
        'Effective receptive fields',
        'How strongly the central position at the end of a stage answers to each part of the '
        'image: size of the gradient (Luo et al., NeurIPS 2016), averaged over images and random '
        'signs of the channels, over cells of 4 pixels. Logarithmic colors: yellow is the '
        'largest, dark blue a ten-thousandth of it. Above each: the smallest part of the image '
        'that holds half of the squared gradient.',
        'Which content is used: it is a linear approximation at these images. With random weights '
        'it shows the architecture alone.',
        rows,
        receptive_field.table(measured),
    )


def cam_section(model: Model, pictures: Pictures, count: int) -> Section:
    title = 'Grad-CAM'
    if not model.is_classifier or model.weights == RANDOM:
        why = 'the weights are random' if model.is_classifier else 'the model is no classifier'
        return Section('grad_cam', title, f'Left out: {why}.')
    draw = Drawing('cams')
    ends = pictures.stage_ends(model)
    names, rows, cams = [], [], []
    with plotting.style():
        for name, picture in track(pictures.some(count), 'Grad-CAM'):
            x = pictures.input_of(model, picture)
            own = [grad_cam.grad_cam(model, layer, x) for layer in ends.values()]
            figure = tile()
            said = f'{name}\n{grad_cam.prediction(own[0])}'
            modulators.draw_picture(figure.subplots(), picture, said)
            tiles = [draw.panel(figure, f'Image {name}', 'tile')]
            for number, cam in enumerate(own, 1):
                figure = tile()
                grad_cam.draw_cam(figure.subplots(), picture, cam, f'stage {number}')
                tiles.append(draw.panel(figure, f'Grad-CAM of stage {number} over {name}', 'tile'))
            names.append(name)
            rows.append(Row(tiles))
            cams.append(own)
    return Section(
        'grad_cam',
        title,
        'Where the end of each stage holds evidence for the predicted class (Selvaraju et al., '
        'ICCV 2017; the usual choice is the last stage). Light is the largest value of a map, dark '
        'none.',
        'How much evidence: every map is scaled to its own largest value. Maps of the last stage '
        'have few positions and are drawn smooth.',
        rows,
        grad_cam.table(names, list(ends), cams),
    )


def window_sections(model: Model, seed: int) -> list[Section]:
    """The argument: response against window size, and with signs; the model's kernels beside."""
    rng, grid = np.random.default_rng(seed), Grid(TORUS, TORUS, periodic=True)
    unsigned, signed = (
        sweeps.convolution_sweep(grid, WINDOWS, 200, rng, signs) for signs in (False, True)
    )
    every = (*WINDOWS, TORUS + 1)  # the first odd window that reaches all nodes
    attention = sweeps.attention_sweep(grid, track(every, 'attention'), 5, rng)
    sharp = sweeps.attention_sweep(grid, track(every, 'sharp attention'), 5, rng, 4)
    kernels = depthwise_kernels(model.backbone)
    learned = {k: kernels[k] for k in kernels if k in WINDOWS}
    windows = sweeps.draw_windows(grid, unsigned, attention, sharp)
    signs = sweeps.draw_signs(grid, unsigned, signed, learned, model.title)
    return [
        wide_section(
            'windows',
            'Window size: convolution and self-attention as operators on a grid graph',
            f'Gain by frequency of random operators on a torus of {TORUS} x {TORUS} positions, '
            'and their mean gain above half Nyquist, for windows of k x k positions. One frame for '
            'both: the positions are nodes, a window is connectivity. Attention scatters a part '
            'of what it gets to other frequencies; its filter part is the rest.',
            'A trained network. The construction is ours; the paper does not spell out its own.',
            *windows,
        ),
        wide_section(
            'signs',
            'Signs of the weights',
            'The same for convolutions with non-negative and with signed weights, and below their '
            'high-pass share: the mean squared gain above half Nyquist over the sum of it and the '
            'mean below, 0.5 for the identity. Averages pass low frequencies, whatever the window; '
            "random signs pass all alike. In purple the model's own depthwise kernels. Bands hold "
            '90 % of the kernels.',
            'What the rest of a block does to the spectrum.',
            *signs,
        ),
    ]


def mixer_sections(model: Model, pictures: Pictures, seed: int) -> list[Section]:
    """SPAM and attention of the model in the same frame, at one image."""
    heads = head_responses(model.backbone, (pictures.size, pictures.size))
    name, picture = pictures.some(1)[0]
    inputs = mixer_inputs(model.backbone, pictures.input_of(model, picture))
    local = {
        (item.stage, item.block): local_response(item.mixer, item.x, seed=seed)
        for item in track(inputs, 'mixers at an image')
    }
    sections = [
        wide_section(
            'spam',
            'SPAM in the same frame',
            'Above, gain by frequency of the context path of each head: its convolution, then its '
            're-scaling filter; the mean over channels and blocks of a stage. Below, the whole '
            f'mixer for small changes of its input at the image {name}: gain, and the share of '
            'the answer that keeps its frequency.',
            'Large changes of the input: the mixer is not linear. The construction is ours.',
            *sweeps.draw_spam(heads, local),
        )
    ]
    attention = sweeps.draw_attention(inputs)
    if attention:
        shows = f"Gain by frequency of each head's attention matrix at the image {name}, per block."
        shows_not = 'What the values hold: the matrix alone is looked at.'
        title = 'Attention in the same frame'
        sections.append(wide_section('attention', title, shows, shows_not, *attention))
    return sections


def wide_section(
    key: str, title: str, shows: str, shows_not: str, figure: Figure, table: sweeps.Rows
) -> Section:
    """A section of one figure of page width."""
    panel = Drawing(key).panel(figure, title, 'wide')
    return Section(key, title, shows, shows_not, [Row([panel])], table)


def facts(
    args: argparse.Namespace, models: Sequence[Model], pictures: Pictures
) -> list[tuple[str, str]]:
    """What was measured on what, as the page says it."""
    model = models[0]
    weights = model.weights
    if args.checkpoint and Path(args.checkpoint).is_file():
        weights = f'{args.checkpoint} (sha256 {file_hash(Path(args.checkpoint))[:12]}...)'
    sides = f'{pictures.size} x {pictures.size} pixels ({args.policy})'
    libraries = ', '.join(f'{name} {version(name)}' for name in ('torch', 'numpy', 'matplotlib'))
    return [
        ('Model', args.config),
        ('Weights', weights),
        *((f'Beside it: {peer.name}', peer.weights) for peer in models[1:]),
        ('Images', f'{len(pictures.paths)} of {args.images or "the test data set"}, {sides}'),
        ('Made', f'{datetime.date.today()} by mmspanet {mmspanet.__version__}, {libraries}, '
         f'Python {platform.python_version()}'),
        ('Command', shlex.join(['python', *sys.argv])),
    ]  # fmt: skip


def main() -> None:
    args = parse_args()
    paths = images.chosen_images(args, read_config(args.config))
    model = build(args.config, args.checkpoint, args.seed)
    size = args.size or model.input_size
    specs = [spec.partition('=') for spec in args.peers]
    peers = [build(path, weights or None, args.seed, size) for path, _, weights in specs]
    models = [model, *peers]
    for each in models:
        each.network.to(args.device)
    pictures = Pictures(paths, args.policy, size, args.device)
    sections = [
        *window_sections(model, args.seed),
        *mixer_sections(model, pictures, args.seed),
        spectrum_section(models, pictures, args),
        gain_section(model),
        modulator_section(model, pictures, args.show),
        field_section(models, pictures, args.field_images),
        cam_section(model, pictures, args.show),
    ]
    out = args.out or Path('work_dirs/analysis') / f'{Path(args.config).stem}_report.html'
    out.parent.mkdir(parents=True, exist_ok=True)
    told = facts(args, models, pictures)
    out.write_text(page(TEMPLATE.read_text(), f'Inside {model.title}', told, sections))
    print(f'{out} ({out.stat().st_size / 1e6:.1f} MB)')


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
