// Work - a JVM alone: threads, a garbage collector that has work, a server and its clients, a process
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.LongStream;

public class Work {
    private static final int CLIENTS = 50;

    private static void serve(ServerSocket server) {
        try {
            for (int i = 0; i < CLIENTS; i++)
                try (Socket client = server.accept()) {
                    client.getOutputStream().write(client.getInputStream().readAllBytes());
                }
        } catch (IOException error) {
            error.printStackTrace();
        }
    }

    private static String ask(int port, String text) throws IOException {
        try (Socket server = new Socket(InetAddress.getLoopbackAddress(), port)) {
            server.getOutputStream().write(text.getBytes());
            server.shutdownOutput();
            return new String(server.getInputStream().readAllBytes());
        }
    }

    private static int sockets() throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(10);
        try (ServerSocket server = new ServerSocket(0, CLIENTS, InetAddress.getLoopbackAddress())) {
            pool.submit(() -> serve(server));
            List<Future<String>> answers = new ArrayList<>();
            for (int i = 0; i < CLIENTS; i++) {
                String text = "client " + i;
                answers.add(pool.submit(() -> ask(server.getLocalPort(), text)));
            }
            int right = 0;
            for (int i = 0; i < CLIENTS; i++)
                if (answers.get(i).get().equals("client " + i))
                    right++;
            return right;
        } finally {
            pool.shutdown();
        }
    }

    private static int garbage() {
        int length = 0;
        for (int i = 0; i < 2000; i++)
            length += new byte[1 << 20].length >> 20;
        return length;
    }

    public static void main(String[] arguments) throws Exception {
        System.out.println("threads " + LongStream.rangeClosed(1, 10_000_000).parallel().sum());
        System.out.println("garbage " + garbage());
        System.out.println("sockets " + sockets());
        Process process = new ProcessBuilder("sh", "-c", "echo hello; exit 3").start();
        System.out.print("process " + new String(process.getInputStream().readAllBytes()));
        System.out.println("status " + process.waitFor());
        Files.writeString(Path.of("file"), "written");
        System.out.println("file " + Files.readString(Path.of("file")));
    }
}
