/* library_objects: loses objects of libraries of many kinds (object_kinds.h), and tells how large a deflate state is.
 */
#include "object_kinds.h"

#include <curl/curl.h>
#include <expat.h>
#include <gio/gio.h>
#include <gnutls/gnutls.h>
#include <iconv.h>
#include <libxml/parser.h>
#include <malloc.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <sqlite3.h>
#include <zlib.h>

/* ---------------------------------------------------------------- zlib */

static char text[4000];
static unsigned char packed[4000];
static uLong packed_bytes;
static uint64_t deflate_bytes; /* of chunks, that a deflate state took */

static void make_deflate(bool is_lost)
{
	z_stream *stream = calloc(1, sizeof(*stream));
	unsigned char out[4000];
	size_t before = mallinfo2().uordblks;
	deflateInit2(stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -12, 5, Z_DEFAULT_STRATEGY);
	deflate_bytes = mallinfo2().uordblks - before;
	stream->next_in = (unsigned char *)text;
	stream->avail_in = sizeof(text);
	stream->next_out = out;
	stream->avail_out = sizeof(out);
	deflate(stream, Z_SYNC_FLUSH);
	if (is_lost)
		return;
	deflateEnd(stream);
	free(stream);
}

/* The stream itself is lost with the frame of this function. */
static void make_inflate(bool is_lost)
{
	z_stream stream = {.next_in = packed, .avail_in = (uInt)packed_bytes / 2};
	unsigned char out[1000];
	inflateInit(&stream);
	stream.next_out = out;
	stream.avail_out = sizeof(out);
	inflate(&stream, Z_NO_FLUSH);
	if (!is_lost)
		inflateEnd(&stream);
}

/* ---------------------------------------------------------------- GLib */

static void make_cancellable(bool is_lost)
{
	GCancellable *cancellable = g_cancellable_new();
	if (!is_lost)
		g_object_unref(cancellable);
}

static void make_file(bool is_lost)
{
	GFile *file = g_file_new_for_path("/var/lib/app/item");
	if (!is_lost)
		g_object_unref(file);
}

/* Classes of the program's own, one derived from the other, with private data in front of the object. */
typedef struct {
	GObject parent;
	guint number;
} LeakOrder;

typedef struct {
	LeakOrder parent;
	guint hours;
} LeakExpress;

enum { PRIVATE_BYTES = 100 };

static GType order_type, express_type;
static gint private_offset;

static void init_order_class(void *class, void *data)
{
	(void)data;
	g_type_class_adjust_private_offset(class, &private_offset);
}

static void register_classes(void)
{
	order_type = g_type_register_static_simple(G_TYPE_OBJECT, "LeakOrder", sizeof(GObjectClass), init_order_class,
						   sizeof(LeakOrder), NULL, 0);
	private_offset = g_type_add_instance_private(order_type, PRIVATE_BYTES);
	express_type = g_type_register_static_simple(order_type, "LeakExpress", sizeof(GObjectClass), NULL,
						     sizeof(LeakExpress), NULL, 0);
}

static void make_order(bool is_lost)
{
	GObject *order = g_object_new(order_type, NULL);
	if (!is_lost)
		g_object_unref(order);
}

/* Two of them. */
static void make_express(bool is_lost)
{
	for (int i = 0; i < 2; i++) {
		GObject *express = g_object_new(express_type, NULL);
		if (!is_lost)
			g_object_unref(express);
	}
}

static void make_number(bool is_lost)
{
	GVariant *number = g_variant_new_uint32(7);
	if (!is_lost)
		g_variant_unref(number);
}

/* A dictionary of one entry, as D-Bus has them: {sv}, its key, and the variant that holds the number. */
static void make_dictionary(bool is_lost)
{
	GVariantBuilder builder;
	g_variant_builder_init(&builder, G_VARIANT_TYPE("a{sv}"));
	g_variant_builder_add(&builder, "{sv}", "order", g_variant_new_int64(3));
	GVariant *dictionary = g_variant_builder_end(&builder);
	if (!is_lost)
		g_variant_unref(dictionary);
}

/* ---------------------------------------------------------------- glibc */

static void make_iconv(bool is_lost)
{
	iconv_t conversion = iconv_open("ISO-8859-15", "UTF-8");
	if (!is_lost)
		iconv_close(conversion);
}

/* ---------------------------------------------------------------- OpenSSL: what providers make */

static void make_digest(bool is_lost)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	EVP_DigestInit_ex(context, EVP_sha256(), NULL);
	EVP_DigestUpdate(context, text, sizeof(text));
	if (!is_lost)
		EVP_MD_CTX_free(context);
}

static void make_cipher(bool is_lost)
{
	static const unsigned char key[32] = {1}, nonce[16] = {2};
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, nonce);
	if (!is_lost)
		EVP_CIPHER_CTX_free(context);
}

static void make_key(bool is_lost)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	if (!is_lost)
		EVP_PKEY_free(key);
}

/* ---------------------------------------------------------------- libxml2 */

