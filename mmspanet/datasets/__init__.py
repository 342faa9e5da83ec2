"""The synthetic data set, which every small config trains on, and the check of any data set."""
