# An alias of the default detector, Mask R-CNN 3x with SPANetV2-S18-pure on COCO.
_base_ = './mask-rcnn_spanetv2-s18-pure_fpn_4xb2-amp-ms-crop-3x_coco.py'
