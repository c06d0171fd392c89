/*
 * datagram_reader: waits in recvmmsg(2) for more datagrams than have come, as servers of UDP do. No datagram may be
 * lost, repeated or changed, and no call may fail. A call may return with fewer datagrams than asked for.
 */
#include "self_check.h"

#include <sys/socket.h>

enum { DATAGRAMS = 16 };

static int sockets[2];

static void send_numbers(struct checker *checker)
{
	for (uint64_t number = 1;; number++) {
		checker_call("send", send(sockets[1], &number, sizeof(number), 0));
		checker_sleep_us(300);
		checker_round(checker);
	}
}

static void receive_numbers(struct checker *checker)
{
	uint64_t numbers[DATAGRAMS], expected = 1;
	struct iovec places[DATAGRAMS];
	struct mmsghdr messages[DATAGRAMS];
	for (;;) {
		memset(messages, 0, sizeof(messages));
		for (size_t i = 0; i < DATAGRAMS; i++) {
			places[i] = (struct iovec){&numbers[i], sizeof(numbers[i])};
			messages[i].msg_hdr = (struct msghdr){.msg_iov = &places[i], .msg_iovlen = 1};
		}
		int count = recvmmsg(sockets[0], messages, DATAGRAMS, 0, NULL);
		checker_call("recvmmsg", count);
		for (int i = 0; i < count; i++, expected++) {
			if (numbers[i] != expected)
				checker_report_wrong("datagram %" PRIu64 ", not %" PRIu64, numbers[i], expected);
		}
		checker_round(checker);
	}
}

int main(void)
{
	checker_begin();
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, sockets))
		checker_die("socketpair");
	checker_start(send_numbers, NULL, NULL);
	checker_start(receive_numbers, NULL, NULL);
	checker_serve("datagram_reader");
}
