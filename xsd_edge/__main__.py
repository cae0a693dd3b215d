"""`python -m xsd_edge` is `xsd-edge`."""

from xsd_edge.cli import main

main()
