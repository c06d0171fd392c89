/*
 * report_assets: the style and the script of report.html. scripts/embed-report.sh generates the C file from report.css
 * and report.js. Private to report.
 */
#ifndef LEAKHUNT_REPORT_REPORT_ASSETS_H
#define LEAKHUNT_REPORT_REPORT_ASSETS_H

#include <stddef.h>

struct lh_report_assets {
	const char *style;
	size_t style_bytes;
	const char *style_hash; /* "sha256-..." of exactly these bytes, for a Content-Security-Policy */
	const char *script;
	size_t script_bytes;
	const char *script_hash;
};

extern const struct lh_report_assets lh_report_assets;

#endif
