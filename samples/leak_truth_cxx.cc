/*
 * leak_truth_cxx: as leak_truth, with objects and containers of C++: --count of them, of which a third is lost with all
 * that it holds. Objects of several bases are held by a pointer to their second base alone. --file has a line a block:
 * "L ADDR USABLE" of lost ones, "R ADDR USABLE" of the others. What is on the way there lies in mapped memory that is
 * gone before READY.
 */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <forward_list>
#include <functional>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

namespace
{
/* Keyed by the address, inverted so that it is not a pointer; 0: free. */
struct Entry {
	uint64_t inverted;
	uint64_t is_lost;
};

constexpr size_t slots = 1 << 24;
Entry *book;
bool is_lost;

Entry *find_slot(uint64_t inverted)
{
	size_t at = inverted * UINT64_C(0x9e3779b97f4a7c15) >> 40;
	while (book[at].inverted != inverted && book[at].inverted)
		at = (at + 1) % slots;
	return &book[at];
}

/* Bit 1 of is_lost: freed. */
void note_block(void *block)
{
	uint64_t inverted = ~reinterpret_cast<uint64_t>(block);
	*find_slot(inverted) = {inverted, is_lost};
}
} // namespace

void *operator new(size_t bytes)
{
	void *block = malloc(bytes);
	if (!block)
		abort();
	if (!book)
		return block;
	/* All of it: earlier contents are not the program's pointers. */
	memset(block, 0, malloc_usable_size(block));
	note_block(block);
	return block;
}

void operator delete(void *block) noexcept
{
	if (book && block)
		find_slot(~reinterpret_cast<uint64_t>(block))->is_lost |= 2;
	free(block);
}

void operator delete(void *block, size_t) noexcept
{
	operator delete(block);
}

namespace
{
struct Named {
	virtual ~Named() = default;
	std::string name = std::string(40, 'n');
};

struct Linked {
	virtual ~Linked() = default;
	virtual int weight()
	{
		return 1;
	}
	std::unique_ptr<Linked> next;
};

struct Counted {
	virtual ~Counted() = default;
	std::vector<int> counts = std::vector<int>(12);
};

struct Node : Named, Linked, Counted {
	int weight() override
	{
		return 2;
	}
};

struct Shared : std::enable_shared_from_this<Shared> {
	std::shared_ptr<Shared> other;
	std::string text = std::string(100, 's');
};

/* Holds one structure of any kind from outside. */
std::vector<void *> *kept;

/* Held by a chain of pointers to second bases. */
void *make_chain(size_t length)
{
	Linked *head = nullptr;
	for (size_t i = 0; i < length; i++) {
		Node *node = new Node;
		node->next.reset(head);
		head = node;
	}
	return head;
}

void *make_map(size_t count)
{
	auto *map = new std::map<std::string, std::unique_ptr<Node>>;
	for (size_t i = 0; i < count; i++)
		map->emplace(std::string(30, 'k') + std::to_string(i), std::make_unique<Node>());
	return map;
}

void *make_unordered(size_t count)
{
	auto *map = new std::unordered_map<uint64_t, std::string>;
	for (size_t i = 0; i < count; i++)
		map->emplace(i * 7919, std::string(50, 'v'));
	return map;
}

/* A circle of two that only itself holds. */
void *make_circle()
{
	auto first = std::make_shared<Shared>(), second = std::make_shared<Shared>();
	first->other = second;
	second->other = first;
	return first.get();
}

void *make_lists(size_t count)
{
	auto *lists = new std::deque<std::list<std::string>>;
	for (size_t i = 0; i < count; i++)
		lists->push_back({std::string(33, 'a'), std::string(44, 'b')});
	return lists;
}

void *make_functions(size_t count)
{
	auto *functions = new std::vector<std::function<size_t()>>;
	for (size_t i = 0; i < count; i++) {
		std::string text(60, 'f');
		functions->push_back([text, i] { return text.size() + i; });
	}
	return functions;
}

void *make_sets(size_t count)
{
	auto *sets = new std::forward_list<std::set<std::shared_ptr<Node>>>;
	for (size_t i = 0; i < count; i++)
		sets->push_front({std::make_shared<Node>(), std::make_shared<Node>()});
	return sets;
}

void *make_structure(size_t kind)
{
	size_t count = 1 + kind % 13;
	switch (kind % 7) {
	case 0:
		return make_chain(count);
	case 1:
		return make_map(count);
	case 2:
		return make_unordered(count);
	case 3:
		return make_circle();
	case 4:
		return make_lists(count);
	case 5:
		return make_functions(count);
	default:
		return make_sets(count);
	}
}

__attribute__((noinline)) void make_all(size_t wanted)
{
	kept = new std::vector<void *>;
	for (size_t i = 0; i < wanted; i++) {
		is_lost = i % 3 == 1;
		void *structure = make_structure(i * 2654435761u >> 7);
		if (!is_lost)
			kept->push_back(structure);
	}
}

/* Overwrites what calls left below this frame. */
__attribute__((noinline)) void clear_stack()
{
	volatile char dead[32768];
	for (size_t i = 0; i < sizeof(dead); i++)
		dead[i] = 0;
}

void write_book(const char *path)
{
	FILE *file = fopen(path, "we");
	static char buffer[1 << 16];
	if (!file)
		exit(2);
	setvbuf(file, buffer, _IOFBF, sizeof(buffer));
	for (size_t i = 0; i < slots; i++) {
		void *block = reinterpret_cast<void *>(~book[i].inverted);
		if (book[i].inverted && book[i].is_lost < 2)
			fprintf(file, "%c %p %zu\n", book[i].is_lost ? 'L' : 'R', block, malloc_usable_size(block));
	}
	fclose(file);
	memset(buffer, 0, sizeof(buffer));
	munmap(book, slots * sizeof(*book));
	book = nullptr;
}
} // namespace

int main(int argc, char **argv)
{
	size_t count = 1000;
	const char *path = "/dev/null";
	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--count"))
			count = strtoull(argv[i + 1], nullptr, 10);
		else if (!strcmp(argv[i], "--file"))
			path = argv[i + 1];
	}
	/* The first call allocates in tcmalloc. */
	void *first = malloc(1);
	if (!malloc_usable_size(first))
		return 2;
	free(first);
	book = static_cast<Entry *>(mmap(nullptr, slots * sizeof(*book), PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
	if (book == MAP_FAILED)
		return 2;
	make_all(count);
	clear_stack();
	write_book(path);
	clear_stack();
	printf("READY {\"pid\":%d,\"name\":\"leak_truth_cxx\"}\n", static_cast<int>(getpid()));
	fflush(stdout);
	std::string line;
	while (std::getline(std::cin, line) && line != "quit")
		puts("{}");
	return 0;
}
