"""The page: upload an image or a video, see what a model says of it, and what that rests on."""

import io
import json
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import gradio as gr
import numpy as np
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from mmspanet.analysis import plotting
from mmspanet.analysis.images import Picture
from mmspanet.analysis.inside import ablations, grad_cam, modulators, srf_gain
from mmspanet.analysis.inside.blocks import find_blocks, stage_ends
from mmspanet.analysis.inside.findings import findings
from mmspanet.analysis.plotting import Drawing
from mmspanet.errors import CheckpointError, InputError
from mmspanet.media import IMAGES, VIDEOS

from .models import Models, Shown
from .results import LOWEST_SCORE, Result, difference, predict, table
from .uploads import MOST_BYTES, MOST_FRAMES, Upload, frame_rate

KEPT_SECONDS = 3600  # uploads and results, from their last use
KEPT_SESSIONS = 32  # whose results stay in memory: a segmentor's of a video take 120 MB
MOST_WAITING = 50  # users in the queue; who comes later is asked to try again
EXPLAINED = 3  # boxes, regions or classes that Grad-CAM explains
SMALLEST_VIEW = 512  # pixels of the longer side; smaller pictures are enlarged for the page

CSS = """
#said {color: var(--error-text-color, #b91c1c); font-weight: 600}
#examples .grid-wrap {min-height: 0 !important; height: auto !important}
#examples .grid-container {grid-template-columns: repeat(4, 1fr) !important; padding-top: 0}
#examples .thumbnail-lg {width: 100% !important; height: auto !important; aspect-ratio: 1}
footer {display: none !important}
"""


@dataclass(frozen=True)
class Seen:
    """What one user sees.

    Attributes:
        upload: The file.
        run: Name of the model's run.
        results: What the model said of the image, or of each frame.
    """

    upload: Upload
    run: str
    results: Sequence[Result]


def upload_box(**options: Any) -> gr.File:
    """A file that a browser sends; the server fetches none.

    Args:
        options: As of gradio's File, of which a class of ours would write a stub beside this file.
    """
    box = gr.File(**options)
    take = box.async_move_resource_to_block_cache

    async def take_file(url_or_file_path: Any) -> str | None:
        if str(url_or_file_path).lower().startswith(('http://', 'https://')):
            raise gr.Error('Upload a file: addresses are not fetched.')
        return await take(url_or_file_path)

    box.async_move_resource_to_block_cache = take_file  # type: ignore[method-assign]
    return box


