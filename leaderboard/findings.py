"""What the tables say, in five paragraphs with the figures of the rows."""

from leaderboard.rows import Row


def findings(rows: list[Row]) -> list[str]:
    """Where SPANetV2 leads, where it does not, and what a spectral filter was worth in HorNet.

    The figures are looked up. ``tests/test_leaderboard.py`` holds the words to them.
    """

    def figure(table: str, name: str, metric: str) -> float:
        found = [r.metrics[metric] for r in rows if _is(r, table, name) and metric in r.metrics]
        return max(found)  # of a longer schedule where there are two

    def cost(table: str, name: str) -> float | None:
        return next((r.printed for r in rows if _is(r, table, name) and r.printed), None)

    def counted(table: str, name: str) -> float | None:
        return next(r.counted for r in rows if _is(r, table, name))

    def said(table: str, name: str, metric: str) -> str:
        model = name.partition(',')[0]
        return f'{model} {figure(table, name, metric):.1f} at {cost(table, name):g} G'

    def gain(table: str, size: str, metric: str) -> str:
        with_filter, without = (
            figure(table, f'HorNet-{size} ({kind})', metric) for kind in ('GF', '7x7')
        )
        return f'{with_filter - without:+.1f}'

    def twins(table: str, metric: str) -> str:
        sizes = ('T', 'S', 'B') if table == 'imagenet' else ('T', 'S')
        return f'{metric} {" and ".join(gain(table, size, metric) for size in sizes)}'

    s18, s36 = 'SPANetV2-s18-hybrid', 'SPANetV2-s36-hybrid'
    wide = f'{s36}, head width 512'
    small = f'{s18}, head width 512'
    m, c, u, i = 'mask-rcnn', 'cascade-mask-rcnn', 'upernet', 'imagenet'
    return [
        f'Detectors that mix by frequency: none of a similar printed cost is ahead of SPANetV2. '
        f'Mask R-CNN, 36 epochs: {said(m, s18, "box AP")} (box AP), '
        f'{said(m, "vHeat-T", "box AP")}, {said(m, "vHeat-S", "box AP")}; '
        f'ViF-S has {figure(m, "ViF-S", "box AP"):.1f}, its schedule and cost are not printed. '
        f'Cascade Mask R-CNN: {said(c, s18, "box AP")}, {said(c, "HorNet-T (GF)", "box AP")}; '
        f'{said(c, s36, "box AP")}, {said(c, "HorNet-S (GF)", "box AP")}. The printed costs of the '
        f'hybrids leave out the products of attention. When all operations are counted, '
        f'Mask R-CNN with the S18-hybrid costs {counted(m, s18):.0f} G, and Cascade Mask R-CNN '
        f'with the two hybrids costs {counted(c, s18):.0f} and {counted(c, s36):.0f} G. At '
        f'these costs, SPANetV2 is not ahead in Cascade Mask R-CNN: '
        f'HorNet-S (GF) has {figure(c, "HorNet-S (GF)", "box AP"):.1f} at '
        f'{counted(c, "HorNet-S (GF)"):.0f} G, HorNet-B (GF) '
        f'{figure(c, "HorNet-B (GF)", "box AP"):.1f} at {counted(c, "HorNet-B (GF)"):.0f} G.',
        f'Segmentors that mix by frequency: UperNet with {said(u, wide, "mIoU")} (mIoU), '
        f'{said(u, "HorNet-S (GF)", "mIoU")}, Wave-ViT-B {figure(u, "Wave-ViT-B", "mIoU"):.1f} at '
        f'a cost that is not printed; {said(u, small, "mIoU")}, '
        f'{said(u, "HorNet-T (GF)", "mIoU")}. Counted whole, the two hybrids cost '
        f'{counted(u, wide):.0f} and {counted(u, small):.0f} G, the two of HorNet '
        f'{counted(u, "HorNet-S (GF)"):.0f} and {counted(u, "HorNet-T (GF)"):.0f} G.',
        f'ImageNet: {said(i, s18, "top-1")} is above {said(i, "HorNet-T (GF)", "top-1")} and '
        f'{said(i, "iFormer-S", "top-1")}, level with {said(i, "ViF-T", "top-1")}, and below '
        f'{said(i, "SVT-H-S", "top-1")} and {said(i, "SpectFormer-H-S", "top-1")}, which train '
        f'with token labeling.',
        f'Linear attention: RAVLT-S is above the S18-hybrid at a similar printed cost: '
        f'{figure(m, "RAVLT-S", "box AP"):.1f} against {figure(m, s18, "box AP"):.1f} '
        f'box AP in Mask R-CNN ({cost(m, "RAVLT-S"):g} and {cost(m, s18):g} G), '
        f'{figure(c, "RAVLT-S", "box AP"):.1f} against {figure(c, s18, "box AP"):.1f} in Cascade '
        f'Mask R-CNN, and {figure(u, "RAVLT-S", "mIoU"):.1f} against '
        f'{figure(u, small, "mIoU"):.1f} mIoU in UperNet.',
        f'A filter against a kernel: HorNet is published with a Fourier filter (GF) and with a 7x7 '
        f'kernel in its place. With the filter it has {twins(c, "box AP")} and '
        f'{twins(c, "mask AP")} in Cascade Mask R-CNN, {twins(u, "mIoU")} in UperNet (sizes T and '
        f'S), and {twins(i, "top-1")} on ImageNet (T, S and B, as MMPretrain measured them).',
    ]


def _is(row: Row, table: str, name: str) -> bool:
    return (row.table, row.name) == (table, name) and row.status in ('paper', 'peer')
