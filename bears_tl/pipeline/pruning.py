"""Pruning: remove cache entries that no kept run uses."""

from bears_tl.errors import InputError
from bears_tl.pipeline import artifacts
from bears_tl.pipeline.run import Run


def prune(runs: list[Run]) -> list[dict]:
    """Remove what no kept run uses: features of other photos, views and bodies, frozen bodies, damaged shards.

    Args:
        runs: the runs to keep. Those without a split or a restored checkpoint have no features yet and are skipped.

    Returns:
        One row per cache: name, kept and removed rows.

    Raises:
        InputError: no run has features yet, or the cache folder cannot be written.
    """
    from bears_tl.features.cache import FeatureCache, describe, key

    runs = [run for run in runs if {"split", "restore"} <= run.seconds().keys()]
    if not runs:
        raise InputError("no run to keep has features yet, so nothing would be kept: train one first (bears train)")
    used: dict[str, set[bytes]] = {}
    for run in runs:
        views = artifacts.split_views(run)
        used.setdefault(artifacts.feature_cache(run).folder.name, set()).update(
            key(row["sha256"], view)
            for name, rows in artifacts.split_rows(run).items()
            for row in rows
            for view in views[name]
        )
    pruned = []
    for found in describe(artifacts.cache_folder()):
        fingerprint, _, bits = found["name"].partition("-")
        cache = FeatureCache(artifacts.cache_folder(), fingerprint, bits)
        removed = cache.prune(used.get(found["name"], set()))
        pruned.append({"name": found["name"], "kept": len(cache), "removed": removed})
    fingerprints = {name.partition("-")[0] for name in used}
    for path in (artifacts.cache_folder() / "bodies").glob("*-*.*"):
        if path.name.partition("-")[0] not in fingerprints:
            path.unlink(missing_ok=True)
    return pruned
