/*
 * summary_mask: masks the secrets in what a summary shows that the recognizers can't know: texts of wide
 * characters, a secret that is one only with what follows the piece it lies in, and the names of symbols and
 * objects, which may be any string of a module.
 */
#include "collector.h"
#include "scan/recognize/secret_finder.h"

#include <string.h>

static void mask_text(struct lh_secret_finder *finder, char *text)
{
	lh_secret_finder_mask(finder, text, strlen(text));
}

static void mask_texts(struct lh_secret_finder *finder, struct lh_summary *summary)
{
	for (size_t i = 0; i < summary->repeated.count; i++)
		mask_text(finder, summary->repeated.items[i].text);
	for (size_t i = 0; i < summary->templates.count; i++) {
		struct lh_template_count *template = &summary->templates.items[i];
		mask_text(finder, template->text);
		for (size_t k = 0; k < template->example_count; k++)
			mask_text(finder, template->examples[k].text);
	}
}

/* Names belong to others: a masked one is a copy in the summary's pool. */
static struct lh_error *mask_names(struct lh_secret_finder *finder, struct lh_summary *summary)
{
	for (size_t i = 0; i < summary->census.named_count; i++)
		LH_TRY(lh_secret_finder_mask_name(finder, &summary->objects.strings,
						  &summary->census.rows.items[i].symbol.name));
	for (size_t i = 0; i < summary->objects.rows.count; i++) {
		LH_TRY(lh_secret_finder_mask_name(finder, &summary->objects.strings,
						  &summary->objects.rows.items[i].name));
		LH_TRY(lh_secret_finder_mask_name(finder, &summary->objects.strings,
						  &summary->objects.rows.items[i].detail));
	}
	return NULL;
}

struct lh_error *lh_summary_mask(struct lh_summary *summary)
{
	LH_CLEANUP(lh_cleanup_secret_finder) struct lh_secret_finder *finder = NULL;
	LH_TRY(lh_secret_finder_create(&finder));
	mask_texts(finder, summary);
	return mask_names(finder, summary);
}
