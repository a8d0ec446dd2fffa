"""Where names last got their values, and the edges of a data flow: how several become one."""

States = dict[str, tuple[int, ...]]  # name -> tokens that it may come from
# Name, token, relation, the names it comes from, their tokens.
Edge = tuple[str, int, str, tuple[str, ...], tuple[int, ...]]


def joined(ends: list[States]) -> States:
    """Every name with all places it may come from, in order."""
    joined = ends[0].copy()
    mixed: dict[str, set[int]] = {}
    for one in ends[1:]:
        for name, places in one.items():
            known = joined.get(name)
            if known is None:
                joined[name] = places
            elif known is not places and known != places:
                mixed.setdefault(name, set(known)).update(places)
    for name, all_places in mixed.items():
        joined[name] = tuple(sorted(all_places))
    return joined


def merged_alike(edges: list[Edge]) -> list[Edge]:
    """Edges of one name, token and relation in one, where the first of them stood."""
    merged: dict[tuple[str, int, str], Edge] = {}
    for edge in edges:
        key = edge[:3]
        known = merged.get(key)
        if known is None:
            merged[key] = edge
        elif len(edge[3]) > 1 or known[4] != edge[4] or known[3] != edge[3]:
            names = tuple(sorted({*known[3], *edge[3]}))
            merged[key] = (*key, names, tuple(sorted({*known[4], *edge[4]})))
    return list(merged.values())
