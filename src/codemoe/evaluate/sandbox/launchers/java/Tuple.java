package org.javatuples;

import java.util.Arrays;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;

/** What suites use of javatuples: fixed sequences of values that are equal when their values are. */
public abstract class Tuple implements Iterable<Object>, Comparable<Tuple> {
    private final List<Object> values;

    Tuple(Object... values) {
        this.values = Collections.unmodifiableList(Arrays.asList(values));
    }

    public final Object getValue(int index) {
        return values.get(index);
    }

    public final int getSize() {
        return values.size();
    }

    public final List<Object> toList() {
        return values;
    }

    public final boolean contains(Object value) {
        return values.contains(value);
    }

    @Override
    public final Iterator<Object> iterator() {
        return values.iterator();
    }

    @Override
    public final boolean equals(Object other) {
        return other instanceof Tuple && values.equals(((Tuple) other).values);
    }

    @Override
    public final int hashCode() {
        return values.hashCode();
    }

    @Override
    public final String toString() {
        return values.toString();
    }

    @Override
    @SuppressWarnings({"unchecked", "rawtypes"})
    public final int compareTo(Tuple other) {
        for (int i = 0; i < Math.min(getSize(), other.getSize()); i++) {
            int order = ((Comparable) getValue(i)).compareTo(other.getValue(i));
            if (order != 0) return order;
        }
        return Integer.compare(getSize(), other.getSize());
    }
}
