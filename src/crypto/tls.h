/* TLS over memory: an engine is one side of one connection and knows no socket.  It has four
 * ports, and what each can do now follows from its state:
 *
 *	octets from the peer   tls_feed       takes none while plaintext waits
 *	plaintext for us       tls_plain, tls_plain_taken
 *	plaintext for the peer tls_write      once TLS_OPEN
 *	octets to the peer     tls_output, tls_sent
 *
 * The driver's loop: feed what came, send the output, take the plaintext, feed the rest.  An engine
 * may move between threads, but only one at a time may use it.
 *
 * Memory: an idle session keeps about 14 KB (OpenSSL's); buffers come with the first octet and go
 * with the last.  */
#ifndef CRYPTO_TLS_H
#define CRYPTO_TLS_H

#include "base/buf.h"
#include "base/clock.h"

/* What the connections of one side share: certificates, or trusted roots; counted.  */
struct tls_context;
struct tls;

/* A certificate with those that vouch for it, leaf first, and its private key: both PEM.  */
struct tls_identity {
	struct str chain, key;
};

/* A server's.  The first identity serves whoever names none of the others (SNI); the names are those in
 * the certificates.  TLS 1.2 and up; a client that offers protocols (ALPN) but not "smtp" is refused:
 * it was sent here to be misled (RFC 9325 3.7).
 *   identities  borrowed for the call
 * Returns  NULL when one cannot be used; why is appended to `why`.  */
struct tls_context *tls_server_context(
	const struct tls_identity *identities, uint32_t count, struct buf *why);
/* A server's that shows one certificate to an ACME authority, and speaks nothing else (RFC 8737 3).  NULL as above.  */
struct tls_context *tls_challenge_context(const struct tls_identity *identity, struct buf *why);
/* A client's.  roots: PEM of the authorities that are trusted; empty: the system's
 * (SSL_CERT_FILE, SSL_CERT_DIR).  NULL as above.  */
struct tls_context *tls_client_context(struct str roots, struct buf *why);
/* One more user; each gives it back with tls_context_release.  Engines count too.  May be called from
 * any thread.  */
struct tls_context *tls_context_hold(struct tls_context *context);
void tls_context_release(struct tls_context *context);
/* From now on tickets of sessions are sealed with a new key; those sealed with the one before are still taken, and no
 * older ones.  */
void tls_context_rotate(struct tls_context *context);
/* Take over the keys of the context that this one follows, so that its tickets stay good.  */
void tls_context_inherit(struct tls_context *context, struct tls_context *before);
/* Wall time at which the first of a server's certificates ends.  */
msec tls_context_until(const struct tls_context *context);
/* The same of one of them, in the order they were given.  */
msec tls_context_ends(const struct tls_context *context, uint32_t identity);

enum tls_verify {
	TLS_VERIFY_NONE, /* whoever it is */
	TLS_VERIFY_NAME, /* a trusted authority vouches for the host (RFC 9525) */
	TLS_VERIFY_DANE, /* its TLSA records do (RFC 7671, 7672) */
};

/* A TLSA record (RFC 6698 2.1), as DNS has it.  */
struct tls_tlsa {
	uint8_t usage, selector, matching;
	struct str data; /* a digest, or the whole certificate or key */
};
/* Whether it can vouch for a mail server: usage 2 or 3, and data that can match at all.  Source: RFC 7672 3.1.  */
bool tls_tlsa_usable(const struct tls_tlsa *record);

/* What a client expects of the peer; all borrowed for the call.  */
struct tls_expect {
	enum tls_verify verify;
	bool look; /* go on whoever it is; tls_verified tells */
	/* Any one of them will do; the first (which may be an address) is asked for by SNI.  NAME and DANE need one.  */
	const struct str *names;
	uint32_t name_count;
	const struct tls_tlsa *tlsa; /* DANE: one of them is usable */
	uint32_t tlsa_count;
};

/* An engine; NULL: no memory.  */
struct tls *tls_server_new(struct tls_context *context);
/* host: the name (or address) that was asked for, sent as SNI when it is a name.  */
struct tls *tls_client_new(struct tls_context *context, struct str host, enum tls_verify verify);
struct tls *tls_client_expecting(struct tls_context *context, const struct tls_expect *expect);
void tls_free(struct tls *t);

enum tls_state {
	TLS_HANDSHAKE,
	TLS_OPEN,
	TLS_ENDED,  /* the peer has said that it sends no more; we still may */
	TLS_FAILED, /* tls_why; an alert may be in the output */
};

/* Where it stands.  */
enum tls_state tls_state(const struct tls *t);

/* Octets from the peer; any split gives the same.  A client's engine is fed an empty str to begin.
 * Returns  how many were taken: all, unless plaintext waits to be taken first  */
size_t tls_feed(struct tls *t, struct str octets);
/* Plaintext that came, borrowed until the next call; its first n octets are dealt with.  */
struct str tls_plain(const struct tls *t);
void tls_plain_taken(struct tls *t, size_t n);
/* Encrypt all of it into the output.  False: the session is not open, or there is no memory.  */
bool MUST_CHECK tls_write(struct tls *t, struct str plain);
/* Octets to send, borrowed until the next call; the first n of them are sent.  */
struct str tls_output(const struct tls *t);
void tls_sent(struct tls *t, size_t n);
/* Say that we send no more (close_notify).  */
void tls_close(struct tls *t);

/* "TLSv1.3 TLS_AES_256_GCM_SHA384" once open, else empty; the engine's.  */
struct str tls_text(const struct tls *t);
/* A client's, once open: a trusted authority (or, with DANE, DNS) vouches for the host, whether that was wanted or not.  */
bool tls_verified(const struct tls *t);
/* What is wrong with the peer's certificate, as far as it was looked at, whether that mattered or not.  A client's.  */
enum tls_fault {
	TLS_FAULT_NONE,
	TLS_FAULT_NAME, /* it is another one's */
	TLS_FAULT_DATE, /* it has expired, or is not valid yet */
	TLS_FAULT_UNTRUSTED,
	TLS_FAULT_OTHER,
};
enum tls_fault tls_fault(const struct tls *t);
/* After TLS_FAILED: words for people; the engine's.  */
struct str tls_why(const struct tls *t);
enum { TLS_BINDING = 32 };
/* What both ends of this session know and nobody else: a login that proves it cannot be carried to another session
 * (tls-exporter, RFC 9266).  TLS_BINDING octets.  False: not open, or older than TLS 1.3.  */
bool tls_channel_binding(const struct tls *t, uint8_t *ret);
/* The same for TLS 1.2 (tls-unique, RFC 5929 3): at most TLS_UNIQUE_MAX octets, their number is returned.  0: not open, another
 * version, or a session that could have been carried over (no RFC 7627).  */
enum { TLS_UNIQUE_MAX = 64 };
size_t tls_channel_unique(const struct tls *t, uint8_t *ret);
/* The name that the client asked for (SNI), or the empty str; the engine's.  */
struct str tls_server_name(const struct tls *t);

#endif
