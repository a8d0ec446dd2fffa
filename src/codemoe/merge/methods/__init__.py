"""Merge methods: pure functions of one tensor of every model. `table.METHODS` lists them."""
