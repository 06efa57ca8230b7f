"""Build a folder of licensed photos from Open Images V7."""

from bears_tl.commands.options import path

EXAMPLE = "bears open-images --to data/cats_dogs --class Cat Dog --per-class 100"


def add(parser) -> None:
    parser.add_argument("--to", type=path, required=True, metavar="FOLDER", help="a new folder")
    recipe = "recipe (default: %(default)s)"
    parser.add_argument("--config", type=path, default="configs/open_images.yaml", metavar="YAML", help=recipe)
    parser.add_argument("--per-class", type=int, metavar="N", help="at most N photos per class")
    parser.add_argument(
        "--class", dest="classes", nargs="+", action="extend", metavar="NAME",
        help="Open Images classes to use instead of the config's; FOLDER=NAME also sets the folder's name",
    )  # fmt: skip


def run(options) -> None:
    from bears_tl.photos.open_images.build import build, load

    recipe = load(options.config, per_class=options.per_class, classes=options.classes)
    for harvest in build(recipe, options.to):
        print(harvest.sentence())