class Handlers:
    """What the page's controls do. Nothing of a user is kept here: see :class:`Seen`.

    Args:
        models: What can be chosen.
    """

    def __init__(self, models: Models) -> None:
        self.models = models

    def predict(self, file: str | None, run: str, score: float) -> list[Any]:
        """Run a model on a file: what the user sees, and the contents of the tab."""
        if file is None:
            raise InputError('Choose an image or a video first.')
        upload = Upload(Path(file))
        with self.models.lock:
            predictor = self.models.get(run).predictor
            seen = Seen(upload, run, [predict(predictor, image) for image in upload.images()])
        return [seen, *self.redraw(seen, score)]

    def redraw(self, seen: Seen | None, score: float) -> list[Any]:
        """Draw what reaches a score, without a forward pass."""
        if seen is None:
            return [None] * 5
        upload = seen.upload
        with self.models.lock:
            predictor = self.models.get(seen.run).predictor
            images = list(upload.images())
            drawn = [
                result.show(predictor, image, score)
                for result, image in zip(seen.results, images, strict=True)
            ]
            view = seen.results[0].view(predictor, images[0], score, SMALLEST_VIEW)
        record: Any = dict(file=upload.path.name, model=seen.run, lowest_score=score)
        if upload.is_video:
            rate = frame_rate(upload.path)
            content = _encode([prediction.picture for prediction in drawn], rate)
            saved = _keep(content, f'{upload.path.stem}.webm')
            record |= dict(fps=rate, frames=[prediction.record for prediction in drawn])
        else:
            content = cv2.imencode('.png', drawn[0].picture)[1].tobytes()
            saved = _keep(content, f'{upload.path.stem}.png')
            record |= drawn[0].record
        return [
            gr.update(value=None if upload.is_video else view, visible=not upload.is_video),
            gr.update(value=saved if upload.is_video else None, visible=upload.is_video),
            table(drawn[0], score),
            saved,
            _keep(json.dumps(record).encode(), f'{upload.path.stem}.json'),
        ]

    def modulators(self, seen: Seen | None) -> list[Any]:
        """Where each stage lets its query pass."""
        with self._first(seen) as (shown, image, _):
            x = shown.predictor.network_input(image)
            maps = modulators.modulator_maps(shown.inside.network, x)
            return [_drawn(modulators.draw_modulators([_picture_of(shown, x)], [maps]))]

    def gains(self, run: str) -> list[Any]:
        """What each filter lets pass, whatever the image is."""
        with self.models.lock:
            network = self.models.get(run).inside.network
            return [_drawn(srf_gain.draw_gains(srf_gain.head_gains(network)))]

    def evidence(self, seen: Seen | None, method: str) -> list[Any]:
        """Grad-CAM or its kin of the surest boxes, the largest regions or the likeliest classes."""
        with self._first(seen) as (shown, image, _):
            x = shown.predictor.network_input(image)
            backbone = shown.inside.backbone
            ends = stage_ends(backbone, find_blocks(backbone), x)
            picture = _picture_of(shown, x)
            rows = [
                grad_cam.Explained(
                    picture,
                    [grad_cam.grad_cam(finding, end, x, method) for end in ends.values()],
                )
                for finding in findings(shown.inside, x, EXPLAINED)
            ]
            if not rows:
                raise InputError('Nothing was detected in the image: there is nothing to explain.')
            return [_drawn(grad_cam.draw_cams(list(ends), rows))]

    def without_band(self, seen: Seen | None, low: float, high: float, score: float) -> list[Any]:
        """What the model says of the image without a band of frequencies."""
        with self._first(seen) as (shown, image, before):
            changed = ablations.without_band(image, low, high)
            after = predict(shown.predictor, changed)
            return _compared(shown, (before, image), (after, changed), score)

    def without_head(
        self, seen: Seen | None, stage: int, head: int, how: str, score: float
    ) -> list[Any]:
        """What the model says with one head's filter switched off."""
        with self._first(seen) as (shown, image, before):
            with ablations.head_switched_off(shown.inside.network, stage, head, how):
                after = predict(shown.predictor, image)
            return _compared(shown, (before, image), (after, image), score)

    @contextmanager
    def _first(self, seen: Seen | None) -> Iterator[tuple[Shown, np.ndarray, Result]]:
        """The model, the image or first frame, and what was said of it."""
        if seen is None:
            raise InputError('Choose an image or a video first.')
        with self.models.lock:
            image = next(iter(seen.upload.images()))
            yield self.models.get(seen.run), image, seen.results[0]


def _compared(
    shown: Shown, old: tuple[Result, np.ndarray], new: tuple[Result, np.ndarray], score: float
) -> list[Any]:
    pictures = [
        result.view(shown.predictor, image, score, SMALLEST_VIEW) for result, image in (old, new)
    ]
    return [difference(old[0], new[0], shown.classes, score), *pictures]


def _picture_of(shown: Shown, x: Any) -> Picture:
    """The image as the network gets it."""
    return Picture('the input', shown.inside.normalize.pixels(x)[0].cpu())


def _drawn(drawing: Drawing) -> str:
    """A drawing as a PNG file."""
    png = io.BytesIO()
    with plotting.style():
        drawing.figure.savefig(png, format='png')
    return _keep(png.getvalue(), f'{drawing.name}.png')


def _keep(content: bytes, name: str) -> str:
    """Write a file to the server's temporary folder; its path has a hash of the content."""
    return save_bytes_to_cache(content, name, get_upload_folder())


def _encode(pictures: Sequence[np.ndarray], rate: float) -> bytes:
    """A video that browsers play (VP8 in WebM, which OpenCV's wheels can write)."""
    with tempfile.TemporaryDirectory(dir=get_upload_folder()) as folder:
        path = Path(folder) / 'video.webm'
        size = pictures[0].shape[1::-1]
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'VP80'), rate, size)
        for picture in pictures:
            writer.write(picture)
        writer.release()
        return path.read_bytes()


