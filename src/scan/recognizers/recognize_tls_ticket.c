/*
 * recognize_tls_ticket: NewSessionTicket messages that carry a session ticket: of TLS 1.2 (RFC 5077
 * section 3.3: lifetime, ticket to the end) and of TLS 1.3 as decrypted (RFC 8446 section 4.6.1: lifetime,
 * age_add, nonce, ticket, extensions that end exactly at the message's length).
 */
#include "scan/recognize/recognize.h"

#include <stdio.h>

enum {
	HEADER_BYTES = 4,
	TICKET_MIN = 16,
	LIFETIME_MAX = 604800, /* RFC 8446 section 4.6.1: seven days */
	NONCE_MAX = 32,
	TLS12_HEAD = 6,
};

/* Type 4, u24 length of 22 to 4095 bytes, u32 lifetime below 2^20. */
static const char *const patterns[] = {"\\x04\\x00(?:\\x00[\\x16-\\xff]|[\\x01-\\x0f].)\\x00[\\x00-\\x0f]..", NULL};

static void find_tls_ticket(const struct lh_kernel *kernel, const uint8_t *data, size_t line_count,
			    uint64_t ret_anchors[LH_OWN_PATTERNS_MAX][LH_FIND_LINES])
{
	uint64_t types[LH_FIND_LINES], zeros[LH_FIND_LINES + 1];
	kernel->range_masks(data, line_count, 4, 4, types);
	kernel->range_masks(data, line_count + 1, 0, 0, zeros);
	for (size_t k = 0; k < line_count; k++) {
		const uint8_t *line = data + k * LH_LINE_BYTES;
		uint64_t heads = types[k] & lh_mask_ahead(&zeros[k], 1) & lh_mask_ahead(&zeros[k], HEADER_BYTES);
		ret_anchors[0][k] = 0;
		for (; heads; heads &= heads - 1) {
			const uint8_t *head = line + __builtin_ctzll(heads);
			bool is_long = head[2] ? head[2] <= 0x0f : head[3] >= TLS12_HEAD + TICKET_MIN;
			if (is_long && head[HEADER_BYTES + 1] <= 0x0f)
				ret_anchors[0][k] |= heads & -heads;
		}
	}
}

struct ticket {
	size_t bytes;
	uint32_t lifetime_seconds;
	bool is_tls13;
};

static bool is_tls12(struct lh_cursor body, struct ticket *ret)
{
	size_t bytes = lh_cursor_be16(&body);
	*ret = (struct ticket){.bytes = bytes, .lifetime_seconds = ret->lifetime_seconds};
	return !body.failed && bytes >= TICKET_MIN && bytes == lh_cursor_left(&body);
}

static bool is_tls13(struct lh_cursor body, struct ticket *ret)
{
	uint32_t age_add = lh_cursor_be32(&body);
	size_t nonce = lh_cursor_u8(&body);
	(void)lh_cursor_take(&body, nonce);
	size_t bytes = lh_cursor_be16(&body);
	(void)lh_cursor_take(&body, bytes);
	size_t extensions = lh_cursor_be16(&body);
	*ret = (struct ticket){.bytes = bytes, .lifetime_seconds = ret->lifetime_seconds, .is_tls13 = true};
	return !body.failed && age_add && nonce && nonce <= NONCE_MAX && bytes >= TICKET_MIN &&
	       extensions == lh_cursor_left(&body);
}

static bool read_ticket(const struct lh_candidate *candidate, struct ticket *ret, size_t *ret_length)
{
	struct lh_cursor cursor = lh_candidate_cursor(candidate);
	(void)lh_cursor_u8(&cursor);
	size_t bytes = lh_cursor_be24(&cursor);
	const uint8_t *start = lh_cursor_take(&cursor, bytes);
	if (!start)
		return false;
	struct lh_cursor body = lh_cursor_over(start, bytes);
	*ret = (struct ticket){.lifetime_seconds = lh_cursor_be32(&body)};
	*ret_length = HEADER_BYTES + bytes;
	return !body.failed && ret->lifetime_seconds <= LIFETIME_MAX && (is_tls12(body, ret) || is_tls13(body, ret));
}

static const char *const kinds[] = {"TLS 1.2", "TLS 1.3", NULL};

static bool validate_tls_ticket(const struct lh_candidate *candidate, struct lh_match *ret)
{
	struct ticket ticket;
	size_t length;
	if (!read_ticket(candidate, &ticket, &length))
		return false;
	*ret = (struct lh_match){.length = length, .kind = ticket.is_tls13};
	return true;
}

static void describe_tls_ticket(const struct lh_candidate *candidate, const struct lh_match *match,
				char ret[LH_EXAMPLE_MAX])
{
	(void)match;
	struct ticket ticket;
	size_t length;
	ret[0] = '\0';
	if (read_ticket(candidate, &ticket, &length))
		(void)snprintf(ret, LH_EXAMPLE_MAX, "%s, ticket of %zu bytes, lifetime %u s", kinds[ticket.is_tls13],
			       ticket.bytes, ticket.lifetime_seconds);
}

const struct lh_recognizer lh_recognize_tls_ticket = {
	.name = "tls-ticket",
	.title = "TLS session tickets",
	.set = LH_PATTERNS_OWN,
	.patterns = patterns,
	.find = find_tls_ticket,
	.validate = validate_tls_ticket,
	.kinds = kinds,
	.describe = describe_tls_ticket,
};
