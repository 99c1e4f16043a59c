"""What the machine did beside us while something was measured."""
