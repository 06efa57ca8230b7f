"""Check every file of a folder: photos.csv, quarantine.csv."""

from bears_tl.commands.options import add_run, path

EXAMPLE = "bears intake my_photos --run runs/mine"


def add(parser) -> None:
    parser.add_argument("folder", type=path, metavar="FOLDER", help="photos, one folder per class")
    add_run(parser)


def run(options) -> None:
    from bears_tl.pipeline import stages
    from bears_tl.pipeline.run import Run, settings_from

    run = Run(settings_from(None, [f"photos={options.folder}"], options.run))
    stages.fetch(run)
    taken = stages.intake(run)
    print(f"{len(taken.photos)} photos, {len(taken.quarantined)} quarantined: {run.path('photos.csv')}")
