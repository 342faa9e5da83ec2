"""A data set before a run, told on one page: classes, sizes, duplicates, likely label mistakes."""
