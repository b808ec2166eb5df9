#include "tls.h"
#include "address.h"
#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "core/base/text.h"
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <parley/ext/stream.h>
#include <stdlib.h>

#define PEM_MAX (1u << 20) /* bytes */

struct tls_context {
  SSL_CTX *ctx;
  unsigned refs;
  uint32_t flags;
};

struct tls {
  SSL *ssl;
  BIO *in, *out; /* the SSL's */
  struct tls_context *context;
  const char *why;
  bool ready, failed;
};

/* --- Contexts --------------------------------------------------------------------------------- */
static void why_openssl(struct buf *why, const char *what)
{
  unsigned long err = ERR_peek_last_error();
  const char *reason = err != 0 ? ERR_reason_error_string(err) : NULL;

  if (why != NULL)
    buf_printf(why, "%s: %s", what, reason != NULL ? reason : "not usable");
  ERR_clear_error();
}

static int no_password(char *to, int room, int writing, void *arg)
{
  (void)to;
  (void)room;
  (void)writing;
  (void)arg;
  return 0; /* else OpenSSL would ask on the terminal */
}

static struct tls_context *context_new(const SSL_METHOD *method)
{
  struct tls_context *context = xcalloc(1, sizeof(*context));

  context->refs = 1;
  context->ctx = SSL_CTX_new(method);
  if (context->ctx == NULL)
    abort(); /* no memory for it */
  SSL_CTX_set_min_proto_version(context->ctx, TLS1_2_VERSION);
  SSL_CTX_set_options(context->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context->ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_default_passwd_cb(context->ctx, no_password);
  return context;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
  context->refs++;
  return context;
}

void tls_context_unref(struct tls_context **context)
{
  struct tls_context *old = *context;

  *context = NULL;
  if (old == NULL || --old->refs > 0)
    return;
  SSL_CTX_free(old->ctx);
  free(old);
}

parley_status tls_context_server_files(const char *cert_path, const char *key_path, struct tls_context **ret,
                                       struct buf *why)
{
  struct tls_context *context = context_new(TLS_server_method());

  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(context->ctx, cert_path) != 1) {
    why_openssl(why, cert_path);
    goto fail;
  }
  if (SSL_CTX_use_PrivateKey_file(context->ctx, key_path, SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context->ctx) != 1) {
    why_openssl(why, key_path);
    goto fail;
  }
  *ret = context;
  return PARLEY_OK;
fail:
  tls_context_unref(&context);
  return PARLEY_INVALID;
}

static bool cert_chain_use(SSL_CTX *ctx, parley_text pem)
{
  BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.len);
  X509 *cert = PEM_read_bio_X509_AUX(bio, NULL, no_password, NULL);
  bool ok = cert != NULL && SSL_CTX_use_certificate(ctx, cert) == 1;

  X509_free(cert);
  while (ok && (cert = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL)
    if (SSL_CTX_add0_chain_cert(ctx, cert) != 1) {
      X509_free(cert);
      ok = false;
    }
  if (ok)
    ERR_clear_error(); /* the end of the chain is told as an error */
  BIO_free(bio);
  return ok;
}

static bool key_use(SSL_CTX *ctx, parley_text pem)
{
  BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.len);
  EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
  bool ok = key != NULL && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;

  EVP_PKEY_free(key);
  BIO_free(bio);
  return ok;
}