def _saying(handler: Callable[..., list[Any]], outputs: int) -> Callable[..., list[Any]]:
    """Have a handler begin its answer with a sentence: empty, or what went wrong."""

    def run(*inputs: Any) -> list[Any]:
        try:
            return ['', *handler(*inputs)]
        except (InputError, CheckpointError) as error:
            said = str(error)
        except Exception as error:  # of a library, at one user's image: the page goes on
            traceback.print_exc()
            said = f'The model can not do this: {type(error).__name__}.'
        return [said, *[None] * outputs]

    return run


def _image(label: str, name: str) -> gr.Image:
    return gr.Image(
        label=label,  # for screen readers
        show_label=False,
        format='png',
        interactive=False,
        buttons=['fullscreen'],
        elem_id=name,
        elem_classes='picture',
    )


def build(models: Models, examples: Sequence[Path]) -> gr.Blocks:
    """Make the page.

    Args:
        models: What can be chosen.
        examples: Images that are shown to begin with.
    """
    handlers = Handlers(models)
    names = list(models.runs)
    # One at a time, in the order of the queue: a model does not answer two users at once.
    turn: dict[str, Any] = dict(concurrency_limit=1, concurrency_id='model')
    with gr.Blocks(
        title='SPANetV2', analytics_enabled=False, delete_cache=(600, KEPT_SECONDS)
    ) as page:
        gr.Markdown(
            f'# SPANetV2\nChoose an image or a short video, up to {MOST_BYTES >> 20} MB; of a '
            f'video the first {MOST_FRAMES} frames count.'
        )
        seen = gr.State(time_to_live=KEPT_SECONDS)
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                run = gr.Dropdown(
                    names, value=names[0], label='Model', visible=len(names) > 1, elem_id='run'
                )
                file = upload_box(
                    label='Image or video',
                    file_types=[*IMAGES, *VIDEOS],
                    height=140,
                    elem_id='file',
                )
                score = gr.Slider(
                    LOWEST_SCORE, 1, value=0.5, step=0.01, label='Lowest score', elem_id='score'
                )
                gr.Markdown('Or choose an example:')
                gallery = gr.Gallery(
                    [str(path) for path in examples],
                    show_label=False,
                    columns=4,
                    height='auto',
                    object_fit='cover',
                    allow_preview=False,
                    interactive=False,
                    buttons=[],
                    elem_id='examples',
                )
            with gr.Column(scale=3, min_width=300):
                said = gr.Markdown(elem_id='said')
                with gr.Tab('Prediction'):
                    picture = _image('What the model says', 'picture')
                    video = gr.Video(
                        label='What the model says', visible=False, buttons=[], elem_id='video'
                    )
                    found = gr.Dataframe(
                        headers=['class', 'score or share'],
                        datatype=['str', 'number'],
                        interactive=False,
                        label='What was found (of a video: in its first frame)',
                        max_height=260,
                        buttons=[],
                        elem_id='found',
                    )
                    with gr.Row():
                        save_picture = gr.DownloadButton('Save the picture', elem_id='save_picture')
                        save_record = gr.DownloadButton('Save as JSON', elem_id='save_record')
                drawings = [picture, video, found, save_picture, save_record]
                tabs = Tabs(handlers, seen, run, score, said, turn)

        # What the other tabs show is of the file before.
        def clear_tabs() -> list[None]:
            return [None] * len(tabs.outputs)

        outputs = [said, seen, *drawings]
        inputs = [file, run, score]
        predicting = _saying(handlers.predict, len(outputs) - 1)
        paths = [str(path) for path in examples]

        def choose(chosen: gr.SelectData) -> str:
            return paths[chosen.index]

        for chain in (
            file.upload(predicting, inputs, outputs, api_name='predict', **turn),
            run.input(predicting, inputs, outputs, **turn),
            gallery.select(choose, None, file, queue=False).then(
                predicting, inputs, outputs, **turn
            ),
        ):
            chain.then(clear_tabs, None, tabs.outputs, queue=False, show_progress='hidden')
        file.clear(lambda: ['', *[None] * 6], None, outputs, queue=False)
        score.change(
            _saying(handlers.redraw, len(drawings)),
            [seen, score],
            [said, *drawings],
            trigger_mode='always_last',
            api_name='redraw',
            **turn,
        )
    return page.queue(max_size=MOST_WAITING)


