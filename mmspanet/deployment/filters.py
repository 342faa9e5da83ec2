"""Which form of the spectral re-scaling filter a graph gets."""

from mmspanet.models.deploy import FixedSRF
from mmspanet.models.metaformer import Downsample, Stem
from mmspanet.models.spanetv2 import SPANetV2
from mmspanet.models.srf import SpectralRescalingFilter

from .dft import MatrixSpectralFilter
from .dynamic_dft import DynamicSpectralFilter
from .onnx_dft import DFTSpectralFilter, DynamicDFTSpectralFilter

# For maps of one size, and of any.
SPECTRAL = dict(
    matrices=(MatrixSpectralFilter, DynamicSpectralFilter),
    dft=(DFTSpectralFilter, DynamicDFTSpectralFilter),
)


def replace_filters(
    backbone: SPANetV2, size: tuple[int, int] | None, spectral: str = 'matrices'
) -> None:
    """Put a filter that a graph can hold in the place of every filter, in place.

    Args:
        backbone: The backbone, trained or deployed.
        size: Height and width of its images; None leaves them free.
        spectral: A key of :data:`SPECTRAL`.
    """
    fixed, dynamic = SPECTRAL[spectral]
    for layer, stage in zip(backbone.downsample_layers, backbone.stages, strict=True):
        assert isinstance(layer, (Stem, Downsample))
        if size is not None:
            size = (layer.output_size(size[0]), layer.output_size(size[1]))
        for parent in list(stage.modules()):
            srf = getattr(parent, 'srf', None)
            if isinstance(srf, (SpectralRescalingFilter, FixedSRF)):
                parent.srf = dynamic(srf) if size is None else fixed(srf, size)
