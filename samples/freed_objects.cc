/*
 * freed_objects: threads create objects of classes of three sizes, in a preloaded malloc or glibc's, and delete every
 * other one. Freed memory keeps its pointers to virtual tables. Truth: how many of each class are alive, and how many
 * were deleted.
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include <unistd.h>

constexpr int threads = 6, objects_each = 1000;

template <size_t bytes> struct Filled {
	virtual ~Filled() = default;
	char text[bytes];
	Filled()
	{
		memset(text, 'x', bytes);
	}
};

struct Ticket : Filled<40> {
};
struct Invoice : Filled<5000> {
};
struct Archive : Filled<300000> {
};

/* The deleted objects are between those that stay. */
template <typename Class> static void make_and_delete(std::vector<Class *> &kept, int count)
{
	std::vector<Class *> made;
	for (int i = 0; i < count; i++)
		made.push_back(new Class);
	for (int i = 0; i < count; i++) {
		if (i % 2)
			kept.push_back(made[i]);
		else
			delete made[i];
	}
}

static std::vector<Ticket *> tickets[threads];
static std::vector<Invoice *> invoices[threads];
static std::vector<Archive *> archives[threads];

static void fill(int number)
{
	make_and_delete(tickets[number], objects_each);
	make_and_delete(invoices[number], objects_each);
	make_and_delete(archives[number], objects_each / 100);
}

int main()
{
	std::vector<std::thread> running;
	for (int i = 0; i < threads; i++)
		running.emplace_back(fill, i);
	for (std::thread &thread : running)
		thread.join();
	printf("READY "
	       "{\"pid\":%d,\"name\":\"freed_objects\",\"objects\":{\"Ticket\":%d,\"Invoice\":%d,\"Archive\":%d}}\n",
	       getpid(), threads * objects_each / 2, threads * objects_each / 2, threads * objects_each / 200);
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
