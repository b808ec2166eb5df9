// sources: plugins/sms-http/sms_settings.c plugins/sms-http/sms_provider.c plugins/sms-http/sms_form.c
// sources: plugins/sms-http/sms_pointer.c plugins/sms-http/sms_time.c plugins/sms-http/twilio.c plugins/sms-http/vonage.c
// sources: plugins/sms-http/vonage_messages.c plugins/sms-http/vonage_jwt.c
// libraries: PkgConfig::OPENSSL
// sources: plugins/sms-http/gateway.c plugins/sms-http/gateway_out.c plugins/sms-http/gateway_in.c plugins/sms-http/gateway_verify.c
// sources: plugins/sms-http/gateway_options.c plugins/sms-http/gateway_table.c plugins/sms-http/gateway_template.c
// sources: plugins/sms-http/gateway_check.c
// libraries: parley_plugin_common
/* Whatever an operator writes as a gateway's description: it is refused with a reason, or every message makes a request of it, whose
 * body, where it is JSON, is JSON whatever the text. Behind a NUL stands the text of the message; the first part is a JSON pointer,
 * too. */
#include "core/channel/option.h"
#include "sms-http/sms_pointer.h"
#include "sms-http/sms_settings.h"
#include <assert.h>
#include <stdlib.h>

const parley_capabilities sms_capabilities = {.size = sizeof sms_capabilities};

static const char *variable(const char *name)
{
  (void)name;
  return "user:secret";
}

static void request_check(const struct sms_settings *settings, parley_text text)
{
  struct json_writer body = {0};
  struct sms_request request = {.memory = copy_new(), .body = &body};
  struct sms_piece piece = {.to = PARLEY_LIT("+34600111222"),
                            .from = PARLEY_LIT("Shop"),
                            .text = text,
                            .id = PARLEY_LIT("msg_1"),
                            .callback = PARLEY_LIT("https://p.example/in/sms/receipts"),
                            .n_media = 1,
                            .media = {PARLEY_LIT("https://p/m")}};

  if (settings->provider->request(settings->self, &piece, &request)) {
    parley_text type = parley_header(request.headers, request.n_headers, "content-type");

    assert(request.url.len > 7 && request.n_headers <= SMS_HEADERS_MAX);
    for (uint32_t i = 0; i < request.n_headers; i++)
      assert(request.headers[i].value.len == 0 || memchr(request.headers[i].value.at, '\n', request.headers[i].value.len) == NULL);
    if (parley_text_is(type, "application/json")) {
      json_t *root = json_loadb(body.at, body.len, 0, NULL);

      assert(root != NULL);
      json_decref(root);
    }
  }
  json_writer_done(&body);
  copy_free(&request.memory);
}

static void pointer_check(parley_text pointer)
{
  json_t *root = json_pack("{s:[s,{s:i}],s:b}", "a", "b", "c", 1, "~/", 1);
  struct copy *memory = copy_new();

  if (sms_pointer_fault(pointer) != NULL)
    assert(sms_pointer_get(root, pointer) == NULL);
  sms_pointer_text(root, pointer, memory);
  copy_free(&memory);
  json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const char *nul = size > 0 ? memchr(data, 0, size) : NULL;
  size_t len = nul != NULL ? (size_t)(nul - (const char *)data) : size;
  parley_text yaml = {(const char *)data, len}, text = {nul != NULL ? nul + 1 : "hi", nul != NULL ? size - len - 1 : 2};
  struct arena *arena = arena_new();
  struct secrets secrets = {0};
  struct buf why = BUF_INIT(1 << 16);
  struct yaml_file *file = NULL;
  struct sms_settings settings;
  const parley_value *values = NULL;
  json_t *good = json_stringn(text.at, text.len); /* a message's text is UTF-8 */

  pointer_check(yaml);
  if (good != NULL && yaml_parse("/nowhere/fuzz.yaml", yaml, variable, &file, &why) == PARLEY_OK &&
      options_read(file, file->root, 1, 1, "options", sms_settings_table, arena, &secrets, &values, &why) == PARLEY_OK) {
    if (sms_settings_read(values, &settings) == PARLEY_OK)
      request_check(&settings, text);
    else
      assert(settings.why[0] != '\0');
    sms_settings_done(&settings);
  }
  json_decref(good);
  yaml_file_free(&file);
  secrets_done(&secrets);
  buf_done(&why);
  arena_free(&arena);
  return 0;
}
