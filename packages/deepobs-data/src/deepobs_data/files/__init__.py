"""The files of data sets: where they are, how they are fetched, checked, decoded and cached."""
