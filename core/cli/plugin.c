/* parley plugin info and test: for people who write channels; they need no daemon. */
#include "command.h"
#include "core/base/text.h"
#include "core/kit/kit.h"

int cli_plugin_info(struct cli *cli)
{
  return kit_info(cli->words[0], cli->json);
}

int cli_plugin_test(struct cli *cli)
{
  struct kit_wish wish = {.path = cli->words[0], .only = cli_given(cli, "only"), .inbound = cli_given(cli, "inbound"),
                          .answer = cli_given(cli, "answer"), .peer = cli_given(cli, "peer"), .caller = cli_given(cli, "caller"),
                          .options = cli_given(cli, "options"), .program = "parley", .json = cli->json};
  const char *seed = cli_given(cli, "seed");

  if (seed != NULL && (!text_to_uint(parley_text_of(seed), UINT64_MAX, &wish.seed) || wish.seed == 0)) {
    cli_complain("--seed needs a number from 1 on");
    return CLI_USAGE;
  }
  return cli_given(cli, "list") != NULL ? kit_list(&wish) : kit_test(&wish);
}
