"""What an exported file says about its graph."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mmspanet.errors import InputError
from mmspanet.runtime.resize import Resize, Size, pair

TASKS = ('detection', 'segmentation', 'classification')


@dataclass(frozen=True)
class Window:
    """Sliding windows of a segmentor.

    Attributes:
        crop: Height and width of a window in pixels.
        stride: From one window to the next, down and to the right, in pixels.
    """

    crop: Size
    stride: Size

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> 'Window':
        """Read what the metadata of a file has.

        Raises:
            KeyError: If one of the attributes is missing.
            ValueError: If they are no sizes, or the stride leaves gaps between windows.
        """
        crop, stride = pair(record['crop']), pair(record['stride'])
        if stride[0] > crop[0] or stride[1] > crop[1]:
            raise ValueError(f'a stride of {stride} leaves gaps between windows of {crop}')
        return cls(crop, stride)


@dataclass(frozen=True)
class Notes:
    """The metadata of a file of ``tools/deployment/export.py --end2end``.

    Attributes:
        task: ``detection``, ``segmentation`` or ``classification``.
        classes: Names of the classes, in the order of their indexes; may be empty.
        palette: RGB colors of the classes; may be empty.
        resize: What the config's test pipeline does before the graph.
        size: Height and width of a graph of fixed size, else None.
        batch: Number of images of a graph of fixed batch, else None.
        window: Of a segmentor that slides, else None.
        mask_threshold: Lowest probability of a pixel of a mask.
        precision: ``fp32``, ``fp16`` or ``int8``.
        config: File name of the model's config.
    """

    task: Literal['detection', 'segmentation', 'classification']
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    resize: Resize
    size: Size | None
    batch: int | None
    window: Window | None
    mask_threshold: float
    precision: str
    config: str

    @classmethod
    def of(cls, metadata: Mapping[str, str], path: object) -> 'Notes':
        """Read a file's metadata.

        Args:
            metadata: The notes by name, as text.
            path: The file's, for the message.

        Raises:
            InputError: If the file is not of an ``--end2end`` export, or its notes are damaged.
        """
        if metadata.get('part') != 'end2end' or metadata.get('task') not in TASKS:
            raise InputError(f'{path} is no whole model: export it with export.py --end2end.')
        try:
            return cls._parsed(metadata)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f'The metadata of {path} can not be read ({type(error).__name__}: {error}): '
                'export it anew.'
            ) from error

    @classmethod
    def _parsed(cls, metadata: Mapping[str, str]) -> 'Notes':
        def read(name: str) -> Any:
            text = metadata.get(name)
            return None if text in (None, '', 'None') else json.loads(text)

        size, window, batch = read('size'), read('window'), read('batch')
        if batch is not None and (type(batch) is not int or batch < 1):
            raise ValueError(f'{batch} is no number of images')
        if metadata.get('channels', 'BGR') != 'BGR':
            raise ValueError(f'channels are {metadata["channels"]}, not BGR')
        return cls(
            task=metadata['task'],  # type: ignore[arg-type] # looked at by the caller
            classes=tuple(map(str, read('classes') or ())),
            palette=tuple(tuple(map(int, color)) for color in read('palette') or ()),  # type: ignore[misc]
            resize=Resize.of(read('resize') or {}),
            size=None if size is None else pair(size),
            batch=batch,
            window=None if window is None else Window.of(window),
            mask_threshold=float(metadata.get('mask_threshold', 0.5)),
            precision=metadata.get('precision', ''),
            config=metadata.get('config', ''),
        )
