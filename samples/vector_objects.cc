/*
 * vector_objects: objects in vectors, of which many were destroyed: vectors that were shortened, emptied, moved; in the
 * heap, in a variable, in a frame; of a class whose destructor leaves the table of its base. And objects that
 * no vector holds, in blocks that vectors had before. Truth: how many of each class live, as their constructors and
 * destructors count.
 */
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include <unistd.h>

template <class Class> struct Counted {
	static long alive;
	Counted() { alive++; }
	Counted(const Counted &) { alive++; }
	Counted &operator=(const Counted &) = default;
	~Counted() { alive--; }
};
template <class Class> long Counted<Class>::alive;

struct Fare : Counted<Fare> {
	virtual ~Fare() = default;
	long cents[3] = {1, 2, 3};
};

struct Ticket : Counted<Ticket> {
	__attribute__((noinline)) virtual ~Ticket();
	char seat[24] = "window";
};

static volatile long looks;

static void look(const void *object)
{
	looks = looks + (object != nullptr);
}

/* Unknown to the compiler, so that it has to keep what an object is before that. */
static void (*volatile look_at)(const void *) = look;

Ticket::~Ticket()
{
	look_at(this);
}

/* While it is destroyed it becomes a Ticket, and keeps that table. */
struct Upgrade : Ticket, Counted<Upgrade> {
	__attribute__((noinline)) ~Upgrade() override;
	std::array<Fare, 2> fares;
};

Upgrade::~Upgrade()
{
	look_at(this);
}

struct Journey : Counted<Journey> {
	virtual ~Journey() = default;
	char places[1000] = "from, to";
};

/* In blocks of vectors that are gone. */
struct Stop : Counted<Stop> {
	virtual ~Stop() = default;
	long minutes[5] = {1, 2, 3, 4, 5};
};

static std::vector<Fare> variable(700);
static std::map<int, std::vector<Upgrade>> upgrades;
static std::vector<std::unique_ptr<std::vector<Journey>>> journeys;
static std::deque<Fare> queue;
static std::vector<std::array<Stop, 12> *> rounds;
static std::vector<std::unique_ptr<Stop[]>> lines;

static void shorten()
{
	auto *lost = new std::vector<Fare>(1000);
	lost->resize(400);
	variable.resize(100);
	auto *emptied = new std::vector<Ticket>(333);
	auto *shortened = new std::vector<Ticket>(222);
	emptied->clear();
	shortened->resize(50);
	look_at(lost);
	look_at(emptied);
	look_at(shortened);
	for (int i = 0; i < 50; i++) {
		upgrades[i].resize(static_cast<size_t>(i + 2) * 3);
		upgrades[i].resize(static_cast<size_t>(i + 2));
	}
	for (size_t i = 0; i < 60; i++) {
		journeys.push_back(std::make_unique<std::vector<Journey>>(10 + i % 3));
		journeys.back()->resize(i % 9);
	}
}

/* Its frame keeps a header with few elements; the vector grows where it is now. */
static __attribute__((noinline)) std::vector<Fare> *make_few()
{
	std::vector<Fare> few;
	few.reserve(300);
	few.resize(5);
	return new std::vector<Fare>(std::move(few));
}

static void move()
{
	for (int i = 0; i < 20; i++)
		make_few()->resize(200);
}

/* Vectors of 12, of which 3 or none are there when they end; their blocks go to others. */
static __attribute__((noinline)) void use_block(size_t left)
{
	std::vector<Stop> stops(12);
	stops.resize(left);
	looks = looks + static_cast<long>(stops.capacity());
}

static void reuse()
{
	for (int i = 0; i < 200; i++) {
		use_block(i % 2 ? 3 : 0);
		rounds.push_back(new std::array<Stop, 12>);
		use_block(i % 2 ? 3 : 0);
		lines.push_back(std::make_unique<Stop[]>(12));
	}
}

int main()
{
	std::vector<Journey> here(40);
	here.resize(7);
	look_at(&here); /* its header in memory: GCC 14 keeps it in registers otherwise */
	shorten();
	move();
	reuse();
	queue.resize(3000);
	printf("READY {\"pid\":%d,\"name\":\"vector_objects\",\"objects\":{\"Fare\":%ld,\"Ticket\":%ld,\"Upgrade\":%ld,"
	       "\"Journey\":%ld,\"Stop\":%ld}}\n",
	       getpid(), Fare::alive, Ticket::alive - Counted<Upgrade>::alive, Counted<Upgrade>::alive, Journey::alive, Stop::alive);
	fflush(stdout);
	while (getchar() != EOF)
		;
	return static_cast<int>(here.size() + lines.size()) & 1;
}
