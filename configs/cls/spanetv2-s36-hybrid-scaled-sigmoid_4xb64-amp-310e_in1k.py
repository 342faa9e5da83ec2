# Published: top-1 84.9 (ImageNet-1K, 224x224), with the scaled sigmoid.
# Taken to be the revision's function, a learned slope in the filter and no interleave of the
# heads: no file of this row was seen.
_base_ = ['./spanetv2-s36-hybrid_4xb64-amp-310e_in1k.py']

model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,  # of the base, a name
            depths=(3, 12, 18, 3),
            channels=(64, 128, 320, 512),
            mixers=('SPAMRevision', 'SPAMRevision', 'MixAttention', 'Attention'),
        )
    )
)
# The revised mixer holds its filter in one piece: LAMB's usual scale, one per parameter.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(_delete_=True)))
