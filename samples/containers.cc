/*
 * containers: a leak that no leak checker reports: a container that only grows. The first argument selects the
 * container; each "step" adds 100 elements of 64 bytes that only the container holds. Truth: elements and the
 * variable's name.
 */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include <unistd.h>

struct Session {
	uint64_t id;
	char text[56];
};

/* A chain of a hash table, and a list in C. */
struct Link {
	Link *next;
	Session session;
};

struct Ring {
	Ring *next, *previous;
	Session session;
};

/* A pool in C, and what has a part of a string's shape: a buffer, an entry. */
struct Piece {
	Piece *next;
	uint64_t left_bytes, size_bytes;
	char room[216];
};

struct Buffer {
	char *bytes;
	uint64_t count, room;
};

struct Entry {
	uint64_t key;
	char *value;
};

constexpr size_t buckets = 4099;
constexpr size_t twice_room = 1 << 17;

/* Two variables hold each element: neither alone does. */
Session *g_twice[twice_room], *g_twice_again[twice_room];
Session **g_array;
size_t g_array_count, g_array_room;
Link *g_list;
Link **g_chains;
Piece *g_pool;
thread_local Link *g_tls;
std::set<std::string> g_set;
Ring g_ring = {&g_ring, &g_ring, {}};
std::map<uint64_t, std::unique_ptr<Session>> g_map;
std::unordered_map<uint64_t, std::unique_ptr<Session>> g_unordered;
std::deque<std::unique_ptr<Session>> g_deque;
std::vector<std::shared_ptr<Session>> g_shared;
std::list<std::unique_ptr<Session>> g_stdlist;

static Session *make_session(uint64_t id)
{
	Session *session = static_cast<Session *>(calloc(1, sizeof(Session)));
	session->id = id;
	snprintf(session->text, sizeof(session->text), "session %lu", static_cast<unsigned long>(id));
	return session;
}

static void add_to_array(uint64_t id)
{
	if (g_array_count == g_array_room) {
		g_array_room = g_array_room ? 2 * g_array_room : 64;
		g_array = static_cast<Session **>(realloc(g_array, g_array_room * sizeof(*g_array)));
	}
	g_array[g_array_count++] = make_session(id);
}

static void add_twice(uint64_t id)
{
	if (id < twice_room)
		g_twice[id] = g_twice_again[id] = make_session(id);
}

static void add_to_list(Link **list, uint64_t id)
{
	Link *link = static_cast<Link *>(calloc(1, sizeof(Link)));
	link->session.id = id;
	link->next = *list;
	*list = link;
}

static void add_to_chains(uint64_t id)
{
	if (!g_chains)
		g_chains = static_cast<Link **>(calloc(buckets, sizeof(*g_chains)));
	Link *link = static_cast<Link *>(calloc(1, sizeof(Link)));
	link->session.id = id;
	Link **bucket = &g_chains[id * 2654435761u % buckets];
	link->next = *bucket;
	*bucket = link;
}

static void add_to_ring(uint64_t id)
{
	Ring *ring = static_cast<Ring *>(calloc(1, sizeof(Ring)));
	ring->session.id = id;
	ring->next = g_ring.next;
	ring->previous = &g_ring;
	g_ring.next->previous = ring;
	g_ring.next = ring;
}

static void add_to_pool(uint64_t id)
{
	Piece *piece = static_cast<Piece *>(calloc(1, sizeof(Piece)));
	Buffer *buffer = static_cast<Buffer *>(calloc(1, sizeof(Buffer)));
	Entry *entry = static_cast<Entry *>(calloc(1, sizeof(Entry)));
	*buffer = {static_cast<char *>(calloc(1, 40)), 0, 32};
	*entry = {id % 8, static_cast<char *>(calloc(1, 40))};
	piece->left_bytes = 16;
	piece->size_bytes = sizeof(*piece) - 1;
	memcpy(piece->room, &buffer, sizeof(buffer));
	memcpy(piece->room + sizeof(buffer), &entry, sizeof(entry));
	piece->next = g_pool;
	g_pool = piece;
}

static void add(const std::string &kind, uint64_t id)
{
	if (kind == "array")
		add_to_array(id);
	else if (kind == "twice")
		add_twice(id);
	else if (kind == "list")
		add_to_list(&g_list, id);
	else if (kind == "tls")
		add_to_list(&g_tls, id);
	else if (kind == "set")
		g_set.insert(std::string(40, 's') + std::to_string(id));
	else if (kind == "chains")
		add_to_chains(id);
	else if (kind == "ring")
		add_to_ring(id);
	else if (kind == "pool")
		add_to_pool(id);
	else if (kind == "map")
		g_map.emplace(id, std::make_unique<Session>());
	else if (kind == "unordered")
		g_unordered.emplace(id, std::make_unique<Session>());
	else if (kind == "deque")
		g_deque.push_back(std::make_unique<Session>());
	else if (kind == "shared")
		g_shared.push_back(std::make_shared<Session>());
	else
		g_stdlist.push_back(std::make_unique<Session>());
}

static void report(const char *before, const std::string &kind, uint64_t count)
{
	printf("%s{\"pid\":%d,\"name\":\"containers\",\"kind\":\"%s\",\"variable\":\"g_%s\",\"elements\":%lu}\n", before,
	       static_cast<int>(getpid()), kind.c_str(), kind.c_str(), static_cast<unsigned long>(count));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	std::string kind = argc > 1 ? argv[1] : "list", line;
	uint64_t count = 0;
	while (count < 20000)
		add(kind, count++);
	report("READY ", kind, count);
	while (std::getline(std::cin, line) && line != "quit") {
		uint64_t steps = strncmp(line.c_str(), "step ", 5) == 0 ? strtoull(line.c_str() + 5, nullptr, 10) : 0;
		for (uint64_t end = count + 100 * steps; count < end;)
			add(kind, count++);
		report("", kind, count);
	}
	return 0;
}
