"""Photos of faces with gender and age: one index format, readers of public sets, honest splits, cached crops."""
