"""How a release is made and checked; none of it is in the wheel."""
