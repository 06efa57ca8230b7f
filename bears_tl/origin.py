"""What something was made from: settings and hashes by name, so that it is never taken for something else."""

import dataclasses

from bears_tl.config import RunConfig, deciding
from bears_tl.files import short_hash


@dataclasses.dataclass(frozen=True)
class Origin:
    """Settings and hashes by name, plain values as JSON holds them."""

    parts: dict

    @classmethod
    def of(cls, config: RunConfig, *subjects: str, **parts) -> "Origin":
        """Name the settings that decide some subjects (see `config.SUBJECTS`), and other parts such as hashes."""
        return cls({name: getattr(config, name) for name in deciding(*subjects)} | parts)

    @property
    def name(self) -> str:
        """Give a short hash of all parts: a name for a folder, or a value in a table."""
        return short_hash(self.parts)

    def change_since(self, before: dict) -> str:
        """Name the first part that is not what it was, with both values; empty where all are the same.

        A setting that is newer than what was made had its default then.

        Args:
            before: the parts of another origin, as read from a file.
        """
        known = RunConfig().as_dict() | before
        changed = [name for name in self.parts if known.get(name) != self.parts[name]]
        return f"{changed[0]} was {known.get(changed[0])!r}, is now {self.parts[changed[0]]!r}" if changed else ""