static bool ca_use(SSL_CTX *ctx, parley_text pem)
{
  X509_STORE *store = SSL_CTX_get_cert_store(ctx);
  BIO *bio;
  X509 *cert;
  size_t n = 0;

  if (pem.len == 0)
    return SSL_CTX_set_default_verify_paths(ctx) == 1;
  if (pem.len > PEM_MAX)
    return false;
  bio = BIO_new_mem_buf(pem.at, (int)pem.len);
  while ((cert = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
    n += X509_STORE_add_cert(store, cert) == 1;
    X509_free(cert);
  }
  BIO_free(bio);
  if (n > 0)
    ERR_clear_error();
  return n > 0;
}

static bool pair_use(SSL_CTX *ctx, parley_text cert_pem, parley_text key_pem, struct buf *why)
{
  if (cert_pem.len == 0 || cert_pem.len > PEM_MAX || !cert_chain_use(ctx, cert_pem)) {
    why_openssl(why, "certificate");
    return false;
  }
  if (key_pem.len == 0 || key_pem.len > PEM_MAX || !key_use(ctx, key_pem)) {
    why_openssl(why, "key");
    return false;
  }
  return true;
}

parley_status tls_context_server(parley_text cert_pem, parley_text key_pem, struct tls_context **ret, struct buf *why)
{
  struct tls_context *context = context_new(TLS_server_method());

  ERR_clear_error();
  if (!pair_use(context->ctx, cert_pem, key_pem, why)) {
    tls_context_unref(&context);
    return PARLEY_INVALID;
  }
  *ret = context;
  return PARLEY_OK;
}

parley_status tls_context_client(parley_text ca_pem, parley_text cert_pem, parley_text key_pem, uint32_t flags,
                                 struct tls_context **ret, struct buf *why)
{
  struct tls_context *context = context_new(TLS_client_method());
  bool ok = true;

  ERR_clear_error();
  context->flags = flags;
  SSL_CTX_set_verify(context->ctx, flags & PARLEY_TLS_ANY_PEER ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
  if (!(flags & PARLEY_TLS_ANY_PEER) && !ca_use(context->ctx, ca_pem)) {
    why_openssl(why, "ca");
    ok = false;
  }
  if (ok && (cert_pem.len > 0 || key_pem.len > 0))
    ok = pair_use(context->ctx, cert_pem, key_pem, why);
  if (!ok) {
    tls_context_unref(&context);
    return PARLEY_INVALID;
  }
  *ret = context;
  return PARLEY_OK;
}

/* --- Sessions --------------------------------------------------------------------------------- */
static struct tls *session_new(struct tls_context *context)
{
  struct tls *tls = xcalloc(1, sizeof(*tls));

  tls->context = tls_context_ref(context);
  tls->ssl = SSL_new(context->ctx);
  tls->in = BIO_new(BIO_s_mem());
  tls->out = BIO_new(BIO_s_mem());
  if (tls->ssl == NULL || tls->in == NULL || tls->out == NULL)
    abort();
  BIO_set_mem_eof_return(tls->in, -1);
  BIO_set_mem_eof_return(tls->out, -1);
  SSL_set_bio(tls->ssl, tls->in, tls->out);
  return tls;
}

struct tls *tls_server_new(struct tls_context *context)
{
  struct tls *tls = session_new(context);

  SSL_set_accept_state(tls->ssl);
  return tls;
}

struct tls *tls_client_new(struct tls_context *context, const char *server_name)
{
  struct tls *tls = session_new(context);
  struct net_address address;
  bool numeric = net_address_parse(parley_text_of(server_name), 0, &address);
  bool any_name = (context->flags & (PARLEY_TLS_ANY_NAME | PARLEY_TLS_ANY_PEER)) != 0;

  SSL_set_connect_state(tls->ssl);
  if (!numeric && server_name[0] != '\0')
    SSL_set_tlsext_host_name(tls->ssl, server_name);
  if (any_name)
    return tls;
  if (numeric)
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls->ssl), server_name);
  else
    SSL_set1_host(tls->ssl, server_name);
  SSL_set_hostflags(tls->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return tls;
}

void tls_free(struct tls **tls)
{
  struct tls *old = *tls;

  *tls = NULL;
  if (old == NULL)
    return;
  SSL_free(old->ssl);
  tls_context_unref(&old->context);
  free(old);
}

const char *tls_verify_why(long result)
{
  switch (result) {
  case X509_V_ERR_CERT_HAS_EXPIRED:
    return "tls_expired";
  case X509_V_ERR_CERT_NOT_YET_VALID:
    return "tls_not_yet_valid";
  case X509_V_ERR_HOSTNAME_MISMATCH:
  case X509_V_ERR_IP_ADDRESS_MISMATCH:
    return "tls_name_mismatch";
  case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
  case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    return "tls_self_signed";
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
  case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
  case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    return "tls_unknown_issuer";
  case X509_V_ERR_CERT_REVOKED:
    return "tls_revoked";
  default:
    return "tls_not_trusted";
  }
}

static parley_status session_fail(struct tls *tls)
{
  long verified = SSL_get_verify_result(tls->ssl);
  int reason = ERR_GET_REASON(ERR_peek_error());

  tls->failed = true;
  if (tls->why == NULL && SSL_get_verify_mode(tls->ssl) != SSL_VERIFY_NONE && verified != X509_V_OK)
    tls->why = tls_verify_why(verified);
  if (tls->why == NULL)
    tls->why = reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_WRONG_VERSION_NUMBER ||
                       reason == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION
                   ? "tls_version"
                   : "tls_failed";
  ERR_clear_error();
  return PARLEY_FAILED;
}

parley_status tls_input(struct tls *tls, parley_bytes bytes)
{
  size_t taken = 0;

  if (tls->failed)
    return PARLEY_FAILED;
  if (BIO_write_ex(tls->in, bytes.at, bytes.len, &taken) != 1 || taken != bytes.len)
    return session_fail(tls);
  return PARLEY_OK;
}

enum tls_read tls_read(struct tls *tls, char *to, size_t room, size_t *ret_len)
{
  if (tls->failed)
    return TLS_READ_FAILED;
  ERR_clear_error();
  if (!tls->ready) {
    int done = SSL_do_handshake(tls->ssl);

    if (done != 1) {
      if (SSL_get_error(tls->ssl, done) == SSL_ERROR_WANT_READ)
        return TLS_READ_WAIT;
      session_fail(tls);
      return TLS_READ_FAILED;
    }
    tls->ready = true;
  }
  if (SSL_read_ex(tls->ssl, to, room, ret_len) == 1)
    return TLS_READ_SOME;
  switch (SSL_get_error(tls->ssl, 0)) {
  case SSL_ERROR_WANT_READ:
  case SSL_ERROR_WANT_WRITE:
    return TLS_READ_WAIT;
  case SSL_ERROR_ZERO_RETURN:
    return TLS_READ_END;
  default:
    session_fail(tls);
    return TLS_READ_FAILED;
  }
}

parley_status tls_write(struct tls *tls, parley_bytes bytes)
{
  size_t taken = 0;

  if (tls->failed || !tls->ready)
    return PARLEY_FAILED;
  if (bytes.len == 0)
    return PARLEY_OK;
  ERR_clear_error();
  if (SSL_write_ex(tls->ssl, bytes.at, bytes.len, &taken) != 1 || taken != bytes.len)
    return session_fail(tls);
  return PARLEY_OK;
}

bool tls_ready(const struct tls *tls)
{
  return tls->ready && !tls->failed;
}

void tls_shutdown(struct tls *tls)
{
  if (tls_ready(tls) && !(SSL_get_shutdown(tls->ssl) & SSL_SENT_SHUTDOWN))
    SSL_shutdown(tls->ssl);
  ERR_clear_error();
}

parley_bytes tls_output(struct tls *tls)
{
  char *at = NULL;
  long len = BIO_get_mem_data(tls->out, &at);

  return (parley_bytes){at, len > 0 ? (size_t)len : 0};
}

void tls_output_done(struct tls *tls, size_t len)
{
  char drop[4096];

  if (len >= tls_output(tls).len) {
    (void)BIO_reset(tls->out);
    return;
  }
  while (len > 0) {
    int n = BIO_read(tls->out, drop, (int)(len < sizeof(drop) ? len : sizeof(drop)));

    if (n <= 0)
      return;
    len -= (size_t)n;
  }
}

const char *tls_why(const struct tls *tls)
{
  return tls->why != NULL ? tls->why : "tls_failed";
}

const char *tls_version(const struct tls *tls)
{
  return SSL_get_version(tls->ssl);
}

void tls_subject(const struct tls *tls, struct buf *to)
{
  X509 *cert = SSL_get1_peer_certificate(tls->ssl);
  char *at = NULL;
  long len;
  BIO *bio;

  if (cert == NULL)
    return;
  bio = BIO_new(BIO_s_mem());
  if (bio != NULL && X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253) >= 0) {
    len = BIO_get_mem_data(bio, &at);
    buf_add(to, at, len > 0 ? (size_t)len : 0);
  }
  BIO_free(bio);
  X509_free(cert);
}
