/* net_cert.h - certificates for tests: a self-signed one, which is its own authority. */
#ifndef TESTS_UNIT_NET_CERT_H
#define TESTS_UNIT_NET_CERT_H
#include <check.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <parley/plugin.h>
#include <string.h>

struct net_cert {
  char cert[4096], key[4096];
};

static inline void net_cert_extension(X509 *cert, int nid, const char *value)
{
  X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

  ck_assert_ptr_nonnull(extension);
  X509_add_ext(cert, extension, -1);
  X509_EXTENSION_free(extension);
}

static inline void net_cert_pem(BIO *bio, char *to, size_t room)
{
  int n = BIO_read(bio, to, (int)room - 1);

  ck_assert_int_gt(n, 0);
  to[n] = '\0';
  BIO_free(bio);
}

/* names: "DNS:a.example,IP:127.0.0.1". days: how long from now it is valid; negative: it has expired. */
static inline void net_cert_make(struct net_cert *made, const char *names, int days)
{
  EVP_PKEY *key = EVP_EC_gen("P-256");
  X509 *cert = X509_new();
  BIO *bio = BIO_new(BIO_s_mem());

  X509_set_version(cert, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert), days < 0 ? 2L * days * 86400 : -3600);
  X509_gmtime_adj(X509_getm_notAfter(cert), days * 86400L);
  X509_set_pubkey(cert, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
  X509_set_issuer_name(cert, X509_get_subject_name(cert));
  net_cert_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
  net_cert_extension(cert, NID_subject_alt_name, names);
  ck_assert_int_gt(X509_sign(cert, key, EVP_sha256()), 0);
  PEM_write_bio_X509(bio, cert);
  net_cert_pem(bio, made->cert, sizeof(made->cert));
  bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
  net_cert_pem(bio, made->key, sizeof(made->key));
  X509_free(cert);
  EVP_PKEY_free(key);
}
#endif
