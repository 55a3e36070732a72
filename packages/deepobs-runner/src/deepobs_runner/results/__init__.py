"""Results of runs: files, official results of 2019, baseline sets."""
