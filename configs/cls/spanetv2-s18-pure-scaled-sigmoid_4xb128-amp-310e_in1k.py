# Published: top-1 83.5 (ImageNet-1K, 224x224), with the scaled sigmoid.
# Taken to be the revision's function, a learned slope in the filter and no interleave of the
# heads: no file of this row was seen.
_base_ = ['./spanetv2-s18-pure_4xb128-amp-310e_in1k.py']

model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,  # of the base, a name
            depths=(3, 3, 9, 3),
            channels=(64, 128, 320, 512),
            mixers=('SPAMRevision',) * 4,
        )
    )
)
