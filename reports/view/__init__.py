"""What every format shows of a run, as plain values: taken from the comparison, judged nowhere."""
