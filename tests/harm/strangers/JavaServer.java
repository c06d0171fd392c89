// JavaServer FOLDER: com.sun.net.httpserver with clients in the same process that verify every answer, threads that
// compute, and garbage. Answers "check" on stdin as samples/self_check.h says.
import com.sun.net.httpserver.HttpServer;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.locks.LockSupport;
import java.util.zip.CRC32;

public class JavaServer {
	interface Work {
		void run() throws Exception;
	}

	static final int CHECKERS = 8;
	static final AtomicLong wrong = new AtomicLong(), failed = new AtomicLong(), interrupted = new AtomicLong();
	static final AtomicLongArray rounds = new AtomicLongArray(CHECKERS);
	static volatile String first = "";
	static int started;

	static synchronized void note(AtomicLong count, String text) {
		count.incrementAndGet();
		if (first.isEmpty())
			first = text.replaceAll("[^ -!#-\\[\\]-~]", "'");
	}

	static void start(Work work) {
		int index = started++;
		Thread thread = new Thread(() -> {
			for (;;) {
				try {
					work.run();
				} catch (Throwable error) {
					boolean isInterrupted = String.valueOf(error.getMessage()).contains("Interrupted system call");
					note(isInterrupted ? interrupted : failed, error.toString());
				}
				rounds.incrementAndGet(index);
			}
		});
		thread.setDaemon(true);
		thread.start();
	}

	static void get(URL url, byte[] body) throws IOException {
		HttpURLConnection connection = (HttpURLConnection) url.openConnection();
		int status = connection.getResponseCode();
		byte[] found = connection.getInputStream().readAllBytes();
		if (status != 200 || !Arrays.equals(found, body))
			note(wrong, "answer " + status + " with " + found.length + " bytes");
	}

	static long sumOf(byte[] block) {
		CRC32 sum = new CRC32();
		sum.update(block);
		return sum.getValue();
	}

	static void churn() {
		byte[][] blocks = new byte[200][];
		long[] sums = new long[blocks.length];
		for (int i = 0; i < blocks.length; i++) {
			blocks[i] = new byte[1000 + 37 * i];
			Arrays.fill(blocks[i], (byte) i);
			sums[i] = sumOf(blocks[i]);
			LockSupport.parkNanos(50_000);
		}
		for (int i = 0; i < blocks.length; i++)
			if (sumOf(blocks[i]) != sums[i])
				note(wrong, "block " + i + " has changed");
	}

	static long compute(long state, int count) {
		for (int i = 0; i < count; i++)
			state = state * 6364136223846793005L + 1442695040888963407L;
		return state;
	}

	static void answer() throws InterruptedException {
		long[] before = new long[CHECKERS];
		for (int i = 0; i < CHECKERS; i++)
			before[i] = rounds.get(i);
		long deadline = System.nanoTime() + 30_000_000_000L, sum = 0;
		int stuck = 0;
		for (int i = 0; i < CHECKERS; i++) {
			while (rounds.get(i) == before[i] && System.nanoTime() < deadline)
				Thread.sleep(1);
			stuck += rounds.get(i) == before[i] ? 1 : 0;
			sum += rounds.get(i);
		}
		System.out.printf("{\"rounds\":%d,\"stuck\":%d,\"wrong\":%d,\"failed\":%d,\"interrupted\":%d,\"first\":\"%s\"}%n",
				sum, stuck, wrong.get(), failed.get(), interrupted.get(), first);
		System.out.flush();
	}

	public static void main(String[] words) throws Exception {
		byte[] body = "0123456789abcdef".repeat(256).getBytes();
		Path path = Path.of(words[0], "java-body.txt");
		Files.write(path, body);
		HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
		server.createContext("/", exchange -> {
			byte[] data = Files.readAllBytes(path);
			exchange.sendResponseHeaders(200, data.length);
			exchange.getResponseBody().write(data);
			exchange.close();
		});
		server.setExecutor(Executors.newFixedThreadPool(4));
		server.start();
		URL url = new URL("http://127.0.0.1:" + server.getAddress().getPort() + "/body");
		for (int i = 0; i < 4; i++)
			start(() -> get(url, body));
		start(JavaServer::churn);
		start(JavaServer::churn);
		long expected = compute(1, 100_000);
		start(() -> {
			if (compute(1, 100_000) != expected)
				note(wrong, "a computation gave something else");
			Thread.sleep(1);
		});
		start(() -> {
			Process process = new ProcessBuilder("/bin/sh", "-c", "exit 3").start();
			if (process.waitFor() != 3)
				note(wrong, "a child's exit status");
			Thread.sleep(20);
		});
		System.out.println("READY {\"pid\":" + ProcessHandle.current().pid() + "}");
		System.out.flush();
		BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
		for (String line; (line = input.readLine()) != null && !line.equals("quit");)
			answer();
		System.exit(0);
	}
}
