"""Plans: YAML files that list runs, and how long the runs will take."""
