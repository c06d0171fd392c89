/*
 * openssl_tables: constant tables of OpenSSL by what they hold, where neither the code that returns them nor the texts
 * that they name is in memory: in cores of gcore without the library's file. Private to objects.
 */
#ifndef LEAKHUNT_OBJECTS_OPENSSL_TABLES_H
#define LEAKHUNT_OBJECTS_OPENSSL_TABLES_H

#include "leakhunt/symbols.h"

/* As its accessor, with "*" for what is not known: "BIO_s_socket", "TLS*_method". NULL if there is no such table. */
const char *lh_openssl_method_name(struct lh_symbols *symbols, uint64_t addr);

/* A cipher suite, or an algorithm's number; NULL if there is none. */
const char *lh_openssl_constant_name(struct lh_symbols *symbols, uint64_t addr);

/* "TLS 1.3"; NULL if there is no such version. */
const char *lh_tls_protocol_name(uint32_t version);

#endif
