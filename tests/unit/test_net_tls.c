#include "core/base/buf.h"
#include "core/base/text.h"
#include "core/net/tls.h"
#include "net_cert.h"
#include "net_peer.h"
#include "temp.h"
#include <openssl/ssl.h>
#include <parley/ext/stream.h>
#include <stdio.h>

/* Two sessions with nothing between them. */
struct pair {
  struct net_cert cert;
  struct tls *server, *client;
  struct buf at_server, at_client; /* plain bytes that arrived */
  enum tls_read server_end, client_end;
};

static void carry(struct tls *from, struct tls *to)
{
  parley_bytes bytes = tls_output(from);

  if (bytes.len == 0)
    return;
  (void)tls_input(to, bytes);
  tls_output_done(from, bytes.len);
}

static enum tls_read drink(struct tls *tls, struct buf *to)
{
  char bytes[700];
  enum tls_read got;
  size_t len;

  while ((got = tls_read(tls, bytes, sizeof(bytes), &len)) == TLS_READ_SOME)
    buf_add(to, bytes, len);
  return got;
}

static void pump(struct pair *pair)
{
  for (int i = 0; i < 6; i++) {
    pair->client_end = drink(pair->client, &pair->at_client);
    carry(pair->client, pair->server);
    pair->server_end = drink(pair->server, &pair->at_server);
    carry(pair->server, pair->client);
  }
}

static void pair_open(struct pair *pair, const char *names, int days, const char *server_name, uint32_t flags,
                      bool trusted)
{
  struct tls_context *server = NULL, *client = NULL;
  struct net_cert other;
  struct buf why = BUF_INIT(0);

  memset(pair, 0, sizeof(*pair));
  net_cert_make(&pair->cert, names, days);
  net_cert_make(&other, names, days);
  ck_assert_int_eq(tls_context_server(parley_text_of(pair->cert.cert), parley_text_of(pair->cert.key), &server, &why),
                   PARLEY_OK);
  ck_assert_int_eq(tls_context_client(parley_text_of(trusted ? pair->cert.cert : other.cert), TEXT_EMPTY, TEXT_EMPTY,
                                      flags, &client, &why),
                   PARLEY_OK);
  pair->server = tls_server_new(server);
  pair->client = tls_client_new(client, server_name);
  tls_context_unref(&server); /* as a reload does: sessions keep what they began with */
  tls_context_unref(&client);
}

static void pair_close(struct pair *pair)
{
  tls_free(&pair->server);
  tls_free(&pair->client);
  buf_done(&pair->at_server);
  buf_done(&pair->at_client);
}

START_TEST(bytes_go_through_and_the_end_is_told)
{
  struct pair pair;
  char *much = malloc(1 << 20);
  struct buf subject = BUF_INIT(0);

  memset(much, 'm', 1 << 20);
  pair_open(&pair, "DNS:a.example", 2, "a.example", 0, true);
  ck_assert_int_eq(tls_write(pair.client, PARLEY_LIT("early")), PARLEY_FAILED); /* not before the handshake */
  pump(&pair);
  ck_assert(tls_ready(pair.server) && tls_ready(pair.client));
  ck_assert_str_eq(tls_version(pair.client), "TLSv1.3");
  tls_subject(pair.client, &subject);
  ck_assert_str_eq(subject.at, "CN=test");
  ck_assert_int_eq(tls_write(pair.client, (parley_bytes){much, 1 << 20}), PARLEY_OK);
  ck_assert_int_eq(tls_write(pair.server, PARLEY_LIT("hello")), PARLEY_OK);
  pump(&pair);
  ck_assert_uint_eq(pair.at_server.len, 1 << 20);
  ck_assert_str_eq(pair.at_client.at, "hello");
  tls_shutdown(pair.client);
  pump(&pair);
  ck_assert_int_eq(pair.server_end, TLS_READ_END);
  buf_done(&subject);
  free(much);
  pair_close(&pair);
}
END_TEST

static const struct {
  const char *names;
  int days;
  const char *server_name;
  uint32_t flags;
  bool trusted;
  const char *why; /* NULL: it opens */
} rows[] = {
    {"DNS:a.example", 2, "a.example", 0, true, NULL},
    {"DNS:*.shop.example", 2, "a.shop.example", 0, true, NULL},
    {"DNS:*.shop.example", 2, "a.b.shop.example", 0, true, "tls_name_mismatch"},
    {"DNS:a.example", 2, "b.example", 0, true, "tls_name_mismatch"},
    {"DNS:a.example", 2, "b.example", PARLEY_TLS_ANY_NAME, true, NULL},
    {"DNS:127.0.0.1", 2, "127.0.0.1", 0, true, "tls_name_mismatch"},
    {"IP:127.0.0.1", 2, "127.0.0.1", 0, true, NULL},
    {"IP:::1", 2, "::1", 0, true, NULL},
    {"DNS:a.example", -2, "a.example", 0, true, "tls_expired"},
    {"DNS:a.example", 2, "a.example", 0, false, "tls_self_signed"},
    {"DNS:a.example", 2, "a.example", PARLEY_TLS_ANY_NAME, false, "tls_self_signed"},
    {"DNS:a.example", -2, "b.example", PARLEY_TLS_ANY_PEER, false, NULL},
};

