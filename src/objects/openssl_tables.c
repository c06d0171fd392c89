/*
 * openssl_tables: constant tables of OpenSSL by what they hold. Input: an address in a module. Output: what the table
 * is. A table counts only if the code or the texts that it points to belong to a module, but are not in memory: else
 * they tell more.
 *
 * OpenSSL 1.1.1 to 3.5: ssl/ssl_local.h (ssl_method_st, ssl_cipher_st), crypto/bio/bio_local.h (bio_method_st), bio.h
 * (BIO_TYPE), crypto/asn1.h (asn1_object_st).
 */
#include "openssl_tables.h"

enum {
	TLS_ANY = 0x10000,  /* TLS_ANY_VERSION: not agreed upon yet */
	DTLS_ANY = 0x1ffff, /* DTLS_ANY_VERSION */
};

/* RFC 8446 4.2.1, RFC 9147, ssl.h DTLS1_BAD_VER. */
static const struct {
	uint32_t version;
	const char *name;
} protocols[] = {
	{0x0300, "SSL 3"},           {0x0301, "TLS 1.0"},          {0x0302, "TLS 1.1"},  {0x0303, "TLS 1.2"},
	{0x0304, "TLS 1.3"},         {0xfeff, "DTLS 1.0"},         {0xfefd, "DTLS 1.2"}, {0x0100, "DTLS 1.0 (old)"},
	{TLS_ANY, "no version yet"}, {DTLS_ANY, "no version yet"},
};

const char *lh_tls_protocol_name(uint32_t version)
{
	for (size_t i = 0; i < LH_ARRAY_COUNT(protocols); i++) {
		if (protocols[i].version == version)
			return protocols[i].name;
	}
	return NULL;
}

/* Code or constants of a module that memory lacks. */
static bool is_lost(struct lh_symbols *symbols, uint64_t addr, bool is_code)
{
	const char *name;
	uint64_t word;
	return lh_symbols_module(symbols, addr, &name) && lh_symbols_is_code(symbols, addr) == is_code &&
	       !lh_symbols_read_number(symbols, lh_align_down(addr, 8), &word);
}

/* How many words from the `first` on point to lost code; they end with the first that is neither that nor 0. */
static size_t count_lost_code(struct lh_symbols *symbols, uint64_t addr, size_t first, size_t end)
{
	size_t count = 0;
	for (size_t i = first; i < end; i++) {
		uint64_t word;
		if (!lh_symbols_read_pointer(symbols, addr + i * 8, &word) || (word && !is_lost(symbols, word, true)))
			break;
		count += word != 0;
	}
	return count;
}

/* {int version; unsigned flags; unsigned long mask; ssl_new, ssl_clear, ssl_free, ssl_accept, ...} */
static const char *tls_method_name(struct lh_symbols *symbols, uint64_t addr, uint64_t head)
{
	enum { FLAGS_MAX = 3, FUNCTIONS = 2, FUNCTIONS_MIN = 12, DTLS_OLD = 0x0100 };
	uint32_t version = (uint32_t)head;
	uint64_t mask;
	if (!lh_tls_protocol_name(version) || head >> 32 > FLAGS_MAX ||
	    !lh_symbols_read_number(symbols, addr + 8, &mask) || mask > UINT32_MAX ||
	    count_lost_code(symbols, addr, FUNCTIONS, FUNCTIONS + FUNCTIONS_MIN) != FUNCTIONS_MIN)
		return NULL;
	bool is_dtls = version == DTLS_ANY || version >> 8 == 0xfe || version == DTLS_OLD;
	return is_dtls ? "DTLS*_method" : "TLS*_method";
}

/* {int type; const char *name; bwrite, bwrite_old, bread, bread_old, bputs, bgets, ctrl, create, destroy, ...} */
static const char *bio_method_name(struct lh_symbols *symbols, uint64_t addr, uint64_t head)
{
	enum { FUNCTIONS = 2, FUNCTIONS_END = 12, FUNCTIONS_MIN = 3 };
	static const struct {
		uint64_t type;
		const char *name;
	} types[] = {
		{0x401, "BIO_s_mem"},      {0x402, "BIO_s_file"},    {0x504, "BIO_s_fd"},
		{0x505, "BIO_s_socket"},   {0x406, "BIO_s_null"},    {0x207, "BIO_f_ssl"},
		{0x208, "BIO_f_md"},       {0x209, "BIO_f_buffer"},  {0x20a, "BIO_f_cipher"},
		{0x20b, "BIO_f_base64"},   {0x50c, "BIO_s_connect"}, {0x50d, "BIO_s_accept"},
		{0x211, "BIO_f_null"},     {0x413, "BIO_s_bio"},     {0x214, "BIO_f_linebuffer"},
		{0x515, "BIO_s_datagram"}, {0x216, "BIO_f_asn1"},
	};
	uint64_t text;
	for (size_t i = 0; i < LH_ARRAY_COUNT(types); i++) {
		if (types[i].type == head && lh_symbols_read_pointer(symbols, addr + 8, &text) &&
		    is_lost(symbols, text, false) &&
		    count_lost_code(symbols, addr, FUNCTIONS, FUNCTIONS_END) >= FUNCTIONS_MIN)
			return types[i].name;
	}
	return NULL;
}

const char *lh_openssl_method_name(struct lh_symbols *symbols, uint64_t addr)
{
	uint64_t head;
	if (addr % 8 || !lh_symbols_read_number(symbols, addr, &head))
		return NULL;
	const char *name = tls_method_name(symbols, addr, head);
	return name ? name : bio_method_name(symbols, addr, head);
}

/* Two texts of the module that are lost. */
static bool has_lost_texts(struct lh_symbols *symbols, uint64_t addr)
{
	uint64_t first, second;
	return lh_symbols_read_pointer(symbols, addr, &first) && lh_symbols_read_pointer(symbols, addr + 8, &second) &&
	       is_lost(symbols, first, false) && is_lost(symbols, second, false);
}

const char *lh_openssl_constant_name(struct lh_symbols *symbols, uint64_t addr)
{
	enum { SUITE_MARK = 3, NUMBER_MAX = 5000, OID_BYTES_MAX = 64 };
	uint64_t words[4], data;
	for (size_t i = 0; i < LH_ARRAY_COUNT(words); i++) {
		if (addr % 8 || !lh_symbols_read_number(symbols, addr + i * 8, &words[i]))
			return NULL;
	}
	/* {uint32_t valid; const char *name, *stdname; uint32_t id; ...} */
	if (words[0] == 1 && (uint32_t)words[3] >> 24 == SUITE_MARK && has_lost_texts(symbols, addr + 8))
		return "a cipher suite";
	/* {const char *sn, *ln; int nid; int length; const unsigned char *data; ...} */
	bool is_object = (uint32_t)words[2] && (uint32_t)words[2] <= NUMBER_MAX && words[2] >> 32 &&
			 words[2] >> 32 <= OID_BYTES_MAX && has_lost_texts(symbols, addr) &&
			 lh_symbols_read_pointer(symbols, addr + 24, &data) && is_lost(symbols, data, false);
	return is_object ? "a signature algorithm" : NULL;
}
