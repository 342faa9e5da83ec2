"""What the tables say, in five sentences with the figures of the rows."""

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
        return f'{name} {figure(table, name, metric):.1f} at {cost(table, name):g} G'

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
    narrow = f'{s18}, head width 512'
    m, c, u, i = 'mask-rcnn', 'cascade-mask-rcnn', 'upernet', 'imagenet'
    return [
        f'Among detectors that mix by frequency SPANetV2 leads at the printed costs: in Mask '
        f'R-CNN over 36 epochs {said(m, s18, "box AP")} against '
        f'{said(m, "vHeat-S", "box AP")} (box AP), in '
        f'Cascade Mask R-CNN {said(c, s18, "box AP")} against '
        f'{said(c, "HorNet-T (GF)", "box AP")}, and {said(c, s36, "box AP")} against '
        f'{said(c, "HorNet-S (GF)", "box AP")}; counted by one rule, attention products '
        f'included, it does not: the hybrids of Cascade Mask R-CNN cost {counted(c, s18):.0f} and '
        f'{counted(c, s36):.0f} G, HorNet-S (GF) {counted(c, "HorNet-S (GF)"):.0f} and '
        f'HorNet-B (GF) with {figure(c, "HorNet-B (GF)", "box AP"):.1f} '
        f'{counted(c, "HorNet-B (GF)"):.0f} G.',
        f'Among segmentors it is level with the best of them: UperNet gives '
        f'{said(u, wide, "mIoU")} against {said(u, "HorNet-S (GF)", "mIoU")} and the '
        f'{figure(u, "Wave-ViT-B", "mIoU"):.1f} of Wave-ViT-B, whose cost is not printed; the '
        f'smaller {said(u, narrow, "mIoU")} is below {said(u, "HorNet-T (GF)", "mIoU")}.',
        f'On ImageNet {said(i, s18, "top-1")} is above {said(i, "HorNet-T (GF)", "top-1")} and '
        f'{said(i, "iFormer-S", "top-1")}, level with {said(i, "ViF-T", "top-1")}, and below '
        f'{said(i, "SVT-H-S", "top-1")} and {said(i, "SpectFormer-H-S", "top-1")}, which train '
        f'with token labeling.',
        f'It does not lead over linear attention: RAVLT-S is above the S18-hybrid at equal printed '
        f'cost, with {figure(m, "RAVLT-S", "box AP"):.1f} against {figure(m, s18, "box AP"):.1f} '
        f'box AP in Mask R-CNN ({cost(m, "RAVLT-S"):g} and {cost(m, s18):g} G), '
        f'{figure(c, "RAVLT-S", "box AP"):.1f} against {figure(c, s18, "box AP"):.1f} in Cascade '
        f'Mask R-CNN, and {figure(u, "RAVLT-S", "mIoU"):.1f} against '
        f'{figure(u, narrow, "mIoU"):.1f} mIoU in UperNet.',
        f'In HorNet, published with a Fourier filter (GF) and with a 7x7 kernel in its place, the '
        f'filter was worth {twins(c, "box AP")} and {twins(c, "mask AP")} in Cascade Mask R-CNN, '
        f'{twins(u, "mIoU")} in UperNet (sizes T and S), and {twins(i, "top-1")} on ImageNet (T, S '
        f'and B).',
    ]


def _is(row: Row, table: str, name: str) -> bool:
    return (row.table, row.name) == (table, name) and row.status in ('paper', 'peer')
