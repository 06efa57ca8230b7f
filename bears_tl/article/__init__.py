"""Everything about the article of 2019: its procedure, its seven choices, its claims."""
