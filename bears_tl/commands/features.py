"""Compute and cache the features of a run's photos."""

from bears_tl.commands.options import path

EXAMPLE = "bears features --run runs/sample"


def add(parser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--run", type=path, metavar="RUN", help="run directory, for example runs/sample")
    what.add_argument("--info", action="store_true", help="list the contents of the cache and compute nothing")
    parser.add_argument("--ray", action="store_true", help="compute on a Ray cluster instead of in this process")
    parser.add_argument("--address", metavar="HOST:PORT", help="address of the Ray cluster (default: as Ray decides)")
    parser.add_argument(
        "--photos-url", metavar="URL", help="read the photos from a copy of the folder, for example s3://bucket/folder"
    )


def run(options) -> None:
    from bears_tl.pipeline import stages
    from bears_tl.pipeline.run import Run

    if options.info:
        _describe_cache()
        return
    run = Run.open(options.run)
    found = stages.features(run, stages.restore(run), options.ray, options.address, options.photos_url)
    print(", ".join(f"{rows.shape[0]} x {rows.shape[1]} {name}" for name, rows in found.items()), "views are cached")


def _describe_cache() -> None:
    from bears_tl.features.cache import describe
    from bears_tl.pipeline import artifacts

    found = describe(artifacts.cache_folder())
    for row in found:
        size = f"{row['bytes'] / 1e6:,.1f} MB"
        print(f"{row['name']}: {row['rows']:,} one-view features in {row['shards']:,} shards, {size}")
    if not found:
        print(f"no features in {str(artifacts.cache_folder())!r} yet: `bears train` computes them")
