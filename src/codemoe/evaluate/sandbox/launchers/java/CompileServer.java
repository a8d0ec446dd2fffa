package codemoe.sandbox;

import com.sun.source.tree.ClassTree;
import com.sun.source.tree.CompilationUnitTree;
import com.sun.source.tree.ExpressionTree;
import com.sun.source.tree.IdentifierTree;
import com.sun.source.tree.MemberSelectTree;
import com.sun.source.tree.MethodInvocationTree;
import com.sun.source.tree.MethodTree;
import com.sun.source.tree.Tree;
import com.sun.source.util.JavacTask;
import com.sun.source.util.SourcePositions;
import com.sun.source.util.TreePath;
import com.sun.source.util.TreePathScanner;
import com.sun.source.util.Trees;
import java.io.BufferedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.OutputStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import javax.tools.Diagnostic;
import javax.tools.DiagnosticCollector;
import javax.tools.FileObject;
import javax.tools.ForwardingJavaFileManager;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileManager;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;

/**
 * Compiles source after source from standard input to class bytes on standard output. It never
 * loads what it compiled. Request: int boundary, int length, UTF-8 source; the suite's main is the
 * one that starts at or after the boundary (in characters), so that a candidate cannot bring its
 * own. Answer: boolean ok; then the main class and the classes, or an int length and the message.
 */
public final class CompileServer {
    private static final JavaCompiler COMPILER = ToolProvider.getSystemJavaCompiler();

    private static final class Source extends SimpleJavaFileObject {
        private final String text;

        Source(String text) {
            super(URI.create("mem:///Program.java"), Kind.SOURCE);
            this.text = text;
        }

        @Override
        public CharSequence getCharContent(boolean ignoreEncodingErrors) {
            return text;
        }

        @Override
        public boolean isNameCompatible(String simpleName, Kind kind) {
            return true; // a public class may have any name: there is no file
        }
    }

    private static final class Memory extends ForwardingJavaFileManager<StandardJavaFileManager> {
        Map<String, ByteArrayOutputStream> classes = new LinkedHashMap<>();

        Memory(StandardJavaFileManager files) {
            super(files);
        }

        @Override
        public JavaFileObject getJavaFileForOutput(
                JavaFileManager.Location where, String name, JavaFileObject.Kind kind, FileObject by) {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            classes.put(name, bytes);
            return new SimpleJavaFileObject(URI.create("mem:///" + name.replace('.', '/')), kind) {
                @Override
                public OutputStream openOutputStream() {
                    return bytes;
                }
            };
        }
    }

    private static final class Result {
        String mainClass;
        String message;
    }

    public static void main(String[] args) throws Exception {
        DataInputStream in = new DataInputStream(System.in);
        DataOutputStream out = new DataOutputStream(new BufferedOutputStream(System.out, 1 << 16));
        System.setOut(System.err);
        StandardJavaFileManager files =
                COMPILER.getStandardFileManager(null, null, StandardCharsets.UTF_8);
        while (true) {
            int boundary;
            try {
                boundary = in.readInt();
            } catch (EOFException end) {
                return;
            }
            String source = new String(in.readNBytes(in.readInt()), StandardCharsets.UTF_8);
            Memory memory = new Memory(files);
            Result result = new Result();
            Throwable[] broken = new Throwable[1];
            // A thread of its own: a stack overflow in it leaves this one whole.
            Thread thread = new Thread(null, () -> {
                try {
                    compile(source, boundary, memory, result);
                } catch (Throwable error) {
                    broken[0] = error;
                }
            }, "compile");
            thread.start();
            thread.join();
            if (broken[0] != null) {
                Throwable cause = broken[0].getCause() == null ? broken[0] : broken[0].getCause();
                result.message = "the compiler gave up: " + cause.getClass().getName();
            }
            out.writeBoolean(result.message == null);
            if (result.message == null) {
                out.writeUTF(result.mainClass);
                out.writeInt(memory.classes.size());
                for (Map.Entry<String, ByteArrayOutputStream> entry : memory.classes.entrySet()) {
                    out.writeUTF(entry.getKey());
                    out.writeInt(entry.getValue().size());
                    entry.getValue().writeTo(out);
                }
            } else {
                byte[] text = result.message.getBytes(StandardCharsets.UTF_8);
                out.writeInt(text.length);
                out.write(text);
            }
            out.flush();
            if (broken[0] instanceof OutOfMemoryError) return; // the client starts a fresh one
        }
    }

