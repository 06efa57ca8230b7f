"""Try photos on a trained run, in the browser."""

from bears_tl.commands.options import add_run

EXAMPLE = "bears app --run runs/sample"


def add(parser) -> None:
    add_run(parser)
    port = "port; 0: any free one (default: %(default)s)"
    parser.add_argument("--port", type=int, default=8018, metavar="N", help=port)
    host = "address to serve (default: %(default)s, this machine only); 0.0.0.0: open to the whole network"
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help=host)


def run(options) -> int:
    from bears_tl.pipeline.run import Run
    from bears_tl.serving import app

    run = Run.open(options.run)
    app.warn_if_open(options.host)
    try:
        app.serve(run, options.host, options.port, lambda address: print(f"{address} (Ctrl-C ends it)", flush=True))
    except KeyboardInterrupt:
        return 0
    return 0
