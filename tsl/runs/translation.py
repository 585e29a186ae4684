"""Translates short and older forms of settings into the current ones.

One setting says which network a student is, `model.init_args.student`. `multiplier: 2` and `--model.multiplier 2` are
short for `tsl.networks.LikeTeacher` with `multiplier: 2`. Nothing here imports torch.
"""

import os
from collections.abc import Sequence
from typing import Any

from tsl.errors import InputError

MOVED = {
    "tsl.teacher_of_run.TeacherOfRun": "tsl.modules.TeacherOfRun",
    "tsl.wandb_logger.WandbRunLogger": "tsl.wandb.WandbRunLogger",
    "tsl.callbacks.WandbBoard": "tsl.wandb.WandbBoard",
    "tsl.callbacks.wandb_board.WandbBoard": "tsl.wandb.WandbBoard",
}
"""Class paths in the settings of older runs, and the current paths of these classes."""

LIKE_TEACHER, WITH_WIDTHS = "tsl.networks.LikeTeacher", "tsl.networks.WithWidths"
FORMER = {"multiplier": LIKE_TEACHER, "student_widths": WITH_WIDTHS}
"""Other settings for the student's widths, and the class of `student` that each stands for."""


def translated(settings: Any) -> Any:
    """Nested settings, or one value of them, in their current form, with ~/ replaced by the home directory.

    Raises:
        InputError: If two settings choose the student's network.
    """
    if isinstance(settings, str):
        return os.path.expanduser(settings) if settings.startswith("~/") else MOVED.get(settings, settings)
    if isinstance(settings, list):
        return [translated(value) for value in settings]
    if not isinstance(settings, dict):
        return settings
    settings = {key: translated(value) for key, value in settings.items()}
    model = settings.get("model")
    if isinstance(model, dict):
        if isinstance(model.get("init_args"), dict):
            settings["model"] = model | {"init_args": _with_one_student(model["init_args"])}
        else:
            settings["model"] = _with_one_student(model)
    return settings


def translated_arguments(arguments: Sequence[str]) -> list[str]:
    """The command line of tsl.fit in its current form, except mappings in its values, which `translated` handles."""
    found: list[str] = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        value = translated(value)
        words = key.split(".")
        if words[0] != "--model" or len(words) < 2:
            found.append(f"{translated(key)}{equals}{value}")
            continue
        said = [word for word in words[1:] if word != "init_args"]
        if said[0] in FORMER and len(said) == 1:
            name = "widths" if said[0] == "student_widths" else said[0]
            found += [f"--model.init_args.student={FORMER[said[0]]}"]
            key = f"--model.init_args.student.init_args.{name}"
        elif said[0] == "student_network":
            key = ".".join(word.replace("student_network", "student") for word in words)
        found.append(f"{key}{equals}{value}")
    return found


def _with_one_student(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a model, with `student` in place of `multiplier`, `student_widths` and `student_network`."""
    names = {"multiplier", "student_widths", "student_network"}
    student = arguments.get("student")
    of_changes = isinstance(student, dict) and "class_path" not in student and "init_args" not in student
    if not names & arguments.keys() and not of_changes:
        return arguments
    multiplier, widths = arguments.get("multiplier"), arguments.get("student_widths")
    network = arguments.get("student_network")
    said: Any = {"class_path": student} if isinstance(student, str) else student or {}
    if of_changes:
        said = {"init_args": said}
    is_like_teacher = said.get("class_path") in (None, LIKE_TEACHER)
    if network is not None or not is_like_teacher:
        # Older runs have the default multiplier of 1 beside their student_network.
        doubled = widths is not None or multiplier not in (None, 1) or (network is not None and said)
        if doubled:
            name = "student_widths" if widths is not None else "multiplier" if multiplier is not None else "student"
            raise InputError(
                f"model.init_args.{name} = {arguments[name]} and model.init_args."
                f"{'student' if network is None else 'student_network'} both choose the student's network: leave "
                "one of them out"
            )
        said = network if network is not None else said
    else:
        nodes: dict[str, Any] = (
            {} if multiplier is None else {"class_path": LIKE_TEACHER, "init_args": {"multiplier": multiplier}}
        )
        if widths is not None:
            nodes = {"class_path": WITH_WIDTHS, "init_args": {"widths": widths}}
        said = {**said, **nodes, "init_args": {**(said.get("init_args") or {}), **nodes.get("init_args", {})}}
    kept = {key: value for key, value in arguments.items() if key not in names}
    return kept | ({"student": said} if said and said != {"init_args": {}} else {})
