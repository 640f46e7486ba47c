"""The values that all other packages share. Pure: no input, no output, no clock."""
