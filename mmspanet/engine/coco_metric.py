"""COCO's figures by faster-coco-eval, which counts in C++ what pycocotools counts in Python."""

from importlib.util import find_spec


def use_faster_coco_eval() -> bool:
    """Have MMDetection's ``CocoMetric`` match detections by faster-coco-eval, if that is installed.

    Its tables of precision and recall are pycocotools' (to rounding), and pycocotools' own
    ``summarize`` makes the figures from them, so that each keeps its place, area and number of
    detections. It holds for the process.

    Returns:
        Whether it is installed.
    """
    if find_spec('faster_coco_eval') is None:
        return False
    from faster_coco_eval import COCOeval_faster
    from mmdet.evaluation.metrics import coco_metric
    from pycocotools.cocoeval import COCOeval

    class FasterCOCOeval(COCOeval_faster):
        summarize = COCOeval.summarize

    coco_metric.COCOeval = FasterCOCOeval
    return True
