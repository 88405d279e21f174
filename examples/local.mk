# Examples: built by make, run as examples/NAME.
