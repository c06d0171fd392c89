/*
 * cxx_objects: objects of C++ classes that are lost: plain, derived, with two bases, with a virtual base, of a template,
 * in an unnamed namespace, in arrays, held by shared_ptr; and others that are deleted, or destroyed. The sample's main
 * function is in cxx_main.c. Truth: how many of each class live.
 */
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace shop
{

class Order
{
public:
	explicit Order(uint64_t number) : number(number) {}
	virtual ~Order() = default;
	virtual uint64_t price() const { return number * 100; }

protected:
	uint64_t number;
};

class ExpressOrder : public Order
{
public:
	explicit ExpressOrder(uint64_t number) : Order(number), courier("courier of the express order") {}
	uint64_t price() const override { return number * 200; }

private:
	std::string courier;
};

struct Auditable {
	virtual ~Auditable() = default;
	virtual void audit() { audits++; }
	uint64_t audits = 0;
};

/* Holds two pointers to virtual tables, and is one object. */
class PaidOrder : public Order, public Auditable
{
public:
	explicit PaidOrder(uint64_t number) : Order(number) {}
	uint64_t price() const override { return number; }
	void audit() override { audits += 2; }
};

template <typename Key, typename Value> class Cache
{
public:
	virtual ~Cache() = default;
	virtual const Value *find(const Key &key) const { return key == this->key ? &value : nullptr; }

private:
	Key key{};
	Value value{};
	uint64_t hits[20] = {};
};

/* Unknown to the compiler, so that it optimizes nothing away. */
void *volatile sink;

void keep(void *object)
{
	sink = object;
}

void (*volatile look_at)(void *) = keep;

/*
 * With a virtual base: while a Duplex is constructed and destroyed, its pointers lead to the virtual tables "Reader in
 * Duplex" and "Writer in Duplex", which a destroyed one keeps.
 */
struct Device {
	Device() { look_at(this); }
	virtual ~Device() { look_at(this); }
	virtual uint64_t id() const { return serial; }
	uint64_t serial = 7;
};

struct Reader : virtual Device {
	Reader() { look_at(this); }
	~Reader() override { look_at(this); }
	virtual uint64_t read() { return reads++; }
	uint64_t reads = 0;
};

struct Writer : virtual Device {
	Writer() { look_at(this); }
	~Writer() override { look_at(this); }
	virtual uint64_t write() { return writes++; }
	uint64_t writes = 0;
};

struct Duplex : Reader, Writer {
	uint64_t id() const override { return serial + 1; }
};

} // namespace shop

namespace
{

struct Local {
	virtual ~Local() = default;
	virtual int answer() const { return 42; }
	uint64_t words[5] = {};
};

} // namespace

/* Deleted as soon as it is created: none is alive. */
class Ghost
{
public:
	virtual ~Ghost() = default;
	virtual bool is_there() const { return false; }

private:
	uint64_t words[300] = {};
};

static const unsigned array_objects = 8;

static void lose(void *object)
{
	shop::sink = object;
	shop::sink = nullptr;
}

static void make_ghosts()
{
	Ghost *first = new Ghost, *second = new Ghost;
	shop::sink = first;
	delete first;
	shop::sink = second;
	delete second;
	shop::sink = nullptr;
}

/* Destroyed elements of a block that stays in use. */
static void lose_destroyed()
{
	auto *block = static_cast<shop::Duplex *>(operator new(array_objects * sizeof(shop::Duplex)));
	for (unsigned i = 0; i < array_objects; i++)
		(new (block + i) shop::Duplex)->~Duplex();
	lose(block);
}

/* One step: an object of each class, and arrays of them. */
extern "C" void cxx_objects_step(uint64_t number)
{
	lose(new shop::Order(number));
	lose(new shop::ExpressOrder(number));
	lose(new shop::PaidOrder(number));
	lose(new shop::Cache<int, double>);
	lose(new shop::Cache<uint64_t, shop::Order *>);
	lose(new Local);
	lose(new Local[array_objects]);
	lose(new std::vector<shop::Auditable>(array_objects));
	lose(new std::shared_ptr<shop::ExpressOrder>(std::make_shared<shop::ExpressOrder>(number)));
	lose(new shop::Duplex);
	lose_destroyed();
	make_ghosts();
}

/* Members of the truth, each with a comma before it. */
extern "C" void cxx_objects_describe(uint64_t steps, char *ret, size_t ret_bytes)
{
	snprintf(ret, ret_bytes,
		 ",\"objects\":{\"shop::Order\":%lu,\"shop::ExpressOrder\":%lu,\"shop::PaidOrder\":%lu,"
		 "\"shop::Cache<int, double>\":%lu,\"shop::Cache<unsigned long, shop::Order*>\":%lu,"
		 "\"(anonymous namespace)::Local\":%lu,\"shop::Auditable\":%lu,\"Ghost\":0,"
		 "\"shop::Duplex\":%lu,\"shop::Reader\":0,\"shop::Writer\":0,\"shop::Device\":0}",
		 steps, steps * 2, steps, steps, steps, steps * (1 + array_objects), steps * array_objects, steps);
}
