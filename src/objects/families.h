/*
 * families: the library families, one per file. Private to src/objects.
 */
#ifndef LEAKHUNT_OBJECTS_FAMILIES_H
#define LEAKHUNT_OBJECTS_FAMILIES_H

#include "family.h"

extern const struct lh_object_family lh_family_openssl;          /* by tables that accessor functions name */
extern const struct lh_object_family lh_family_openssl_named;    /* by tables that contain a name */
extern const struct lh_object_family lh_family_openssl_provider; /* by methods in the heap */
extern const struct lh_object_family lh_family_cxx;              /* strings and containers, by shape */
extern const struct lh_object_family lh_family_zlib;
extern const struct lh_object_family lh_family_curl;
extern const struct lh_object_family lh_family_expat;
extern const struct lh_object_family lh_family_glib;
extern const struct lh_object_family lh_family_gnutls;
extern const struct lh_object_family lh_family_gvariant;
extern const struct lh_object_family lh_family_iconv;
extern const struct lh_object_family lh_family_libxml2;
extern const struct lh_object_family lh_family_mbedtls;
extern const struct lh_object_family lh_family_nss;
extern const struct lh_object_family lh_family_pcre2;
extern const struct lh_object_family lh_family_postgresql;
extern const struct lh_object_family lh_family_redis;
extern const struct lh_object_family lh_family_sds;
extern const struct lh_object_family lh_family_sqlite;
extern const struct lh_object_family lh_family_wolfssl;

#endif
