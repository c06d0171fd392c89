/*
 * family_gnutls: sessions of GnuTLS, by the entry of the table of protocols that they point to.
 *
 * GnuTLS 3.6 to 3.8, lib/gnutls_int.h: struct version_entry_st {const char *name, "TLS1.3"; gnutls_protocol_t id;
 * ...}; struct gnutls_session_int begins with security_parameters_st {unsigned entity (1 server, 2 client); ...;
 * const version_entry_st *pversion ...}, and has the functions of its transport in `internals`.
 *
 * Self-check: a session is a chunk of its own of some KiB, says which side it is, and has two functions at least.
 */
#include "families.h"

#include <fnmatch.h>
#include <stdio.h>

enum {
	PROTOCOL_MAX = 300, /* gnutls.h: TLS 1 to 5, DTLS 200 to 202 */
	NAME_MAX_BYTES = 16,
	SERVER = 1,
	CLIENT = 2,
	VERSION_OFFSET_MAX = 512,
	VERSION_OFFSET = 248, /* 3.7; asked for only where chunks are not known */
	SESSION_BYTES_MIN = 4096,
	SESSION_BYTES_MAX = 32768,
	SEARCHED_BYTES = 4096,
	FUNCTIONS_MIN = 2,
};

static bool is_protocol(struct lh_symbols *symbols, struct lh_family_target *ret)
{
	uint64_t name, id;
	if (!lh_symbols_read_number(symbols, ret->addr + 8, &id) || !(uint32_t)id || (uint32_t)id > PROTOCOL_MAX ||
	    !lh_symbols_read_pointer(symbols, ret->addr, &name))
		return false;
	ret->name = lh_symbols_read_name(symbols, name, NAME_MAX_BYTES);
	return ret->name && (fnmatch("TLS1.?", ret->name, 0) == 0 || fnmatch("DTLS[01].?", ret->name, 0) == 0 ||
			     fnmatch("SSL3.0", ret->name, 0) == 0);
}

static bool has_functions(const struct lh_object_view *view, uint64_t session)
{
	size_t found = 0;
	for (uint64_t at = 0; at < SEARCHED_BYTES && found < FUNCTIONS_MIN; at += 8) {
		uint64_t word;
		if (!lh_object_read(view, session + at, &word))
			break;
		found += word && lh_symbols_is_code(view->symbols, word);
	}
	return found >= FUNCTIONS_MIN;
}

static struct lh_error *take_session(struct lh_object_sink *sink, const struct lh_object_view *view)
{
	uint64_t session = view->has_chunk ? view->chunk.memory_addr : view->hit->addr - VERSION_OFFSET;
	uint32_t side;
	if (view->hit->addr - session > VERSION_OFFSET_MAX ||
	    (view->has_chunk &&
	     (view->chunk.size_bytes < SESSION_BYTES_MIN || view->chunk.size_bytes > SESSION_BYTES_MAX)) ||
	    !lh_object_read_int(view, session, &side) || (side != SERVER && side != CLIENT) ||
	    !has_functions(view, session))
		return NULL;
	struct lh_object_claim claim = lh_object_claim_of(view, "gnutls_session_t", session);
	snprintf(claim.detail, sizeof(claim.detail), "%s", side == SERVER ? "server" : "client");
	return lh_object_sink_add(sink, &claim);
}

const struct lh_object_family lh_family_gnutls = {
	.kind = "GnuTLS",
	.is_table = is_protocol,
	.take = take_session,
};
