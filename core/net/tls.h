/* tls.h - TLS over memory BIOs: ciphertext in, plain text out and back; no sockets here. Contexts are shared and
 * counted, sessions belong to one connection. TLS 1.2 at least. Thread: loop. */
#ifndef CORE_NET_TLS_H
#define CORE_NET_TLS_H
#include <parley/plugin.h>
#include <stdbool.h>

struct buf;
struct tls_context;
struct tls;

/* PARLEY_INVALID: a file is missing or wrong, or key and certificate do not match; why gets one line for a person. */
parley_status tls_context_server_files(const char *cert_path, const char *key_path, struct tls_context **ret,
                                       struct buf *why);
/* From PEM in memory. Server: cert and key are needed. Client: ca_pem empty takes the system's; cert and key optional.
 */
parley_status tls_context_server(parley_text cert_pem, parley_text key_pem, struct tls_context **ret, struct buf *why);
parley_status tls_context_client(parley_text ca_pem, parley_text cert_pem, parley_text key_pem, uint32_t flags,
                                 struct tls_context **ret, struct buf *why); /* flags: PARLEY_TLS_ANY_* */
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context **context); /* NULL inside is fine */

struct tls *tls_server_new(struct tls_context *context); /* takes a reference */
/* server_name: checked against the certificate and, unless it is an address, sent as SNI. */
struct tls *tls_client_new(struct tls_context *context, const char *server_name);
void tls_free(struct tls **tls);

/* Ciphertext from the peer. All of it is taken. PARLEY_FAILED once the session is broken. */
parley_status tls_input(struct tls *tls, parley_bytes bytes);
enum tls_read { TLS_READ_SOME, TLS_READ_WAIT, TLS_READ_END /* close_notify */, TLS_READ_FAILED };
/* Goes on with the handshake and gives plain bytes. Look at tls_output() after every call. */
enum tls_read tls_read(struct tls *tls, char *to, size_t room, size_t *ret_len);
/* Plain bytes to the peer; only when tls_ready(). Taken whole. */
parley_status tls_write(struct tls *tls, parley_bytes bytes);
bool tls_ready(const struct tls *tls);    /* the handshake is done */
void tls_shutdown(struct tls *tls);       /* makes a close_notify */
parley_bytes tls_output(struct tls *tls); /* ciphertext waiting to be sent, borrowed */
void tls_output_done(struct tls *tls, size_t len);
const char *tls_why(const struct tls *tls);     /* after a failure: "tls_expired", "tls_name_mismatch", ...; static */
const char *tls_verify_why(long x509_result);   /* the same words for OpenSSL's X509_V_ERR_* */
const char *tls_version(const struct tls *tls); /* "TLSv1.3" */
void tls_subject(const struct tls *tls, struct buf *to); /* of the peer's certificate; nothing when it gave none */
#endif
