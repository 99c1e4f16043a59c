"""A model's file: what it says about itself, read without trusting it."""
