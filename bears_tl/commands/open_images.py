"""Build a photo folder with licences from Open Images V7."""


def add(parser) -> None:
    parser.add_argument("--to", required=True, metavar="FOLDER", help="a folder that is not there yet")
    parser.add_argument("--config", default="configs/open_images.yaml", metavar="YAML", help="default: %(default)s")
    parser.add_argument("--per-class", type=int, metavar="N", help="at most so many photos a class")
    parser.add_argument(
        "--class", dest="classes", nargs="+", action="extend", metavar="NAME",
        help="a class of Open Images in place of the config's; FOLDER=NAME gives its folder another name",
    )  # fmt: skip


def run(options) -> None:
    from bears_tl.photos.open_images.build import build, load

    recipe = load(options.config, per_class=options.per_class, classes=options.classes)
    for harvest in build(recipe, options.to):
        print(harvest.sentence())