class Tabs:
    """The tabs beside the prediction, each with a button that fills it.

    Attributes:
        outputs: What they show.
    """

    def __init__(
        self,
        handlers: Handlers,
        seen: gr.State,
        run: gr.Dropdown,
        score: gr.Slider,
        said: gr.Markdown,
        turn: dict[str, Any],
    ) -> None:
        self.said = said
        self.turn = turn
        self.outputs: list[Any] = []
        with gr.Tab('Modulators'):
            gr.Markdown('Where each stage lets its query pass: the size of the modulator.')
            button = gr.Button('Draw the modulators', elem_id='draw_modulators')
            self._fill(button, handlers.modulators, [seen], [_image('Modulators', 'modulators')])
        with gr.Tab('Filters'):
            gr.Markdown('What each spectral filter multiplies a frequency by, whatever the image.')
            button = gr.Button('Draw the gains', elem_id='draw_gains')
            self._fill(button, handlers.gains, [run], [_image('Gains by frequency', 'gains')])
        with gr.Tab('Evidence'):
            gr.Markdown('Where the stages hold evidence for boxes, regions or classes (Grad-CAM).')
            method = gr.Radio(list(grad_cam.METHODS), value='hires-cam', label='Method')
            button = gr.Button('Draw the evidence', elem_id='draw_evidence')
            self._fill(button, handlers.evidence, [seen, method], [_image('Evidence', 'evidence')])
        with gr.Tab('Without a band'):
            gr.Markdown('Take a band of frequencies out of the image, and see what is said then.')
            with gr.Row():
                low = gr.Slider(0, 1, 0.5, step=0.05, label='From (1 is Nyquist)', elem_id='low')
                high = gr.Slider(0, 1, 1, step=0.05, label='To', elem_id='high')
            button = gr.Button('Predict without the band', elem_id='take_band')
            self._compare(button, handlers.without_band, [seen, low, high, score], 'band')
        with gr.Tab('Without a head'):
            gr.Markdown("Switch one head's filter off in a stage, and see what is said then.")
            with gr.Row():
                stage = gr.Dropdown([1, 2, 3, 4], value=1, label='Stage', elem_id='stage')
                head = gr.Dropdown([1, 2, 3, 4], value=1, label='Head', elem_id='head')
            how = gr.Radio(
                [(f'{name}: {left}', name) for name, left in ablations.OFF.items()],
                value='flat',
                label='What is left of the filter',
            )
            button = gr.Button('Predict without the filter', elem_id='take_head')
            self._compare(button, handlers.without_head, [seen, stage, head, how, score], 'head')

    def _fill(self, button: gr.Button, handler: Any, inputs: list, outputs: list) -> None:
        saying = _saying(handler, len(outputs))
        button.click(saying, inputs, [self.said, *outputs], **self.turn)
        self.outputs += outputs

    def _compare(self, button: gr.Button, handler: Any, inputs: list, name: str) -> None:
        answer = gr.Markdown(elem_id=f'{name}_answer')
        with gr.Row():
            before, after = _image('Before', f'{name}_before'), _image('After', f'{name}_after')
        self._fill(button, handler, inputs, [answer, before, after])


def launch(
    models: Models, examples: Sequence[Path], host: str, port: int, root_path: str | None
) -> None:
    """Serve the page until the process is interrupted.

    Args:
        models: See :func:`build`.
        examples: See :func:`build`.
        host: Address to listen on.
        port: Port to listen on.
        root_path: Path at which a reverse proxy shows the page; None without one.

    Raises:
        InputError: If the port is taken.
    """
    theme = gr.themes.Default(  # with fonts of the system: no request to another host
        font=['system-ui', 'sans-serif'], font_mono=['ui-monospace', 'monospace']
    )
    page = build(models, examples)
    try:
        page.launch(
            server_name=host,
            server_port=port,
            root_path=root_path,
            max_file_size=MOST_BYTES,
            state_session_capacity=KEPT_SESSIONS,
            share=False,
            quiet=True,
            ssr_mode=False,
            footer_links=[],
            theme=theme,
            css=CSS,
            prevent_thread_lock=True,
        )
    except OSError as error:
        raise InputError(f'{host}:{port} can not be listened on: choose another --port.') from error
    print(f'The page is at http://{host}:{port}: Ctrl+C ends it.', flush=True)
    page.block_thread()
