/* tls_objects: loses objects of mbedTLS, wolfSSL and NSS (object_kinds.h). No connection is made. */
#include "object_kinds.h"

/* Before NSS, whose macros have names of theirs. */
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include <cert.h>
#include <keyhi.h>
#include <mbedtls/cipher.h>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <nspr.h>
#include <nss.h>
#include <pk11pub.h>
#include <private/pprio.h>
#include <ssl.h>

static char certificate_pem[] = "-----BEGIN CERTIFICATE-----\n"
				"MIIBizCCATGgAwIBAgIUItia34caA5aqau6FpOdPj+28+vowCgYIKoZIzj0EAwIw\n"
				"GjEYMBYGA1UEAwwPbGVha2h1bnQgc2FtcGxlMCAXDTI2MTEzMDEwNDMwM1oYDzIx\n"
				"MjYxMTA2MTA0MzAzWjAaMRgwFgYDVQQDDA9sZWFraHVudCBzYW1wbGUwWTATBgcq\n"
				"hkjOPQIBBggqhkjOPQMBBwNCAAQsk+evWqqn+X1+l6TIgBjjcZ1EfgswlIy3BbmY\n"
				"OwwvV7Y1GLq+owzAhFkCYNcFIMA3kAVwBj9DJojVD3dHgOp5o1MwUTAdBgNVHQ4E\n"
				"FgQUevApXviq3rFuM5w2/YFRQ2Ojq0IwHwYDVR0jBBgwFoAUevApXviq3rFuM5w2\n"
				"/YFRQ2Ojq0IwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiEAjMLD\n"
				"oXqaWJPWf81K8sRWF+mul28CoCVtp3vIATiZipsCIALQVzBnfYDH3393jk8lqQF6\n"
				"bjac1ssCg35fIA1Hx8DX\n"
				"-----END CERTIFICATE-----\n";

/* ---------------------------------------------------------------- mbedTLS */

static mbedtls_ssl_config mbedtls_configuration;
static mbedtls_entropy_context entropy;
static mbedtls_ctr_drbg_context random_source;

static void begin_mbedtls(void)
{
	mbedtls_entropy_init(&entropy);
	mbedtls_ctr_drbg_init(&random_source);
	mbedtls_ssl_config_init(&mbedtls_configuration);
	if (mbedtls_ctr_drbg_seed(&random_source, mbedtls_entropy_func, &entropy, NULL, 0) ||
	    mbedtls_ssl_config_defaults(&mbedtls_configuration, MBEDTLS_SSL_IS_SERVER, MBEDTLS_SSL_TRANSPORT_STREAM,
					MBEDTLS_SSL_PRESET_DEFAULT))
		sample_die("tls_objects: mbedTLS does not start");
	mbedtls_ssl_conf_rng(&mbedtls_configuration, mbedtls_ctr_drbg_random, &random_source);
}

/* A context in a structure of the program: it does not begin its block. */
struct connection {
	uint64_t number;
	mbedtls_ssl_context tls;
};

static void make_mbedtls_context(bool is_lost)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	mbedtls_ssl_init(&connection->tls);
	if (mbedtls_ssl_setup(&connection->tls, &mbedtls_configuration))
		sample_die("tls_objects: mbedtls_ssl_setup fails");
	if (is_lost)
		return;
	mbedtls_ssl_free(&connection->tls);
	free(connection);
}

static void make_mbedtls_key(bool is_lost)
{
	mbedtls_pk_context *key = calloc(1, sizeof(*key));
	mbedtls_pk_init(key);
	if (mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_RSA)))
		sample_die("tls_objects: mbedtls_pk_setup fails");
	if (is_lost)
		return;
	mbedtls_pk_free(key);
	free(key);
}

static void make_mbedtls_cipher(bool is_lost)
{
	mbedtls_cipher_context_t *cipher = calloc(1, sizeof(*cipher));
	mbedtls_cipher_init(cipher);
	if (mbedtls_cipher_setup(cipher, mbedtls_cipher_info_from_type(MBEDTLS_CIPHER_AES_128_GCM)))
		sample_die("tls_objects: mbedtls_cipher_setup fails");
	if (is_lost)
		return;
	mbedtls_cipher_free(cipher);
	free(cipher);
}

/* ---------------------------------------------------------------- wolfSSL */

static WOLFSSL_CTX *shared_context;

static void begin_wolfssl(void)
{
	wolfSSL_Init();
	shared_context = wolfSSL_CTX_new(wolfTLSv1_2_client_method());
	if (!shared_context)
		sample_die("tls_objects: wolfSSL does not start");
}

static void make_wolfssl(bool is_lost)
{
	WOLFSSL *tls = wolfSSL_new(shared_context);
	if (!tls)
		sample_die("tls_objects: wolfSSL_new fails");
	if (!is_lost)
		wolfSSL_free(tls);
}

static void make_wolfssl_context(bool is_lost)
{
	WOLFSSL_CTX *context = wolfSSL_CTX_new(wolfTLSv1_2_client_method());
	if (!is_lost)
		wolfSSL_CTX_free(context);
}

static void make_wolfssl_session(bool is_lost)
{
	WOLFSSL_SESSION *session = wolfSSL_SESSION_new();
	if (!is_lost)
		wolfSSL_SESSION_free(session);
}

/* ---------------------------------------------------------------- NSS */

