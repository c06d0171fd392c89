/*
 * counterparts: which function allocates something, and which frees it: a row per type or per kind of growth. Within a
 * family, owners come first: an SSL owns its SSL_SESSION, BIO and EVP_* objects. Sources are manual pages (section 3
 * unless noted), or a header's documentation for libraries without pages.
 */
#include "hunt.h"

#include <fnmatch.h>
#include <string.h>

static const struct lh_counterpart counterparts[] = {
	/* OpenSSL 1.1.1 to 3.5 */
	{"OpenSSL", "SSL", "SSL_new()", "SSL_free()",
	 "SSL_shutdown() and closing the socket do not free it; look at paths that end in an error", "SSL_free(3)"},
	{"OpenSSL", "SSL_CTX", "SSL_CTX_new()", "SSL_CTX_free()", "a program needs few of them, not one a connection",
	 "SSL_CTX_free(3)"},
	{"OpenSSL", "SSL_SESSION", "SSL_get1_session()", "SSL_SESSION_free()",
	 "or a session cache without a bound: SSL_CTX_sess_set_cache_size()", "SSL_SESSION_free(3)"},
	{"OpenSSL", "X509", "SSL_get1_peer_certificate(), d2i_X509(), PEM_read_X509()", "X509_free()",
	 "functions with get1 or up_ref in their names hand out a reference", "X509_new(3)"},
	{"OpenSSL", "EVP_PKEY", "EVP_PKEY_new(), X509_get_pubkey(), PEM_read_PrivateKey()", "EVP_PKEY_free()",
	 "X509_get_pubkey() hands out a reference, X509_get0_pubkey() does not", "EVP_PKEY_new(3)"},
	{"OpenSSL", "RSA", "RSA_new(), EVP_PKEY_get1_RSA()", "RSA_free()", "", "RSA_new(3)"},
	{"OpenSSL", "DSA", "DSA_new()", "DSA_free()", "", "DSA_new(3)"},
	{"OpenSSL", "EC_KEY", "EC_KEY_new()", "EC_KEY_free()", "", "EC_KEY_new(3)"},
	{"OpenSSL", "EVP_CIPHER_CTX", "EVP_CIPHER_CTX_new()", "EVP_CIPHER_CTX_free()",
	 "EVP_CIPHER_CTX_reset() keeps the context itself", "EVP_EncryptInit(3)"},
	{"OpenSSL", "EVP_MD_CTX", "EVP_MD_CTX_new()", "EVP_MD_CTX_free()",
	 "EVP_DigestFinal_ex() does not free the context", "EVP_DigestInit(3)"},
	{"OpenSSL", "BIO", "BIO_new()", "BIO_free_all()", "BIO_free() frees the first of a chain only", "BIO_new(3)"},
	/* zlib.h, version 1.3 */
	{"zlib", "deflate state", "deflateInit()", "deflateEnd()", "deflateReset() keeps the state", "zlib.h"},
	{"zlib", "inflate state", "inflateInit()", "inflateEnd()", "inflateReset() keeps the state", "zlib.h"},
	/* libxml2: a document owns its nodes, an unlinked node those below it */
	{"libxml2", "xmlDoc", "xmlReadMemory(), xmlParseFile(), xmlNewDoc()", "xmlFreeDoc()",
	 "xmlFreeParserCtxt() does not free ctxt->myDoc", "libxml/tree.h"},
	{"libxml2", "unlinked xmlNode", "xmlNewNode(), xmlUnlinkNode()", "xmlFreeNode()",
	 "an unlinked node is no longer freed with its document", "libxml/tree.h"},
	{"libxml2", "xmlNode", "xmlReadMemory(), xmlNewChild()", "xmlFreeDoc()",
	 "a document frees the nodes in it; an unlinked node needs xmlFreeNode()", "libxml/tree.h"},
	{"libxml2", "xmlAttr", "xmlNewProp()", "xmlFreeProp()", "", "libxml/tree.h"},
	/* SQLite: a connection that has statements does not close */
	{"SQLite", "sqlite3", "sqlite3_open()", "sqlite3_close()",
	 "sqlite3_close() fails with SQLITE_BUSY while statements are not finalized", "sqlite.org/c3ref/close.html"},
	{"SQLite", "sqlite3_stmt", "sqlite3_prepare_v2()", "sqlite3_finalize()", "sqlite3_reset() keeps the statement",
	 "sqlite.org/c3ref/finalize.html"},
	{"libcurl", "CURL multi handle", "curl_multi_init()", "curl_multi_cleanup()", "", "curl_multi_cleanup(3)"},
	{"libcurl", "CURL easy handle", "curl_easy_init()", "curl_easy_cleanup()",
	 "curl_easy_reset() keeps the handle; curl_multi_remove_handle() does not free it", "curl_easy_cleanup(3)"},
	{"expat", "XML_Parser", "XML_ParserCreate()", "XML_ParserFree()", "XML_ParserReset() keeps the parser",
	 "expat.h"},
	{"PCRE2", "pcre2_code", "pcre2_compile()", "pcre2_code_free()",
	 "match data have pcre2_match_data_free() of their own", "pcre2_code_free(3)"},
	{"GnuTLS", "gnutls_session_t", "gnutls_init()", "gnutls_deinit()", "gnutls_bye() does not free the session",
	 "gnutls_deinit(3)"},
	{"mbedTLS", "mbedtls_ssl_context", "mbedtls_ssl_setup()", "mbedtls_ssl_free()",
	 "mbedtls_ssl_close_notify() and mbedtls_net_free() do not free it", "mbedtls/ssl.h"},
	{"mbedTLS", "mbedtls_ssl_session", "mbedtls_ssl_get_session()", "mbedtls_ssl_session_free()",
	 "or a session cache without a bound: mbedtls_ssl_cache_set_max_entries()", "mbedtls/ssl.h"},
	{"mbedTLS", "mbedtls_pk_context", "mbedtls_pk_setup(), mbedtls_pk_parse_key()", "mbedtls_pk_free()",
	 "certificates have mbedtls_x509_crt_free() of their own", "mbedtls/pk.h"},
	{"mbedTLS", "mbedtls_cipher_context_t", "mbedtls_cipher_setup()", "mbedtls_cipher_free()",
	 "mbedtls_cipher_reset() keeps the context", "mbedtls/cipher.h"},
	{"wolfSSL", "WOLFSSL", "wolfSSL_new()", "wolfSSL_free()",
	 "wolfSSL_shutdown() and closing the socket do not free it", "wolfssl/ssl.h"},
	{"wolfSSL", "WOLFSSL_CTX", "wolfSSL_CTX_new()", "wolfSSL_CTX_free()",
	 "a program needs few of them, not one a connection", "wolfssl/ssl.h"},
	{"wolfSSL", "WOLFSSL_SESSION", "wolfSSL_get1_session(), wolfSSL_SESSION_new()", "wolfSSL_SESSION_free()",
	 "wolfSSL_get_session() hands out no reference, wolfSSL_get1_session() does", "wolfssl/ssl.h"},
	{"NSS", "SSL socket", "SSL_ImportFD()", "PR_Close()",
	 "close() of the descriptor below frees neither the layers nor the socket", "NSS, ssl.h"},
	{"NSS", "PRFileDesc", "PR_Open(), PR_NewTCPSocket(), PR_Accept()", "PR_Close()",
	 "PR_Shutdown() does not free it", "NSPR, prio.h"},
	{"NSS", "PK11SymKey", "PK11_KeyGen(), PK11_ImportSymKey()", "PK11_FreeSymKey()",
	 "PK11_ReferenceSymKey() takes a reference more", "NSS, pk11pub.h"},
	{"NSS", "PK11Context", "PK11_CreateContextBySymKey(), PK11_CreateDigestContext()", "PK11_DestroyContext()",
	 "PK11_Finalize() does not free the context", "NSS, pk11pub.h"},
	{"NSS", "CERTCertificate", "CERT_NewTempCertificate(), SSL_PeerCertificate(), CERT_FindCertByNickname()",
	 "CERT_DestroyCertificate()", "each lookup hands out a reference; lists have CERT_DestroyCertList()",
	 "NSS, cert.h"},
	{"NSS", "SECKEYPrivateKey", "PK11_GenerateKeyPair(), PK11_FindKeyByAnyCert()", "SECKEY_DestroyPrivateKey()", "",
	 "NSS, keyhi.h"},
	{"NSS", "SECKEYPublicKey", "PK11_GenerateKeyPair(), CERT_ExtractPublicKey()", "SECKEY_DestroyPublicKey()", "",
	 "NSS, keyhi.h"},
	{"glibc", "iconv_t", "iconv_open()", "iconv_close()", "iconv() with a NULL buffer only resets the state",
	 "iconv_open(3)"},
	{"Redis", "sds", "sdsnew(), sdsdup()", "sdsfree()", "sdsclear() keeps the buffer", "Redis, src/sds.h"},
	/* Before the pattern of all other types of GLib. */
	{"GLib", "GVariant", "g_variant_new(), g_variant_ref(), g_variant_get_child_value()", "g_variant_unref()",
	 "a floating reference is taken by its first owner; g_variant_ref_sink() makes it one's own",
	 "docs.gtk.org/glib, Variant.unref"},
	{"GLib", "*", "g_object_new(), g_object_ref()", "g_object_unref()",
	 "getters documented as (transfer full) hand out a reference", "docs.gtk.org/gobject, Object.unref"},
	/* Kinds of growth: struct lh_cause. */
	{"", "ended-threads", "pthread_create()", "pthread_join() or pthread_detach()",
	 "a joinable thread's stack stays until it is joined", "pthread_create(3), NOTES"},
	{"", "java-thread-pools", "Executors.new...()", "ExecutorService.shutdown()",
	 "a pool that is no longer referenced keeps its threads", "java.util.concurrent.ExecutorService"},
	{"", "library-loaded-again", "dlopen()", "dlclose()", "each dlopen() counts; one dlclose() for each",
	 "dlopen(3)"},
	{"", "file-mapped-again", "mmap()", "munmap()", "closing the descriptor does not unmap", "mmap(2), NOTES"},
	{"", "shared-memory-again", "shm_open() and mmap()", "munmap()", "shm_unlink() and close() do not unmap",
	 "shm_open(3)"},
	{"", "held-files", "memfd_create(), or open() and unlink()", "close()",
	 "the memory is there until the last descriptor is closed, also one that was sent to another process",
	 "memfd_create(2)"},
	{"", "system-v-shm", "shmget()", "shmctl(IPC_RMID)", "shmdt() only detaches", "shmctl(2)"},
};

