"""The command `tsl`: `tsl fit …` runs `python -m tsl.fit …`, and every other command works in the same way."""

import difflib
import runpy
import sys

COMMANDS = {
    "fit": ("tsl.fit", "train students with the settings of a config"),
    "configs": ("tsl.configs", "list the configs that tsl ships; copy one to edit it"),
    "runs": ("tsl.runs", "list runs, their states and outcomes"),
    "figures": ("tsl.figures", "draw a figure from the records of runs"),
    "report": ("tsl.report", "write one HTML file about runs"),
    "compare": ("tsl.compare", "compare any two networks, layer by layer and node by node"),
    "sweep": ("tsl.sweep", "train all combinations of settings, with many seeds"),
    "reproduce": ("tsl.reproduce", "run and draw an experiment of the paper"),
    "sample-complexity": ("tsl.sample_complexity", "find the training size at which nodes are recovered"),
    "certify": ("tsl.certify", "compare a run with what the theorem guarantees"),
    "prune-teacher": ("tsl.prune_teacher", "prune a trained teacher and continue its training"),
    "prune-student": ("tsl.prune_student", "prune the nodes of a student that did not specialize"),
    "polish": ("tsl.polish", "train to a critical point, and say which kind it is"),
    "cluster-students": ("tsl.cluster_students", "recover a teacher from the nodes of students"),
    "env": ("tsl.env", "print versions and hardware, for a bug report"),
    "create-dashboard": ("tsl.create_dashboard", "make the W&B workspace that shows runs"),
}
"""Every command: the module that `python -m` runs, and what it does."""


def main() -> int:
    """Run the command that the process's arguments name, and return the exit status."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print("usage: tsl COMMAND …\n\nTeacher-student experiments. `tsl fit` is `python -m tsl.fit`, and so on.\n")
        print("\n".join(f"  {command:18} {what}" for command, (_, what) in COMMANDS.items()))
        print("\nOptions of a command: tsl COMMAND --help")
        print("To begin: tsl fit --config two_layer.yaml")
        return 0
    if name not in COMMANDS:
        (nearest,) = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0)
        print(
            f"error: there is no command {name!r}; the nearest is {nearest!r} (tsl --help lists all)", file=sys.stderr
        )
        return 2
    sys.argv[1:] = arguments
    runpy.run_module(
        COMMANDS[name][0], run_name="__main__", alter_sys=True
    )  # Lightning starts further processes from sys.argv
    return 0


if __name__ == "__main__":
    sys.exit(main())
