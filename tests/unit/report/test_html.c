/*
 * The page of a hunt: bytes of a target stay text, numbers are printed as the page wants them, and the policy's hashes
 * are those of the style and the script (truth: libcrypto).
 */
#include "unit.h"

#include "leakhunt/report.h"
#include "report/html.h"
#include "report/report_assets.h"

#include <openssl/evp.h>
#include <string.h>

/* ---------------------------------------------------------------- escaping */

static void assert_text(const char *raw, const char *expected)
{
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_html_text(&text, raw);
	assert_string_equal(text.data ? text.data : "", expected);
}

static void test_text(void **state)
{
	(void)state;
	assert_text("", "");
	assert_text("<b> & \"x\" 'y'", "&lt;b&gt; &amp; &quot;x&quot; &#39;y&#39;");
	assert_text("\u202egnp\u202c", "<span class=\"esc\">U+202E</span>gnp<span class=\"esc\">U+202C</span>");
	assert_text("\x1b[1m", "<span class=\"esc\">U+001B</span>[1m");
	assert_text("\xff\xc3", "<span class=\"esc\">\\xff</span><span class=\"esc\">\\xc3</span>");
	assert_text("\xed\xa0\x80", "<span class=\"esc\">\\xed</span><span class=\"esc\">\\xa0</span>"
				    "<span class=\"esc\">\\x80</span>");
	assert_text("שלום ☃", "שלום ☃");
}

static void test_attribute(void **state)
{
	(void)state;
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_html_attribute(&text, "\"><i onload='x'>\u2066\x01\xfe");
	assert_string_equal(text.data, "&quot;&gt;&lt;i onload=&#39;x&#39;&gt;\\u2066\\u0001\\xfe");
}

/* No byte of a target can leave an attribute or an element, whatever it is. */
static void test_every_byte(void **state)
{
	(void)state;
	for (int byte = 1; byte < 256; byte++) {
		struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
		char raw[] = {'a', (char)byte, 'b', '\0'};
		lh_html_attribute(&text, raw);
		assert_null(strpbrk(text.data, "<>\"'"));
		for (size_t i = 0; i < text.length; i++)
			assert_true((unsigned char)text.data[i] >= 0x20 && (unsigned char)text.data[i] < 0x7f);
	}
}

static void test_cut(void **state)
{
	(void)state;
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_html_text_cut(&text, "aé<tail", 2);
	assert_string_equal(text.data, "a…");
}

static void test_sentence(void **state)
{
	(void)state;
	struct lh_buffer text LH_CLEANUP(lh_buffer_deinit) = {0};
	lh_html_sentence(&text, "rose <n> times");
	lh_html_sentence(&text, "Ends.");
	lh_html_sentence(&text, "é");
	lh_html_sentence(&text, "");
	assert_string_equal(text.data, "Rose &lt;n&gt; times.Ends.é.");
}

/* ---------------------------------------------------------------- numbers */

static void test_numbers(void **state)
{
	(void)state;
	char number[LH_HTML_NUMBER_MAX];
	assert_string_equal(lh_html_bytes(20073720, number), "19.1\u00a0MiB");
	assert_string_equal(lh_html_signed_bytes(-144, number), "\u2212144\u00a0B");
	assert_string_equal(lh_html_duration(417000, number), "417\u00a0µs");
	assert_string_equal(lh_html_count(1234567, number), "1,234,567");
	assert_string_equal(lh_html_signed_count(-1234, number), "\u22121,234");
	assert_string_equal(lh_html_signed_count(0, number), "0");
	assert_string_equal(lh_html_percent(98.4, number), "98\u00a0%");
	assert_string_equal(lh_html_percent(0.42, number), "0.4\u00a0%");
	assert_string_equal(lh_html_clock(UINT64_C(1795956990) * LH_NS_PER_S, number), "12:56:30");
	assert_string_equal(lh_html_date(UINT64_C(1795956990) * LH_NS_PER_S, number), "29 November 2026, 12:56:30 UTC");
}

/* ---------------------------------------------------------------- the page */

static void assert_hash(const char *bytes, size_t length, const char *expected)
{
	unsigned char digest[EVP_MAX_MD_SIZE], base64[2 * EVP_MAX_MD_SIZE];
	unsigned size = 0;
	assert_int_equal(EVP_Digest(bytes, length, digest, &size, EVP_sha256(), NULL), 1);
	EVP_EncodeBlock(base64, digest, (int)size);
	assert_memory_equal(expected, "sha256-", strlen("sha256-"));
	assert_string_equal(expected + strlen("sha256-"), (const char *)base64);
}

static void test_hashes(void **state)
{
	(void)state;
	assert_hash(lh_report_assets.style, lh_report_assets.style_bytes, lh_report_assets.style_hash);
	assert_hash(lh_report_assets.script, lh_report_assets.script_bytes, lh_report_assets.script_hash);
	assert_null(strstr(lh_report_assets.style, "</style"));
	assert_null(strstr(lh_report_assets.script, "</script"));
}

/* A hunt that found nothing has a page, too; its elements are closed. */
static void test_empty_page(void **state)
{
	(void)state;
	struct lh_hunt hunt LH_CLEANUP(lh_hunt_deinit) = {.held = LH_HOLDING_COUNT};
	struct lh_buffer page LH_CLEANUP(lh_buffer_deinit) = {0};
	snprintf(hunt.command, sizeof(hunt.command), "<script>");
	lh_report_hunt_html(&hunt, &page);
	assert_null(lh_buffer_status(&page));
	assert_non_null(strstr(page.data, "<title>&lt;script&gt; – leakhunt</title>"));
	assert_non_null(strstr(page.data, "default-src 'none'; script-src 'sha256-"));
	assert_null(strstr(page.data, "id=\"grew\""));
	assert_null(strstr(page.data, "style=\""));
	assert_string_equal(page.data + page.length - strlen("</html>\n"), "</html>\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),   cmocka_unit_test(test_attribute),  cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_cut),    cmocka_unit_test(test_sentence),   cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_hashes), cmocka_unit_test(test_empty_page),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
