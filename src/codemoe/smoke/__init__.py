"""A recipe in small, to see what is wrong before money is spent: `codemoe run RECIPE --smoke`."""
