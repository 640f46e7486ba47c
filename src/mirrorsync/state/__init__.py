"""What the mirror knows of itself: the ledger of projects, the inventory of files, and the cursor, in SQLite."""
