#!/usr/bin/env bash
# From a fresh checkout to a trained, tested and drawn Mask R-CNN: bash tools/quickstart.sh
# Sets up .venv, makes the synthetic data set, trains a small SPANetV2 on it, tests it on held-out
# images and makes the page of the run. On 2 CPU cores 6 to 12 minutes after the set-up.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '/^#!/d;/^#/!q;s/^# \{0,1\}//p' "$0" && exit ;; esac
cd "$(dirname "$0")/.."
bash tools/setup_env.sh
python=.venv/bin/python
config=configs/det/maskrcnn_spanetv2_shapes.py
work_dir=work_dirs/quickstart
start=$SECONDS
say() { printf '\n== %s\n' "$*"; }

say 'making the data set'
$python tools/make_shapes.py coco --root data/shapes --train 1800 --val 200
say 'training'
rm -rf "$work_dir"
# The test below is the validation.
$python tools/train.py "$config" --work-dir "$work_dir" --no-report \
    --cfg-options train_cfg.val_begin=1000
say 'testing on held-out images'
$python tools/test.py "$config" "$(cat "$work_dir/last_checkpoint")" --work-dir "$work_dir"
say "done in $(((SECONDS - start) / 60)) min $(((SECONDS - start) % 60)) s after the set-up"
echo "page             $work_dir/report/report.html"
echo "checkpoint       $(cat "$work_dir/last_checkpoint")"
