/*
 * report_holdings: what a process holds beside its mappings, and what it runs into, as parts of a report of select.
 * Private to report.
 */
#ifndef LEAKHUNT_REPORT_HOLDINGS_H
#define LEAKHUNT_REPORT_HOLDINGS_H

#include "leakhunt/json.h"
#include "leakhunt/report.h"

/* Rows of what may leak; nothing when nothing may. */
void lh_report_holdings_text(const struct lh_selection *selection, struct lh_style style, struct lh_buffer *ret);
/* "grows: ..." with its cause, of memory beside the mappings; false, and nothing is written, when none leaks. */
bool lh_report_held_leak_text(const struct lh_selection *selection, struct lh_buffer *ret);
/* "runs out: ..."; nothing for NULL. */
void lh_report_forecast_text(const struct lh_forecast *forecast, struct lh_buffer *ret);

/* Adds members to the report's object. */
void lh_report_holdings_json(const struct lh_selection *selection, json_t *object);
/* null for NULL. */
json_t *lh_report_forecast_json(const struct lh_forecast *forecast);

#endif