    private static void compile(String source, int boundary, Memory memory, Result result)
            throws Exception {
        DiagnosticCollector<JavaFileObject> problems = new DiagnosticCollector<>();
        List<String> options =
                List.of("-proc:none", "-g:none", "-nowarn", "-Xlint:none", "-implicit:none");
        Source guarded = new Source(guard(source, boundary, memory, result));
        if (result.message != null) return;
        // Insertions stand behind the boundary, which therefore stays where it is.
        JavacTask task = (JavacTask)
                COMPILER.getTask(null, memory, problems, options, null, List.of(guarded));
        Trees trees = Trees.instance(task);
        for (CompilationUnitTree unit : task.parse()) {
            new TreePathScanner<Void, Void>() {
                @Override
                public Void visitMethod(MethodTree method, Void none) {
                    long start = trees.getSourcePositions().getStartPosition(unit, method);
                    if (method.getName().contentEquals("main") && start >= boundary)
                        result.mainClass = binaryName(unit, getCurrentPath());
                    return super.visitMethod(method, none);
                }
            }.scan(unit, null);
        }
        task.generate();
        for (Diagnostic<?> problem : problems.getDiagnostics()) {
            if (problem.getKind() != Diagnostic.Kind.ERROR) continue;
            String text = problem.getMessage(null);
            result.message = "line " + problem.getLineNumber() + ": " + text;
            return;
        }
        if (result.mainClass == null) result.message = "the tests hold no main method";
    }

    /**
     * The source with every comparison of the tests made by Check. A program that brings a class
     * of its own under the name of a library's, which the tests use, gets a message instead.
     */
    private static String guard(String source, int boundary, Memory memory, Result result)
            throws Exception {
        JavacTask task = (JavacTask) COMPILER.getTask(
                null, memory, new DiagnosticCollector<>(), null, null, List.of(new Source(source)));
        SourcePositions at = Trees.instance(task).getSourcePositions();
        TreeMap<Long, String[]> edits = new TreeMap<>(); // position -> {end, text}, none overlap
        Set<String> defined = new HashSet<>();
        Set<String> mentioned = new HashSet<>();
        for (CompilationUnitTree unit : task.parse()) {
            new TreePathScanner<Void, Void>() {
                private boolean inTests(Tree tree) {
                    return at.getStartPosition(unit, tree) >= boundary;
                }

                @Override
                public Void visitClass(ClassTree tree, Void none) {
                    if (!inTests(tree)) defined.add(tree.getSimpleName().toString());
                    return super.visitClass(tree, none);
                }

                @Override
                public Void visitIdentifier(IdentifierTree tree, Void none) {
                    if (inTests(tree)) mentioned.add(tree.getName().toString());
                    return super.visitIdentifier(tree, none);
                }

                @Override
                public Void visitMethodInvocation(MethodInvocationTree tree, Void none) {
                    if (inTests(tree) && tree.getMethodSelect() instanceof MemberSelectTree) {
                        compare(tree, (MemberSelectTree) tree.getMethodSelect());
                    }
                    return super.visitMethodInvocation(tree, none);
                }

                private void compare(MethodInvocationTree tree, MemberSelectTree select) {
                    String name = select.getIdentifier().toString();
                    String owner = select.getExpression().toString();
                    long start = at.getStartPosition(unit, tree);
                    long afterOwner = at.getEndPosition(unit, select.getExpression());
                    List<? extends ExpressionTree> arguments = tree.getArguments();
                    if (arguments.size() == 1 && name.equals("equals") && !owner.equals("super")) {
                        long argument = at.getStartPosition(unit, arguments.get(0));
                        String outer = edits.containsKey(start) ? edits.get(start)[1] : "";
                        edits.put(start, new String[] {"" + start, outer + CHECK + "same("});
                        edits.put(afterOwner, new String[] {"" + argument, ", "});
                    } else if (arguments.size() == 2 && COMPARING.contains(owner + "." + name)) {
                        long end = at.getEndPosition(unit, select);
                        boolean deep = !(owner + "." + name).endsWith("Objects.equals");
                        edits.put(start, new String[] {"" + end, CHECK + (deep ? "deep" : "both")});
                    }
                }
            }.scan(unit, null);
        }
        for (String name : defined) {
            if (!mentioned.contains(name)) continue;
            for (String library : LIBRARIES) {
                try {
                    Class.forName(library + name, false, null);
                } catch (ClassNotFoundException | LinkageError none) {
                    continue;
                }
                result.message = "the program replaces " + library + name + ", which the tests use";
            }
        }
        StringBuilder text = new StringBuilder(source);
        for (Map.Entry<Long, String[]> edit : edits.descendingMap().entrySet()) {
            int end = Integer.parseInt(edit.getValue()[0]);
            text.replace(edit.getKey().intValue(), end, edit.getValue()[1]);
        }
        return text.toString();
    }

    private static final String CHECK = "codemoe.sandbox.Check.";
    private static final Set<String> COMPARING = Set.of("Objects.equals", "Objects.deepEquals",
            "Arrays.equals", "Arrays.deepEquals", "java.util.Objects.equals",
            "java.util.Objects.deepEquals", "java.util.Arrays.equals", "java.util.Arrays.deepEquals");
    private static final List<String> LIBRARIES =
            List.of("java.lang.", "java.util.", "java.util.stream.", "java.util.function.");

    private static String binaryName(CompilationUnitTree unit, TreePath path) {
        String name = "";
        for (TreePath at = path; at != null; at = at.getParentPath()) {
            if (at.getLeaf() instanceof ClassTree) {
                String simple = ((ClassTree) at.getLeaf()).getSimpleName().toString();
                name = name.isEmpty() ? simple : simple + "$" + name;
            }
        }
        return unit.getPackageName() == null ? name : unit.getPackageName() + "." + name;
    }
}
