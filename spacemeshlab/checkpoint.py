"""What a run directory holds, and how it survives being killed (chapter 13).

    recipe.json        the recipe, and where the run was started: commit, machine, command
    metrics.jsonl      one line a logged step and a validation
    events.out.…       the same for TensorBoard, and pictures of predictions
    last.ckpt          everything that resuming needs
    best.ckpt          the same at the best validation
    model.safetensors  the weights alone, for others
    log.txt            what the processes said, if there were several
    lock               held by the process that writes here

A checkpoint is a dictionary of tensors and plain Python values and loads with ``torch.load(weights_only=True)``. Files
are written beside their place and moved there in one step, so a killed run leaves the old one or the new one.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

try:
    import fcntl
except ImportError:  # Windows: two runs in one folder are then not noticed
    fcntl = None

from spacemeshlab.errors import UserError
from spacemeshlab.recipe import Recipe

_MENDABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EPERM, errno.EISDIR)


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a file beside ``path``, force it to disk, then move it into place.

    Raises:
        UserError: no room, or no right to write there; ``path`` is what it was.
    """
    draft = path.with_name(f".{path.name}.part")
    try:
        with _no_room_is_the_users_to_mend(path):
            write(draft)
            with open(draft, "rb") as file:
                os.fsync(file.fileno())
            os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


