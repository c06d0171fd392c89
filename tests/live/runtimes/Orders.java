import java.util.*;

/* Keeps orders in a map, as it is told. Its answers: how many there are. */
public class Orders {
	static final class Order {
		long id;
		String customer;
		int[] items = new int[8];

		Order(long id) {
			this.id = id;
			customer = "customer-" + id;
		}
	}

	static final Map<String, Order> kept = new HashMap<>();

	static String truth() {
		return "{\"pid\":" + ProcessHandle.current().pid() + ",\"kept\":" + kept.size() + "}";
	}

	public static void main(String[] arguments) {
		Scanner input = new Scanner(System.in);
		System.out.println("READY " + truth());
		while (input.hasNextLine()) {
			String[] words = input.nextLine().split(" ");
			if (words[0].equals("quit"))
				return;
			for (int i = 0, end = Integer.parseInt(words[1]); i < end; i++)
				kept.put("key-" + kept.size(), new Order(kept.size()));
			System.out.println(truth());
		}
	}
}
