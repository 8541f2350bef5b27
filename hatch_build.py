"""Lets `pip install -e ".[pinned]"` use the pins of requirements.lock, so environment.yml needs no list of its own.

pip's hash mode refuses an editable install in the same call; an extra that repeats the lock's `name==version ; marker`
lines (without the hashes) is the one way to get both from a single file. The extras for sweeps over machines (`dask`)
and into object stores (`s3`) name the versions of that same list.
"""

import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface


class PinnedExtra(MetadataHookInterface):
    def update(self, metadata: dict) -> None:
        lock = Path(self.root, "requirements.lock")
        text = lock.read_text(encoding="utf-8") if lock.exists() else ""
        pins = re.findall(r"^([A-Za-z0-9._-]+==[^\\\n]+?)\s*\\?$", text, flags=re.MULTILINE)
        extras = {
            extra: [pin for pin in pins if pin.split("==")[0] in packages]
            for extra, packages in self.config["extras"].items()
        }
        metadata["optional-dependencies"] = {"pinned": pins, **extras}
