/*
 * settings: what the user's environment says, for the modules below cli. Set once, before any of them works.
 */
#include "leakhunt/base.h"

static struct lh_settings settings = {.temporary_folder = "/tmp"};

void lh_settings_set(const struct lh_settings *values)
{
	settings = *values;
	if (!settings.temporary_folder || !*settings.temporary_folder)
		settings.temporary_folder = "/tmp";
}

const struct lh_settings *lh_settings(void)
{
	return &settings;
}
