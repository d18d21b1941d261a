"""What the tests with real virtual machines are written in: guests, Muntin's processes, pictures, waiting."""
