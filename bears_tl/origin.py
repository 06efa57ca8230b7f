"""Record which settings and hashes a result was computed from, so that it is never reused for different ones."""

import dataclasses

from bears_tl.config import RunConfig, deciding
from bears_tl.files import short_hash


@dataclasses.dataclass(frozen=True)
class Origin:
    """Settings and hashes by name, as plain JSON values."""

    parts: dict

    @classmethod
    def of(cls, config: RunConfig, *subjects: str, **parts) -> "Origin":
        """Collect the settings that affect some subjects (see `config.SUBJECTS`), and other parts such as hashes."""
        return cls({name: getattr(config, name) for name in deciding(*subjects)} | parts)

    @property
    def name(self) -> str:
        """Return a short hash of all parts, to name a folder or to store in a table."""
        return short_hash(self.parts)

    def change_since(self, before: dict) -> str:
        """Describe the first part that changed, with both values; "" if nothing changed.

        A setting missing from `before` did not exist yet: it counts as its default.

        Args:
            before: the parts of an earlier origin, as read from a file.
        """
        known = RunConfig().as_dict() | before
        changed = [name for name in self.parts if known.get(name) != self.parts[name]]
        return f"{changed[0]} was {known.get(changed[0])!r}, is now {self.parts[changed[0]]!r}" if changed else ""