START_TEST(a_certificate_is_judged_as_the_table_says)
{
  struct pair pair;

  pair_open(&pair, rows[_i].names, rows[_i].days, rows[_i].server_name, rows[_i].flags, rows[_i].trusted);
  pump(&pair);
  ck_assert_int_eq(tls_ready(pair.client), rows[_i].why == NULL);
  if (rows[_i].why != NULL) {
    ck_assert_int_eq(pair.client_end, TLS_READ_FAILED);
    ck_assert_str_eq(tls_why(pair.client), rows[_i].why);
    ck_assert_int_eq(tls_write(pair.client, PARLEY_LIT("x")), PARLEY_FAILED);
    ck_assert_int_eq(tls_input(pair.client, PARLEY_LIT("x")), PARLEY_FAILED);
  }
  pair_close(&pair);
}
END_TEST

START_TEST(what_is_not_tls_fails)
{
  struct pair pair;
  char bytes[64];
  size_t len;

  pair_open(&pair, "DNS:a.example", 2, "a.example", 0, true);
  ck_assert_int_eq(tls_input(pair.server, PARLEY_LIT("GET / HTTP/1.1\r\nHost: a\r\n\r\n")), PARLEY_OK);
  ck_assert_int_eq(tls_read(pair.server, bytes, sizeof(bytes), &len), TLS_READ_FAILED);
  ck_assert_int_eq(strncmp(tls_why(pair.server), "tls_", 4), 0);
  pair_close(&pair);
}
END_TEST

START_TEST(tls_1_1_is_refused)
{
  struct pair pair;
  SSL_CTX *old = SSL_CTX_new(TLS_client_method());
  SSL *ssl;
  BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
  char hello[2048], bytes[64];
  size_t len;
  int n;

  SSL_CTX_set_security_level(old, 0);
  SSL_CTX_set_min_proto_version(old, TLS1_VERSION);
  SSL_CTX_set_max_proto_version(old, TLS1_1_VERSION);
  ssl = SSL_new(old);
  SSL_set_bio(ssl, in, out);
  SSL_connect(ssl);
  n = BIO_read(out, hello, sizeof(hello));
  ck_assert_int_gt(n, 0);
  pair_open(&pair, "DNS:a.example", 2, "a.example", 0, true);
  ck_assert_int_eq(tls_input(pair.server, (parley_bytes){hello, (size_t)n}), PARLEY_OK);
  ck_assert_int_eq(tls_read(pair.server, bytes, sizeof(bytes), &len), TLS_READ_FAILED);
  ck_assert_str_eq(tls_why(pair.server), "tls_version");
  SSL_free(ssl);
  SSL_CTX_free(old);
  pair_close(&pair);
}
END_TEST

START_TEST(material_that_does_not_fit_says_so)
{
  struct net_cert one, two;
  struct tls_context *context = NULL;
  struct buf why = BUF_INIT(0);

  net_cert_make(&one, "DNS:a", 2);
  net_cert_make(&two, "DNS:a", 2);
  ck_assert_int_eq(tls_context_server(parley_text_of(one.cert), parley_text_of(two.key), &context, &why),
                   PARLEY_INVALID);
  ck_assert_int_eq(tls_context_server(TEXT_EMPTY, TEXT_EMPTY, &context, &why), PARLEY_INVALID);
  ck_assert_int_eq(tls_context_server(PARLEY_LIT("x"), parley_text_of(two.key), &context, &why), PARLEY_INVALID);
  ck_assert_int_eq(tls_context_client(PARLEY_LIT("x"), TEXT_EMPTY, TEXT_EMPTY, 0, &context, &why), PARLEY_INVALID);
  ck_assert_int_eq(tls_context_server_files("/nowhere.crt", "/nowhere.key", &context, &why), PARLEY_INVALID);
  ck_assert_ptr_nonnull(strstr(why.at, "/nowhere.crt: "));
  ck_assert_ptr_null(context);
  buf_done(&why);
}
END_TEST

START_TEST(a_server_reads_its_material_from_files)
{
  char dir[64], cert_path[80], key_path[80];
  struct net_cert cert;
  struct tls_context *context = NULL;
  struct buf why = BUF_INIT(0);
  FILE *file;

  temp_dir(dir, sizeof(dir));
  snprintf(cert_path, sizeof(cert_path), "%s/crt", dir);
  snprintf(key_path, sizeof(key_path), "%s/key", dir);
  net_cert_make(&cert, "DNS:a", 2);
  file = fopen(cert_path, "w");
  fputs(cert.cert, file);
  fclose(file);
  file = fopen(key_path, "w");
  fputs(cert.key, file);
  fclose(file);
  ck_assert_int_eq(tls_context_server_files(cert_path, key_path, &context, &why), PARLEY_OK);
  tls_context_unref(&context);
  ck_assert_int_eq(tls_context_server_files(cert_path, cert_path, &context, &why), PARLEY_INVALID);
  unlink(cert_path);
  unlink(key_path);
  rmdir(dir);
  buf_done(&why);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("net: TLS");
  TCase *tcase = tcase_create("all");

  tcase_add_test(tcase, bytes_go_through_and_the_end_is_told);
  tcase_add_loop_test(tcase, a_certificate_is_judged_as_the_table_says, 0, (int)(sizeof(rows) / sizeof(rows[0])));
  tcase_add_test(tcase, what_is_not_tls_fails);
  tcase_add_test(tcase, tls_1_1_is_refused);
  tcase_add_test(tcase, material_that_does_not_fit_says_so);
  tcase_add_test(tcase, a_server_reads_its_material_from_files);
  suite_add_tcase(suite, tcase);
  return peer_main(suite);
}
