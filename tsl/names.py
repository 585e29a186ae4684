"""Names and thresholds that records, logs and dashboards share. Every package of tsl may import this module."""

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""The correlations above which the paper calls a teacher node recovered."""

RECOVERED = 0.95
"""The threshold for measures of a whole layer and for match counts."""

NULL = "_null"
"""The ending of a null level's name, after the measure's name: the same measure with the teacher on shuffled inputs."""

NODE_RECOVERED, FRACTION_RECOVERED = f"recovered_{RECOVERED:.2f}", f"recovered_fraction_{RECOVERED:.2f}"
"""Columns at that threshold: in `teacher_nodes`, whether a node is recovered; in `layers`, the fraction that is."""

TRAIN_LOSS, VAL_LOSS, VAL_ACCURACY = "train/loss", "val/loss", "val/accuracy"
LEARNING_RATE = "train/learning_rate"
ACCURACY_COLUMNS = ("accuracy", "teacher_accuracy", "teacher_agreement")
"""Columns of the table `losses` if the data has labels; each is also logged as `val/<column>`."""

LAYER_SCALARS = {
    "rho_mean": "rho_mean",
    FRACTION_RECOVERED: NODE_RECOVERED,
    f"rho_mean{NULL}": f"rho_mean{NULL}",
}
"""The scalars of every hidden layer, logged as `specialization/layer<l>/<name>`, by their columns in `layers`."""


def recovered_column(threshold: float) -> str:
    """The column of the table `teacher_nodes` that holds whether a node is recovered.

    >>> recovered_column(0.5)
    'recovered_0.50'
    """
    return f"recovered_{threshold:.2f}"


def specialization_scalar(layer: int, name: str) -> str:
    """The logged name of one of `LAYER_SCALARS` of a hidden layer counted from 1.

    >>> specialization_scalar(1, "rho_mean")
    'specialization/layer1/rho_mean'
    """
    return f"specialization/layer{layer}/{name}"


def alignment_scalar(layer: int, name: str) -> str:
    """The logged name of a measure of `records.alignments`, or its null level, of a hidden layer counted from 1.

    >>> alignment_scalar(2, "cka_null")
    'alignment/layer2/cka_null'
    """
    return f"alignment/layer{layer}/{name}"
