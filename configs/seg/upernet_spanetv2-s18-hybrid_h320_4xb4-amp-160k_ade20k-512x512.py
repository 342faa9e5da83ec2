# Published: mIoU 49.1 (ADE20K val), with which head width is not known. 320 is that of the released
# config: 414 G MACs at 512x2048 by the rule of the printed 925 G, which fit a width of 512.
_base_ = ['./upernet_spanetv2-s18-hybrid_h512_4xb4-amp-160k_ade20k-512x512.py']

model = dict(decode_head=dict(channels=320))
