"""The simple index, read and written. Pure: bytes and values in, bytes and values out."""
