"""Programs that train or analyse many runs."""
