"""Configuration: the operator's TOML file, checked and converted into `Settings`."""