const struct lh_counterpart *lh_counterparts(size_t *ret_count)
{
	*ret_count = LH_ARRAY_COUNT(counterparts);
	return counterparts;
}

static const struct lh_counterpart *find_counterpart_row(const char *family, const char *object)
{
	for (size_t i = 0; i < LH_ARRAY_COUNT(counterparts); i++) {
		const struct lh_counterpart *row = &counterparts[i];
		if (strcmp(row->family, family) == 0 && fnmatch(row->object, object, 0) == 0)
			return row;
	}
	return NULL;
}

/* What is always a part of a larger object, of which one may have any number. */
bool lh_counterpart_is_part(const char *family, const char *name)
{
	static const char *const parts[][2] = {{"libxml2", "xmlNode"}, {"libxml2", "xmlAttr"}};
	for (size_t i = 0; i < LH_ARRAY_COUNT(parts); i++) {
		if (strcmp(parts[i][0], family) == 0 && strcmp(parts[i][1], name) == 0)
			return true;
	}
	return false;
}

const struct lh_counterpart *lh_counterpart_of_object(const char *family, const char *name)
{
	return *family ? find_counterpart_row(family, name) : NULL;
}

const struct lh_counterpart *lh_counterpart_of_cause(const char *word)
{
	return *word ? find_counterpart_row("", word) : NULL;
}
