"""Measure this against its alternatives, and write a table."""


def add(parser) -> None:
    photos, checkpoint = (f"like the setting {name}; default: %(default)s" for name in ("photos", "checkpoint"))
    parser.add_argument("--photos", default="sample", metavar="SOURCE", help=photos)
    parser.add_argument("--checkpoint", default="random", metavar="SOURCE", help=checkpoint)
    parser.add_argument("--peers", action="store_true", help="also OpenVINO and ONNX Runtime, the extra `bench`")
    parser.add_argument(
        "--full",
        action="store_true",
        help="also train the article's loop and TensorFlow's tutorial to the end: minutes each",
    )
    rounds = "measure each so often; default: %(default)s"
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help=rounds)
    parser.add_argument("--profile", action="store_true", help="only show where the seconds of `bears train` go")
    parser.add_argument("--to", default="results", metavar="FOLDER", help="default: %(default)s")


def run(options) -> None:
    from pathlib import Path

    from bears_tl.bench import benchmark

    if options.profile:
        print(benchmark.profile(options.photos, options.checkpoint, options.to), end="")
        return
    benchmark.measure(options.photos, options.checkpoint, options.peers, options.full, options.rounds, options.to)
    print(Path(options.to, "benchmark.md").read_text(encoding="utf-8"), end="")
