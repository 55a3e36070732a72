"""Many runs of one small problem, trained together in one process."""
