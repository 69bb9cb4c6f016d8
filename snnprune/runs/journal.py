"""The journal of a training in its run folder: the rows of its epochs, and its checkpoint."""

from typing import Any

from ..storage import exists
from ..training import RunFolder, Trainer, load_checkpoint, save_checkpoint


class Journal:
    """Rows and checkpoint of a training that is not finished, read when it is resumed and written after each epoch.

    Args:
        folder: open.
        trainer: at its start; with `resume` it gets the state of the checkpoint, if there is one.
        resume: whether the folder holds the beginning of this training.

    Attributes:
        rows: one for each epoch that is done.

    Raises:
        InputError: files that are damaged, or not of this training.
    """

    def __init__(self, folder: RunFolder, trainer: Trainer, *, resume: bool) -> None:
        self._folder, self._trainer = folder, trainer
        self._config = folder.read_json("config.json")
        self.rows: list[dict[str, Any]] = []
        if resume:
            folder.note_environment()
            known = None
            if exists(folder.checkpoint):
                known = load_checkpoint(folder.checkpoint, trainer, config=self._config)
            self.rows = folder.restore_rows(epochs=trainer.epoch, known=known)

    def add(self, row: dict[str, Any]) -> None:
        """Add the row of an epoch, and save."""
        self.rows.append(row)
        self._folder.add_row(row)
        self.save()

    def save(self) -> None:
        """Write the checkpoint."""
        save_checkpoint(self._folder.checkpoint, self._trainer, config=self._config, rows=self.rows)
