#!/usr/bin/env bash
# Builds sdist and wheel, installs the wheel into a fresh environment, and uses it from an empty directory.
# The packages that tsl needs are those of .venv; what is installed in .venv as tsl itself is not seen.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$PWD/.venv/bin/python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

unset PYTHONPATH VIRTUAL_ENV
"$python" -m build --outdir "$work/dist" . >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }  # wheel from sdist
"$python" -m venv --without-pip "$work/venv"
"$python" -m pip --python "$work/venv/bin/python" install --quiet --no-deps --no-index "$work"/dist/*.whl
"$python" -c 'import sys; print(*(path for path in sys.path if path.endswith("site-packages")), sep="\n")' \
    >"$(echo "$work"/venv/lib/python*/site-packages)/shared.pth"
export PATH=$work/venv/bin:$PATH WANDB_MODE=offline

mkdir "$work/empty"
cd "$work/empty"
cat >tiny.yaml <<'YAML'
replicates: 2
trainer: {max_epochs: 2}
data: {init_args: {train_size: 60, val_size: 50, batch_size: 5, steps_per_epoch: 8}}
YAML

has() { grep --fixed-strings -- "$1" >/dev/null || { echo "expected: $1" >&2; return 1; }; }
python -c 'import sys, tsl, importlib.metadata as m
assert tsl.__file__.startswith(sys.prefix), f"imported from {tsl.__file__}"
assert tsl.__version__ == m.version("teacher-student-lightning")
assert m.files("teacher-student-lightning") and "torch" not in sys.modules'

set -x
tsl | has sample-complexity
tsl configs | has E10/leaky.yaml
tsl configs copy two_layer.yaml mine.yaml
cmp mine.yaml "$work"/venv/lib/python*/site-packages/tsl/shipped_configs/two_layer.yaml
tsl fit --config two_layer.yaml --config tiny.yaml --version a
python -m tsl.fit --config configs/two_layer.yaml --config tiny.yaml --config mine.yaml --config tiny.yaml --version b
cmp runs/two_layer/{a,b}/records/losses/epoch_00002.parquet
tsl figures l-shape runs/two_layer/a --out figure.png
tsl report runs/two_layer/a runs/two_layer/b --out report.html
tsl runs | has two_layer/b
tsl reproduce E4 --scale quick --config tiny.yaml
test -s figure.png -a -s report.html -a -s runs/quick/E4.pdf
