// Fetch - a Java client: fetches URL in four threads at once, prints what all of them got
import java.net.URI;
import java.net.URL;
import java.util.Collections;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.TreeSet;

public class Fetch {
    public static void main(String[] arguments) throws Exception {
        URL url = URI.create(arguments[0]).toURL();
        Callable<String> fetch = () -> {
            try (var body = url.openStream()) {
                return new String(body.readAllBytes());
            }
        };
        ExecutorService threads = Executors.newFixedThreadPool(4);
        Set<String> bodies = new TreeSet<>();
        try {
            for (Future<String> answer : threads.invokeAll(Collections.nCopies(4, fetch)))
                bodies.add(answer.get());
            System.out.print(String.join("", bodies));
        } catch (ExecutionException error) {
            System.err.println(error.getCause());
            System.exit(1);
        } finally {
            threads.shutdown();
        }
    }
}
