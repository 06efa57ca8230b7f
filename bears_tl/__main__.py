"""`python -m bears_tl`, the same as `bears`."""

import sys

from bears_tl.cli import main

sys.exit(main())
