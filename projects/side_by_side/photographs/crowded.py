"""COCO's AP of images that hold more than a hundred instances."""

from collections.abc import Sequence
from unittest import mock

from mmdet.evaluation import CocoMetric
from mmdet.evaluation.metrics import coco_metric
from mmengine.registry import METRICS


@METRICS.register_module()
class CrowdedCocoMetric(CocoMetric):
    """MMDetection's COCO metric, whose AP counts ``proposal_nums[-1]`` detections of an image.

    COCO's own AP counts 100 detections of an image, whatever ``proposal_nums`` says; AP at one
    overlap and AP by size count the last number.
    """

    def compute_metrics(self, results: Sequence) -> dict[str, float]:
        """The metrics of all images."""

        class Evaluation(coco_metric.COCOeval):
            def summarize(self) -> None:
                super().summarize()
                precision = self.eval['precision'][..., 0, -1]
                self.stats[0] = precision[precision > -1].mean()

        with mock.patch.object(coco_metric, 'COCOeval', Evaluation):
            return super().compute_metrics(results)
