# Published: mIoU 48.7 (ADE20K val). Head width 320: the one that the released config says; it
# costs about 422 G MACs at 512x2048, where 930 G are printed (width 512).
_base_ = ['./upernet_spanetv2-s18-pure_h512_4xb4-amp-160k_ade20k-512x512.py']

model = dict(decode_head=dict(channels=320))
