/*
 * report_holdings: what a process holds beside its mappings, and which limit it approaches, as parts of a report of
 * select. Private to report.
 */
#ifndef LEAKHUNT_REPORT_HOLDINGS_H
#define LEAKHUNT_REPORT_HOLDINGS_H

#include "leakhunt/json.h"
#include "leakhunt/report.h"

/* Rows of holdings that may leak; nothing if none may. */
void lh_report_holdings_text(const struct lh_selection *selection, struct lh_style style, struct lh_buffer *ret);
/* "grows: ..." with its cause, for memory beside the mappings; false, with nothing written, if none leaks. */
bool lh_report_held_leak_text(const struct lh_selection *selection, struct lh_buffer *ret);
/* "runs out: ..."; nothing if `forecast` is NULL. */
void lh_report_forecast_text(const struct lh_forecast *forecast, struct lh_buffer *ret);

/* Adds members to the report's object. */
void lh_report_holdings_json(const struct lh_selection *selection, json_t *object);
/* null if `forecast` is NULL. */
json_t *lh_report_forecast_json(const struct lh_forecast *forecast);

#endif
