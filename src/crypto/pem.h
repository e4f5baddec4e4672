/* What the files of crypto/ that read and write certificates and keys share; inner to them.  */
#ifndef CRYPTO_PEM_H
#define CRYPTO_PEM_H

#include "base/buf.h"
#include "base/clock.h"

#include <openssl/pem.h>

/* The text, to be read; borrowed while the BIO lives.  NULL: no memory.  */
BIO *pem_bio(struct str text);
/* For OpenSSL's readers: what wants a pass phrase is no use to a server that starts alone.  */
int pem_no_passphrase(char *to, int size, int writing, void *context);
/* Append the private key, without a pass phrase.  */
bool MUST_CHECK pem_add_key(struct buf *out, EVP_PKEY *pair);
/* Append what was written to a memory BIO.  False: that is nothing, or no memory.  */
bool MUST_CHECK pem_add_bio(struct buf *out, BIO *bio);
/* A certificate's time as wall time.  False: it cannot be said.  */
bool MUST_CHECK pem_time(const ASN1_TIME *time, msec *ret_wall);

#endif
