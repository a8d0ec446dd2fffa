package org.javatuples;

/** 2 values. */
public final class Pair<A, B> extends Tuple {
    private final A value0;
    private final B value1;

    public Pair(A value0, B value1) {
        super(value0, value1);
        this.value0 = value0;
        this.value1 = value1;
    }

    public static <A, B> Pair<A, B> with(A value0, B value1) {
        return new Pair<>(value0, value1);
    }

    public A getValue0() {
        return value0;
    }

    public B getValue1() {
        return value1;
    }

    public <X> Pair<X, B> setAt0(X value) {
        return new Pair<>(value, value1);
    }

    public <X> Pair<A, X> setAt1(X value) {
        return new Pair<>(value0, value);
    }
}
