"""The article of 2019: its procedure, its seven choices and its claims."""
