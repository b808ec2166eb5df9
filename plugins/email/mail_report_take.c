/* mail_report.h: a report's receipts on their way to the host. */
#include "mail_report.h"
#include <stdlib.h>

struct taking {
  uint32_t open; /* receipts without their verdict, and the call that hands them over */
  parley_status status;
  uint32_t retry_ms;
  parley_done *done;
  void *arg;
};

static bool is_worse(parley_status a, parley_status b)
{
  return a != PARLEY_OK && (b == PARLEY_OK || (parley_again(a) && !parley_again(b)));
}

static void taking_over(struct taking *taking)
{
  const parley_result result = {.size = sizeof result, .status = taking->status, .retry_ms = taking->retry_ms,
                                .reason = taking->status == PARLEY_OK ? PARLEY_LIT("") : PARLEY_LIT("the report was not taken")};

  if (--taking->open > 0)
    return;
  if (taking->done != NULL)
    taking->done(&result, taking->arg);
  free(taking);
}

static void receipt_taken(const parley_result *result, void *arg)
{
  struct taking *taking = arg;

  if (is_worse(result->status, taking->status)) {
    taking->status = result->status;
    taking->retry_ms = result->retry_ms;
  }
  taking_over(taking);
}

bool mail_report_take(const parley_host *host, void *message, parley_text token, parley_done *done, void *arg)
{
  struct mail_report *report = malloc(sizeof *report);
  struct taking *taking = calloc(1, sizeof *taking);
  bool tells = report != NULL && taking != NULL && mail_report_read(message, token, report) && mail_report_tells(report);
  parley_receipt receipt;
  parley_identity to;

  if (!tells) {
    free(taking);
    free(report);
    return false;
  }
  taking->done = done;
  taking->arg = arg;
  for (uint32_t i = 0; i < report->n_items; i++)
    taking->open += report->items[i].receipt != 0;
  for (uint32_t i = 0; i < report->n_items; i++)
    if (mail_report_receipt(report, i, host->now_ms(host), &to, &receipt))
      host->receipt(host, &receipt, receipt_taken, taking); /* its answer comes after this call */
  free(report);
  return true;
}
