// sessions: for each line "N" it makes N sessions, each with strings, a map, a list and a vector of its own, and buffers
// that ten of them share. All stay. Says "READY" at the start, then "DONE" for each line.
#include <cstdio>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>
struct Session {
	virtual ~Session() = default;
	std::string user, agent;
	std::map<int, std::string> headers;
	std::vector<std::shared_ptr<std::string>> shared;
	std::list<int> numbers;
};
static std::vector<Session *> all;
int main()
{
	all.reserve(1 << 20);
	puts("READY"); fflush(stdout);
	int number = 0, count;
	while (scanf("%d", &count) == 1) {
		auto shared = std::make_shared<std::string>(100, 's');
		for (int i = 0; i < count; i++) {
			auto session = new Session;
			session->user = "user " + std::to_string(number++) + std::string(40, 'u');
			session->agent = std::string(300, 'a');
			for (int k = 0; k < 8; k++)
				session->headers[k] = std::string(60 + k, 'h');
			if (i % 10 == 0)
				shared = std::make_shared<std::string>(100, 's');
			session->shared.assign(5, shared);
			for (int k = 0; k < 4; k++)
				session->numbers.push_back(k);
			all.push_back(session);
		}
		puts("DONE"); fflush(stdout);
	}
}