static PK11SlotInfo *slot;
static PK11SymKey *shared_key;
static CERTCertificate *shared_certificate;

static void begin_nss(void)
{
	if (NSS_NoDB_Init(".") != SECSuccess)
		sample_die("tls_objects: NSS does not start");
	slot = PK11_GetInternalSlot();
	shared_key = PK11_KeyGen(slot, CKM_AES_KEY_GEN, NULL, 32, NULL);
	shared_certificate = CERT_DecodeCertFromPackage(certificate_pem, sizeof(certificate_pem) - 1);
	if (!shared_key || !shared_certificate)
		sample_die("tls_objects: NSS makes neither a key nor a certificate");
}

/* Closed below NSPR: a process may have fewer descriptors than a test loses sockets. */
static void make_nss_socket(bool is_lost)
{
	PRFileDesc *socket = PR_NewTCPSocket();
	PRFileDesc *tls = SSL_ImportFD(NULL, socket);
	if (!tls)
		sample_die("tls_objects: SSL_ImportFD fails");
	if (is_lost)
		close((int)PR_FileDesc2NativeHandle(tls));
	else
		PR_Close(tls);
}

static void make_nss_key(bool is_lost)
{
	PK11SymKey *key = PK11_KeyGen(slot, CKM_AES_KEY_GEN, NULL, 16, NULL);
	if (!is_lost)
		PK11_FreeSymKey(key);
}

static void make_nss_digest(bool is_lost)
{
	PK11Context *context = PK11_CreateDigestContext(SEC_OID_SHA256);
	if (!is_lost)
		PK11_DestroyContext(context, PR_TRUE);
}

/* NSS has one object for a certificate, however often it is read: each has a byte of its own in its serial number. */
static void make_nss_certificate(bool is_lost)
{
	static uint32_t number;
	const CERTCertificate *first = shared_certificate;
	unsigned char der[1024];
	uint32_t own = ++number;
	memcpy(der, first->derCert.data, first->derCert.len);
	memcpy(der + (first->serialNumber.data - first->derCert.data) + 4, &own, sizeof(own));
	SECItem item = {siBuffer, der, first->derCert.len};
	CERTCertificate *certificate = CERT_NewTempCertificate(CERT_GetDefaultCertDB(), &item, NULL, PR_FALSE, PR_TRUE);
	if (!certificate)
		sample_die("tls_objects: CERT_NewTempCertificate fails: %d", PR_GetError());
	if (!is_lost)
		CERT_DestroyCertificate(certificate);
}

static void make_nss_private_key(bool is_lost)
{
	static unsigned char p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
	SECItem curve = {siBuffer, p256, sizeof(p256)};
	SECKEYPublicKey *public_key = NULL;
	SECKEYPrivateKey *key =
		PK11_GenerateKeyPair(slot, CKM_EC_KEY_PAIR_GEN, &curve, &public_key, PR_FALSE, PR_FALSE, NULL);
	if (!key)
		sample_die("tls_objects: PK11_GenerateKeyPair fails");
	if (is_lost)
		return;
	SECKEY_DestroyPrivateKey(key);
	SECKEY_DestroyPublicKey(public_key);
}

/* ---------------------------------------------------------------- the sample */

static const struct object_kind kinds[] = {
	{"mbedTLS", "mbedtls_ssl_context", "server", 1, 0, make_mbedtls_context},
	{"mbedTLS", "mbedtls_ssl_session", "", 1, 0, NULL}, /* that the context negotiates */
	{"mbedTLS", "mbedtls_pk_context", "RSA", 1, 0, make_mbedtls_key},
	{"mbedTLS", "mbedtls_cipher_context_t", "AES-128-GCM", 1, 0, make_mbedtls_cipher},
	{"wolfSSL", "WOLFSSL", "client", 1, 0, make_wolfssl},
	{"wolfSSL", "WOLFSSL_CTX", "", 1, 1, make_wolfssl_context},
	{"wolfSSL", "WOLFSSL_SESSION", "", 2, 0, make_wolfssl_session}, /* a WOLFSSL has one of its own, too */
	{"NSS", "SSL socket", "", 1, 0, make_nss_socket},
	{"NSS", "PK11SymKey", "", 1, 1, make_nss_key},
	{"NSS", "PK11Context", "", 1, 0, make_nss_digest},
	{"NSS", "CERTCertificate", "", 1, 1, make_nss_certificate},
	{"NSS", "SECKEYPrivateKey", "", 1, 0, make_nss_private_key},
	{"NSS", "SECKEYPublicKey", "", 1, 0, NULL},
};

static void begin(struct sample *sample)
{
	(void)sample;
	begin_mbedtls();
	begin_wolfssl();
	begin_nss();
}

static void step(struct sample *sample)
{
	(void)sample;
	object_kinds_step(kinds, sizeof(kinds) / sizeof(kinds[0]));
}

static void describe(struct sample *sample, char *ret, size_t ret_bytes)
{
	object_kinds_describe(kinds, sizeof(kinds) / sizeof(kinds[0]), sample->steps, ret, ret_bytes);
}

int main(int argc, char **argv)
{
	struct sample sample = {.name = "tls_objects",
				.condition = "leak",
				.region_kind = "heap",
				.begin = begin,
				.step = step,
				.describe = describe};
	return sample_main(&sample, argc, argv);
}
