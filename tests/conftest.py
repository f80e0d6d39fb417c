"""What pytest must not import while it looks for tests and examples."""

collect_ignore = ["op_db.py"]  # needs PyTorch; test_op_db imports it once PyTorch is known to be there
