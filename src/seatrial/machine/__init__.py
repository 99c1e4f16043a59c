"""What this machine is, and what of it would disturb a measurement."""
