import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs command lines of Kafka's tools one after the other in one JVM, which starts once instead of for each of them.
 *
 * <p>A request is a line of words in base64, each after a dot: the tool's class, what it is to read, its arguments. The
 * answer is a line: the exit code, and in base64 what it has printed. Every tool is loaded anew, as some count in static
 * fields; what they have in common, the clients above all, stays.
 */
public final class Tools {
    /** Ends a tool where it would have ended the JVM. */
    private static final class Ended extends Error {
        private final int code;

        private Ended(int code) {
            super(null, null, false, false);
            this.code = code;
        }
    }

    /** Loads the tools' own classes itself, and asks for all others above. */
    private static final class Loader extends URLClassLoader {
        private Loader(URL[] classpath, ClassLoader parent) {
            super(classpath, parent);
        }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            if (!name.startsWith("org.apache.kafka.tools.") && !name.startsWith("kafka.")) {
                return super.loadClass(name, resolve);
            }
            synchronized (getClassLoadingLock(name)) {
                Class<?> known = findLoadedClass(name);
                return known != null ? known : findClass(name);
            }
        }
    }

    /** Standard output and standard error, whose bytes go to the tool that runs: loggers keep the streams they find. */
    private static final class Printed extends OutputStream {
        private ByteArrayOutputStream bytes = new ByteArrayOutputStream();

        @Override
        public synchronized void write(int one) {
            bytes.write(one);
        }

        @Override
        public synchronized void write(byte[] from, int at, int length) {
            bytes.write(from, at, length);
        }

        private synchronized byte[] take() {
            byte[] taken = bytes.toByteArray();
            bytes = new ByteArrayOutputStream();
            return taken;
        }
    }

    private Tools() {}

    public static void main(String[] ignored) throws IOException {
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        PrintStream answers = System.out;
        Printed printed = new Printed();
        PrintStream stream = new PrintStream(printed, true, StandardCharsets.UTF_8);
        System.setOut(stream);
        System.setErr(stream);
        List<Runnable> hooks = new CopyOnWriteArrayList<>();
        Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
        URL[] classpath = Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
                .map(Tools::url).toArray(URL[]::new);
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            List<String> words = new ArrayList<>();
            for (String word : line.split(" ")) {
                words.add(new String(Base64.getDecoder().decode(word.substring(1)), StandardCharsets.UTF_8));
            }
            System.setIn(new ByteArrayInputStream(words.get(1).getBytes(StandardCharsets.UTF_8)));
            int code = run(classpath, words.get(0), words.subList(2, words.size()).toArray(String[]::new));
            hooks.forEach(Runnable::run);
            hooks.clear();
            stream.flush();
            answers.println(code + " " + Base64.getEncoder().encodeToString(printed.take()));
            answers.flush();
        }
    }

    private static URL url(String path) {
        try {
            return new File(path).toURI().toURL();
        } catch (MalformedURLException error) {
            throw new IllegalArgumentException(error);
        }
    }

    private static int run(URL[] classpath, String name, String[] arguments) {
        // The first exit counts: a tool may catch what ends it, and try to end with another code.
        int[] first = {-1};
        Exit.Procedure end = (code, message) -> {
            if (first[0] < 0) {
                first[0] = code;
            }
            throw new Ended(first[0]);
        };
        Exit.setExitProcedure(end);
        Exit.setHaltProcedure(end);
        try (Loader loader = new Loader(classpath, Tools.class.getClassLoader())) {
            Thread.currentThread().setContextClassLoader(loader);
            loader.loadClass(name).getMethod("main", String[].class).invoke(null, (Object) arguments);
            return Math.max(first[0], 0);
        } catch (InvocationTargetException error) {
            if (error.getCause() instanceof Ended ended) {
                return ended.code;
            }
            error.getCause().printStackTrace();
            return 1;
        } catch (ReflectiveOperationException | IOException error) {
            error.printStackTrace();
            return 1;
        }
    }
}
