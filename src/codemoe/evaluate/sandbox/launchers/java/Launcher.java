package codemoe.sandbox;

import java.io.DataInputStream;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/**
 * Runs one compiled program: classes come on standard input, the suite's main is called, and the
 * nonce, which only this frame holds, is written when that main has returned.
 */
public final class Launcher {
    private static final class Loader extends ClassLoader {
        private final Map<String, byte[]> classes;

        Loader(Map<String, byte[]> classes) {
            super(Launcher.class.getClassLoader());
            this.classes = classes;
        }

        @Override
        protected Class<?> findClass(String name) throws ClassNotFoundException {
            byte[] code = classes.remove(name);
            if (code == null) throw new ClassNotFoundException(name);
            return defineClass(name, code, 0, code.length);
        }
    }

    public static void main(String[] args) throws Exception {
        // Unbuffered: no copy of the nonce stays behind in System.in.
        DataInputStream in = new DataInputStream(new FileInputStream(FileDescriptor.in));
        String nonce = in.readUTF();
        // Standard output is the result channel; what the program prints goes to the other one.
        FileOutputStream result = new FileOutputStream(FileDescriptor.out);
        System.setOut(System.err);
        String mainClass = in.readUTF();
        Map<String, byte[]> classes = new HashMap<>();
        for (int left = in.readInt(); left > 0; left--) {
            String name = in.readUTF();
            classes.put(name, in.readNBytes(in.readInt()));
        }
        result.write("S\n".getBytes(StandardCharsets.UTF_8));
        String line;
        try {
            Class<?> suite = Class.forName(mainClass, true, new Loader(classes));
            Method main = suite.getDeclaredMethod("main", String[].class);
            main.setAccessible(true);
            main.invoke(null, (Object) new String[0]);
            System.out.flush();
            line = "P " + nonce;
        } catch (InvocationTargetException wrapped) {
            line = judge(wrapped.getCause(), mainClass);
        } catch (Throwable error) {
            Throwable cause = error;
            if (error instanceof ExceptionInInitializerError && error.getCause() != null)
                cause = error.getCause();
            line = judge(cause, mainClass);
        }
        result.write((line + "\n").getBytes(StandardCharsets.UTF_8));
        Runtime.getRuntime().halt(line.startsWith("P") ? 0 : 1);
    }

    private static String judge(Throwable error, String mainClass) {
        String kind = "E";
        if (error instanceof AssertionError) {
            kind = "F";
        } else if (error instanceof OutOfMemoryError) {
            kind = "O";
        } else if (error.getClass() == Exception.class || error.getClass() == RuntimeException.class) {
            // Suites without assertions throw by hand from their main.
            StackTraceElement[] trace = error.getStackTrace();
            boolean inSuite = trace.length > 0 && trace[0].getClassName().equals(mainClass);
            if (inSuite && trace[0].getMethodName().equals("main")) kind = "F";
        }
        String text;
        try {
            text = error.toString();
        } catch (Throwable nested) {
            text = error.getClass().getName();
        }
        if (text.length() > 600) text = text.substring(0, 600);
        return kind + " " + text.replace('\n', ' ');
    }
}