static void make_document(bool is_lost)
{
	static const char xml[] = "<order id='7'><item>one</item><item n='2'/><!-- note --></order>";
	xmlDoc *document = xmlReadMemory(xml, sizeof(xml) - 1, NULL, NULL, 0);
	if (!is_lost)
		xmlFreeDoc(document);
}

/* ---------------------------------------------------------------- SQLite */

/* A connection with a statement that is never finalized. */
static void make_database(bool is_lost)
{
	sqlite3 *database;
	sqlite3_stmt *statement;
	sqlite3_open(":memory:", &database);
	sqlite3_exec(database, "CREATE TABLE orders (id, total)", NULL, NULL, NULL);
	sqlite3_prepare_v2(database, "SELECT total FROM orders WHERE id = ?", -1, &statement, NULL);
	if (is_lost)
		return;
	sqlite3_finalize(statement);
	sqlite3_close(database);
}

/* ---------------------------------------------------------------- libcurl, expat, PCRE2, GnuTLS */

static void make_easy(bool is_lost)
{
	CURL *easy = curl_easy_init();
	curl_easy_setopt(easy, CURLOPT_URL, "http://127.0.0.1/");
	if (!is_lost)
		curl_easy_cleanup(easy);
}

static void make_parser(bool is_lost)
{
	XML_Parser parser = XML_ParserCreate(NULL);
	XML_Parse(parser, "<order><item", 12, 0);
	if (!is_lost)
		XML_ParserFree(parser);
}

static void make_pattern(bool is_lost)
{
	int error;
	size_t offset;
	pcre2_code *code = pcre2_compile((PCRE2_SPTR) "order-([0-9]+)", PCRE2_ZERO_TERMINATED, PCRE2_CASELESS, &error,
					 &offset, NULL);
	if (!is_lost)
		pcre2_code_free(code);
}

static void make_session(bool is_lost)
{
	gnutls_session_t session;
	gnutls_init(&session, GNUTLS_SERVER);
	gnutls_set_default_priority(session);
	if (!is_lost)
		gnutls_deinit(session);
}

/* ---------------------------------------------------------------- the sample */

static const struct object_kind kinds[] = {
	{"zlib", "deflate state", "", 1, 0, make_deflate},
	{"zlib", "inflate state", "", 1, 0, make_inflate},
	{"GLib", "GCancellable", "", 1, 0, make_cancellable},
	{"GLib", "GLocalFile", "", 1, 0, make_file},
	{"GLib", "LeakOrder", "", 1, 0, make_order},
	{"GLib", "LeakExpress", "", 2, 0, make_express},
	{"GLib", "GVariant", "u", 1, 0, make_number},
	{"GLib", "GVariant", "a{sv}", 1, 0, make_dictionary},
	{"GLib", "GVariant", "{sv}", 1, 0, NULL},
	{"GLib", "GVariant", "s", 1, 0, NULL},
	{"GLib", "GVariant", "v", 1, 0, NULL},
	{"GLib", "GVariant", "x", 1, 0, NULL},
	{"glibc", "iconv_t", "", 1, 0, make_iconv},
	{"OpenSSL", "EVP_MD_CTX", "", 1, 0, make_digest},
	{"OpenSSL", "EVP_CIPHER_CTX", "AES-256-GCM", 1, 0, make_cipher},
	{"OpenSSL", "EVP_PKEY", "", 1, 0, make_key},
	{"libxml2", "xmlDoc", "", 1, 0, make_document},
	{"libxml2", "xmlNode", "", 7, 0, NULL}, /* three elements, a text, a comment, and the texts of the attributes */
	{"libxml2", "xmlAttr", "", 2, 0, NULL},
	{"SQLite", "sqlite3", "", 1, 0, make_database},
	{"SQLite", "sqlite3_stmt", "", 1, 0, NULL},
	{"libcurl", "CURL easy handle", "", 1, 0, make_easy},
	{"expat", "XML_Parser", "", 1, 0, make_parser},
	{"PCRE2", "pcre2_code", "", 1, 0, make_pattern},
	{"GnuTLS", "gnutls_session_t", "", 1, 0, make_session},
};

static void begin(struct sample *sample)
{
	(void)sample;
	register_classes();
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + i * i % 23);
	packed_bytes = sizeof(packed);
	compress(packed, &packed_bytes, (unsigned char *)text, sizeof(text));
}

static void step(struct sample *sample)
{
	(void)sample;
	object_kinds_step(kinds, sizeof(kinds) / sizeof(kinds[0]));
}

static void describe(struct sample *sample, char *ret, size_t ret_bytes)
{
	size_t at = (size_t)snprintf(ret, ret_bytes, ",\"deflate_bytes\":%" PRIu64, deflate_bytes);
	object_kinds_describe(kinds, sizeof(kinds) / sizeof(kinds[0]), sample->steps, ret + at, ret_bytes - at);
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "library_objects",
				.condition = "leak",
				.region_kind = "heap",
				.begin = begin,
				.step = step,
				.describe = describe};
	return sample_main(&sample, argc, argv);
}
