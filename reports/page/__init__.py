"""The parts of ``report.html``: the view of a run, laid out as charts."""
