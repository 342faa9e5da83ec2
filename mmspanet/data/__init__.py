"""The embedded data set, which every small config trains on."""
