"""Which files others on the machine may read."""

import stat
from pathlib import Path

from workers.process import private_files


def open_to_others(folder: Path) -> dict[str, str]:
    """What below a folder is not 0600 or, a folder, 0700."""
    return {
        str(one.relative_to(folder)): oct(mode)
        for one in folder.rglob("*")
        if (mode := stat.S_IMODE(one.stat().st_mode)) != (private_files.FOLDER if one.is_dir() else private_files.FILE)
    }
