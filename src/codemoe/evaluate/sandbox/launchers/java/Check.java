package codemoe.sandbox;

import java.lang.reflect.Array;
import java.lang.reflect.Proxy;
import java.util.Collection;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * What `a.equals(b)` becomes in the tests. An answer of a class of the candidate's own could say
 * that it equals everything; so the candidate's classes may decide only where the tests themselves
 * expect an object of the same class. The expected value is asked as well: a set of the library's
 * with a comparator of the candidate's own would claim to hold whatever it is asked for.
 */
public final class Check {
    private Check() {}

    /** As `left.equals(right)`. */
    public static boolean same(Object left, Object right) {
        if (left == null) throw new NullPointerException("the answer is null");
        return mayDecide(left, right) && left.equals(right) && right.equals(left);
    }

    /** As `Objects.equals`. */
    public static boolean both(Object left, Object right) {
        return left == right || (left != null && right != null && same(left, right));
    }

    /** As `Objects.deepEquals`, `Arrays.equals` and `Arrays.deepEquals`. */
    public static boolean deep(Object left, Object right) {
        return left == right || (mayDecide(left, right) && equal(left, right));
    }

    private static boolean mayDecide(Object left, Object right) {
        Set<Class<?>> answered = new HashSet<>();
        Set<Class<?>> expected = new HashSet<>();
        collect(left, answered, new IdentityHashMap<>());
        collect(right, expected, new IdentityHashMap<>());
        return expected.containsAll(answered);
    }

    private static boolean equal(Object left, Object right) {
        if (left == null || right == null || !left.getClass().isArray()) {
            return left == right || (left != null && right != null && left.equals(right) && right.equals(left));
        }
        if (left.getClass() != right.getClass() || Array.getLength(left) != Array.getLength(right)) return false;
        for (int i = 0; i < Array.getLength(left); i++)
            if (!equal(Array.get(left, i), Array.get(right, i))) return false;
        return true;
    }

    /** The classes of others in a value, as deep as the platform's containers go. */
    private static void collect(Object value, Set<Class<?>> found, Map<Object, Object> seen) {
        if (value == null || value instanceof Number || value instanceof String) {
            if (value == null || isPlatform(value.getClass())) return;
        }
        if (seen.put(value, value) != null) return;
        Class<?> kind = value.getClass();
        if (kind.isArray()) {
            if (kind.getComponentType().isPrimitive()) return;
            for (Object item : (Object[]) value) collect(item, found, seen);
            return;
        }
        if (!isPlatform(kind) && !addsNothing(kind)) {
            found.add(kind);
            return;
        }
        if (value instanceof Collection) {
            for (Object item : (Collection<?>) value) collect(item, found, seen);
        } else if (value instanceof Map) {
            for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
                collect(entry.getKey(), found, seen);
                collect(entry.getValue(), found, seen);
            }
        } else if (value instanceof Map.Entry) {
            collect(((Map.Entry<?, ?>) value).getKey(), found, seen);
            collect(((Map.Entry<?, ?>) value).getValue(), found, seen);
        } else if (value instanceof Optional) {
            collect(((Optional<?>) value).orElse(null), found, seen);
        } else if (value instanceof Iterable) { // our tuples
            for (Object item : (Iterable<?>) value) collect(item, found, seen);
        }
    }

    /** As `new HashMap() {{ put(1, 2); }}`: a library's class with contents and no method of its own. */
    private static boolean addsNothing(Class<?> kind) {
        for (; !isPlatform(kind); kind = kind.getSuperclass()) {
            if (kind.getDeclaredMethods().length > 0 || Proxy.isProxyClass(kind) || kind.isHidden()) return false;
            for (Class<?> one : kind.getInterfaces()) if (!isPlatform(one)) return false;
        }
        return kind != Object.class;
    }

    private static boolean isPlatform(Class<?> kind) {
        ClassLoader loader = kind.getClassLoader();
        boolean ours = loader == null || loader == ClassLoader.getPlatformClassLoader()
                || loader == Check.class.getClassLoader();
        return ours && !Proxy.isProxyClass(kind) && !kind.isHidden();
    }
}
