"""Decoding and encoding the simple index. Pure: bytes and values in, bytes and values out."""
