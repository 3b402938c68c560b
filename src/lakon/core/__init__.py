"""What every room speaks: errors, digests, records and protocols. Imports nothing else of Lakon."""
