"""Charts as SVG text, made of numbers that `bench.analysis` found; nothing is computed of them.

Places are per cent of a chart's width, so that it fits any, and colours are classes, which a page
or a file of its own gives their meaning (`theme`).
"""
