"""What `python -m tsl.fit --help` prints: one screen, written here so that it needs neither torch nor Lightning.

A test compares every setting and value below with the parser's.
"""

from typing import NamedTuple


class Usual(NamedTuple):
    """A setting that people often give.

    Args:
        name: Its name on the command line.
        value: The placeholder for its value.
        words: What it does.
        default: Its value if neither a config nor the command line gives one; empty if it has to be given.
    """

    name: str
    value: str
    words: str
    default: str = ""


USUAL = (
    Usual("config", "FILE", "settings: a file or a shipped config; the last wins"),
    Usual("experiment", "NAME", "name that related runs share", "default"),
    Usual("version", "NAME", "name of the run; version_<n> if null", "null"),
    Usual("replicates", "R", "independent experiments, trained at once", "1"),
    Usual("seed_everything", "SEED", "seed of replicate 0; replicate r has SEED + r", "0"),
    Usual("trainer.max_epochs", "N", "epochs to train; 1000 if null", "null"),
    Usual("trainer.accelerator", "NAME", "cpu, gpu, or auto: a GPU if there is one", "auto"),
    Usual("model.multiplier", "M", "student nodes for each teacher node", "1.0"),
    Usual("model.student.batch_norm", "WHERE", "before, after, none; the teacher's if null", "null"),
    Usual("model.student.dropout", "P", "dropout probability; the teacher's if null", "null"),
    Usual("model.teacher_initialization.polarity", "P", "strength of teacher node j falls as j^-P", "0.0"),
    Usual("model.optimizer.lr", "RATE", "learning rate", "0.01"),
    Usual("data.train_size", "N", "training inputs of every replicate"),
    Usual("data.batch_size", "B", "training samples in a minibatch", "16"),
    Usual("records.pairs", "true", "record correlations of all pairs of nodes", "false"),
    Usual("ckpt_path", "FILE", "resume from a checkpoint; last: the newest", "null"),
)
"""The screen's settings, in its order."""

ABOVE = """\
usage: python -m tsl.fit --config FILE [--config FILE ...] [--SETTING VALUE ...]

Train students on the outputs of a fixed teacher. The run is written to
runs/EXPERIMENT/VERSION.

  python -m tsl.fit --config two_layer.yaml --replicates 8 --model.multiplier 5
  python -m tsl.fit --config runs/E/V/config.yaml --version V --ckpt_path last

Usual settings (in brackets: the value if no config gives one):
"""

BELOW = """
All settings:
  python -m tsl.configs     the configs that tsl ships
  --print_config            print the value of every setting, and stop
  --model.help, --data.help tsl's classes of models and of data
  --model.help CLASS        settings of a class, such as TeacherStudent
  --model.student.help      the same for every setting that names a class
  --trainer.help, --records.help, --checkpoint.help
  --help=all                every setting there is (900 lines)"""


def screen() -> str:
    """The screen, without a line break at its end."""
    lines = []
    for usual in USUAL:
        option = f"  --{usual.name} {usual.value}"
        words = usual.words + (f" [{usual.default}]" if usual.default else "")
        lines.append(f"{option:28}{words}" if len(option) < 28 else f"{option}\n{' ':28}{words}")
    return ABOVE + "\n".join(lines) + "\n" + BELOW