@contextlib.contextmanager
def _no_room_is_the_users_to_mend(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:
        fault = error if isinstance(error, OSError) else error.__context__  # torch.save hides the reason there
        if not isinstance(fault, OSError) or fault.errno not in _MENDABLE:
            raise
        raise UserError(
            f"expected to write {path}, but {os.strerror(fault.errno).lower()}: make room or get the right to write "
            "there, then give the same command again; nothing that was there is lost"
        ) from None


def load_checkpoint(path: str | Path, map_location: str | torch.device = "cpu") -> dict:
    """Read a checkpoint.

    Raises:
        UserError: no such file, or one that is no checkpoint; one line with the remedy.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"expected a checkpoint at {path}, found none: train first with scripts/train.py --run-dir {path.parent}"
        )
    try:
        checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except Exception as error:  # bytes that are no checkpoint make torch.load fail in many ways
        reason = str(error).split(".")[0].split("\n")[0] or type(error).__name__
        raise UserError(
            f"expected a checkpoint at {path}, but it can't be read ({reason}): delete it, or train again"
        ) from None
    if not isinstance(checkpoint, dict) or "model" not in checkpoint or "recipe" not in checkpoint:
        raise UserError(
            f"expected the entries model and recipe in {path}, found another kind of file: name a run's checkpoint"
        )
    return checkpoint


class RunDirectory:
    """The files of one run.

    Args:
        path: the folder; made if it is missing.
        recipe: what is run there. A folder that holds another recipe's run is refused.

    Raises:
        UserError: the folder belongs to another run; names the fields that differ.
    """

    free = ("devices", "channels_last", "compile", "cache", "workers")
    """Recipe fields that may change when a run is resumed: they do not change what is computed."""

    def __init__(self, path: str | Path, recipe: Recipe) -> None:
        self.path = Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"expected to make the folder {path}, but {error.strerror.lower()}: choose another --run-dir"
            ) from None
        self.last, self.best = self.path / "last.ckpt", self.path / "best.ckpt"
        self.metrics = self.path / "metrics.jsonl"
        self._refuse_another(recipe)
        self._writer: SummaryWriter | None = None
        self._lock: TextIO | None = None

    def lock(self) -> None:
        """Keep every other process from writing here until :meth:`close`, or until this process dies.

        Raises:
            UserError: a process is training here already; names it.
        """
        self._lock = open(self.path / "lock", "a+")  # open as long as the run
        try:
            if fcntl is not None:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):  # a disk that knows no locks
                return
            self._lock.seek(0)
            holder = self._lock.read().strip() or "unknown"
            self._lock.close()
            raise UserError(
                f"expected {self.path} to be free, found process {holder} training there: "
                "wait for it, stop it, or choose another --run-dir"
            ) from None
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()}\n")
        self._lock.flush()

    def _refuse_another(self, recipe: Recipe) -> None:
        if not self.last.exists():
            return
        found = read_recipe(self.path)
        different = [
            f"{field}={getattr(found, field)} there, {getattr(recipe, field)} asked for"
            for field in recipe.__dataclass_fields__
            if field not in self.free and getattr(found, field) != getattr(recipe, field)
        ]
        if different:
            raise UserError(
                f"expected {self.path} to be new or a run of this recipe, found another run ({'; '.join(different)}): "
                "choose another --run-dir, or delete that one"
            )

    def write_recipe(self, recipe: Recipe, origin: dict) -> None:
        """Write recipe.json; ``origin`` says where the run was started."""
        text = json.dumps({"recipe": recipe.as_dict(), "origin": origin}, indent=2)
        write_atomically(self.path / "recipe.json", lambda draft: draft.write_text(text + "\n"))

    def save(self, state: dict, best: bool = False) -> None:
        """Write best.ckpt if ``best``, then last.ckpt."""
        for path in (self.best, self.last) if best else (self.last,):  # killed between: the step is run and saved again
            write_atomically(path, lambda draft: _save(state, draft))

    def forget_after(self, iteration: int) -> None:
        """Drop the log lines of steps that were not saved, so that a resumed run logs each step once."""
        if not self.metrics.exists():
            return
        with _no_room_is_the_users_to_mend(self.metrics):
            lines = [line for line in self.metrics.read_text().splitlines() if _iteration(line) <= iteration]
        text = "".join(f"{line}\n" for line in lines)
        write_atomically(self.metrics, lambda draft: draft.write_text(text))

    def log(self, iteration: int, **values: float | str) -> None:
        """Append one line to metrics.jsonl, and its numbers to TensorBoard's events."""
        with _no_room_is_the_users_to_mend(self.metrics):
            with open(self.metrics, "a") as file:
                file.write(json.dumps({"iteration": iteration, **values}) + "\n")
            for name, value in values.items():
                if not isinstance(value, str):
                    self._events(iteration).add_scalar(name, value, iteration)

    def log_picture(self, iteration: int, name: str, picture: np.ndarray) -> None:
        """Show a picture, (H, W, 3) uint8, in TensorBoard."""
        with _no_room_is_the_users_to_mend(self.path):
            self._events(iteration).add_image(name, picture, iteration, dataformats="HWC")

    def _events(self, iteration: int) -> SummaryWriter:
        if self._writer is None:
            self._writer = SummaryWriter(str(self.path), purge_step=iteration)
        return self._writer

    def close(self) -> None:
        """Flush TensorBoard's events and let others write here."""
        if self._writer is not None:
            self._writer.close()
        if self._lock is not None:
            self._lock.close()
        self._writer = self._lock = None


def _save(state: dict, path: Path) -> None:
    with open(path, "wb") as file:  # torch's own writer would not say why it failed
        torch.save(state, file)


def _iteration(line: str) -> float:
    try:
        return json.loads(line)["iteration"]
    except (ValueError, KeyError):  # the last line of a killed run may be cut short
        return float("inf")


def read_recipe(run_dir: str | Path) -> Recipe:
    """The recipe of a run directory.

    Raises:
        UserError: the folder is no run directory.
    """
    return Recipe.from_dict(_read_run(run_dir, "recipe"))


def read_origin(run_dir: str | Path) -> dict:
    """Where a run was started: commit, machine, command."""
    return _read_run(run_dir, "origin")


def _read_run(run_dir: str | Path, entry: str) -> dict:
    path = Path(run_dir) / "recipe.json"
    try:
        return json.loads(path.read_text())[entry]
    except FileNotFoundError:
        raise UserError(
            f"expected a run directory with a recipe.json, found none in {run_dir}: train there first"
        ) from None
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"expected a run's recipe in {path}, found something else: restore the file, or train again"
        ) from None
