"""The values that everything else speaks in. Pure: no input, no output, no clock."""
