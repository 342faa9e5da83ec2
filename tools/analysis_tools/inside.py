"""Look inside a SPANetV2: its filters' gains, modulators, receptive fields and Grad-CAM.

Writes, each as .png, .svg and .csv: srf_gains (mean gain of the re-scaling filters by stage and
head), modulators (over some images), receptive_field (of the end of each stage) and, with a
checkpoint, grad_cam: of a classifier's class, a detector's boxes or a segmentor's regions. Without
a checkpoint the weights are random.
"""

import argparse

from mmspanet import cli

CAM_METHODS = ('grad-cam', 'hires-cam', 'layer-cam')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path of the config file')
    parser.add_argument('checkpoint', nargs='?', help='path or URL (default: random weights)')
    cli.add_image_options(parser, count=16)
    parser.add_argument(
        '--show',
        type=cli.positive_int,
        default=4,
        help='number of images with modulators and Grad-CAM (4)',
    )
    parser.add_argument(
        '--cam-layer',
        help='path in the backbone of the layer for Grad-CAM (default: the end of each stage)',
    )
    parser.add_argument(
        '--cam',
        choices=CAM_METHODS,
        help='method (default: grad-cam for a class, hires-cam for boxes and regions)',
    )
    parser.add_argument(
        '--per-image',
        type=cli.positive_int,
        default=1,
        help='boxes, regions or classes of each image that Grad-CAM explains (1)',
    )
    cli.add_seed_option(parser)
    cli.add_device_option(parser)
    cli.add_out_dir_option(parser, 'work_dirs/analysis')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from mmspanet.analysis import plotting
    from mmspanet.analysis.inside import studies
    from mmspanet.analysis.subject import make_subjects

    (subject,) = make_subjects(
        [(args.config, args.checkpoint)],
        args.images,
        args.count,
        args.policy,
        args.size,
        args.seed,
        args.device,
    )
    drawings = [
        studies.filter_gains(subject),
        studies.modulators_over_images(subject, args.show),
        studies.receptive_fields([subject], args.count),
    ]
    reason = studies.why_no_grad_cam(subject)
    if reason is None:
        drawings.append(
            studies.class_activations(subject, args.show, args.cam_layer, args.cam, args.per_image)
        )
    else:
        print(f'no Grad-CAM: {reason}')
    print(f'{subject.model.name}, {subject.model.weights}')
    for drawing in drawings:
        with plotting.style():
            drawing.figure.suptitle(subject.model.title)
        for path in drawing.save(args.out_dir):
            print(path)


if __name__ == '__main__':
    with cli.one_line_errors():
        main()
