"""How the mirror is doing: one snapshot of facts, one judgement, and renderers that judge nothing."""
