"""Measure bears_tl against its alternatives and write a table."""

from bears_tl.commands.options import path

EXAMPLE = "bears benchmark --photos my_photos --checkpoint auto"


def add(parser) -> None:
    photos, checkpoint = (f"same as the setting {name} (default: %(default)s)" for name in ("photos", "checkpoint"))
    parser.add_argument("--photos", type=path, default="sample", metavar="SOURCE", help=photos)
    parser.add_argument("--checkpoint", type=path, default="random", metavar="SOURCE", help=checkpoint)
    parser.add_argument("--peers", action="store_true", help="include what needs the extras `bench` and `int8`")
    full = "run the article's loop and TensorFlow's tutorial to their ends: many minutes each"
    parser.add_argument("--full", action="store_true", help=full)
    rounds = "how many times to measure each contender (default: %(default)s)"
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help=rounds)
    parser.add_argument("--profile", action="store_true", help="only show where `bears train` spends its time")
    to = "output folder (default: %(default)s)"
    parser.add_argument("--to", type=path, default="results/benchmark", metavar="FOLDER", help=to)


def run(options) -> None:
    from bears_tl.bench import benchmark, speed

    if options.profile:
        print(benchmark.profile(options.photos, options.checkpoint, options.to), end="")
        return
    words = (options.photos, options.checkpoint, options.peers, options.full, options.rounds, options.to)
    print(speed.table(benchmark.measure(*words)), end="")
