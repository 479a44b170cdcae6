"""How each kind of engine is started and asked, and how it stays registered."""
