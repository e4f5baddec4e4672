/* The engine: OpenSSL between two ends of memory.  */
#include "crypto/tls_private.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	RECORD = 16384, /* plaintext of one record at most (RFC 8446 5.1) */
	PLAIN_MAX = 4 * RECORD,
	OUT_MAX = 4 << 20,
};

/* ---- memory, as OpenSSL wants to see it ---- */

static int bio_read(BIO *bio, char *to, size_t room, size_t *ret_got)
{
	struct tls *t = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	struct str piece = str_head(t->input, room);
	*ret_got = piece.len;
	if (piece.len == 0) {
		BIO_set_retry_read(bio);
		return 0;
	}
	memcpy(to, piece.ptr, piece.len);
	t->input = str_skip(t->input, piece.len);
	return 1;
}

static int bio_write(BIO *bio, const char *from, size_t len, size_t *ret_taken)
{
	struct tls *t = BIO_get_data(bio);
	BIO_clear_retry_flags(bio);
	*ret_taken = 0;
	if (!buf_add(&t->out, str_of(from, len))) return 0;
	*ret_taken = len;
	return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	(void)bio, (void)number, (void)pointer;
	return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_bio_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "octets in memory");
	if (!m) return NULL;
	BIO_meth_set_read_ex(m, bio_read);
	BIO_meth_set_write_ex(m, bio_write);
	BIO_meth_set_ctrl(m, bio_ctrl);
	return m;
}

/* ---- words ---- */

void tls_add_error(struct buf *out, const char *fallback)
{
	unsigned long code = ERR_get_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;
	buf_add(out, str_from_c(reason ? reason : fallback));
	ERR_clear_error();
}

static void fail(struct tls *t)
{
	struct buf why = {.ptr = t->why, .cap = sizeof t->why - 1, .max = sizeof t->why - 1};
	t->state = TLS_FAILED;
	tls_add_error(&why, t->out.failed ? "out of memory" : "the TLS session was cut");
	long verdict = SSL_get_verify_result(t->ssl);
	if (verdict != X509_V_OK && SSL_get_verify_mode(t->ssl) != SSL_VERIFY_NONE)
		buf_printf(&why, ": %s", X509_verify_cert_error_string(verdict));
	t->why[why.len] = '\0';
}

static void opened(struct tls *t)
{
	t->state = TLS_OPEN;
	snprintf(t->text, sizeof t->text, "%s %s", SSL_get_version(t->ssl),
		SSL_get_cipher_name(t->ssl));
}

/* ---- octets from the peer ---- */

static void shake_hands(struct tls *t)
{
	int done = SSL_do_handshake(t->ssl);
	if (done == 1)
		opened(t);
	else if (SSL_get_error(t->ssl, done) != SSL_ERROR_WANT_READ)
		fail(t);
}

static void decrypt(struct tls *t)
{
	while (t->state == TLS_OPEN && t->plain.len + RECORD <= PLAIN_MAX) {
		size_t got = 0;
		char *to = buf_reserve(&t->plain, RECORD);
		int fine = to ? SSL_read_ex(t->ssl, to, RECORD, &got) : 0;
		t->plain.len += got;
		if (fine) continue;
		int error = to ? SSL_get_error(t->ssl, fine) : SSL_ERROR_SYSCALL;
		if (error == SSL_ERROR_WANT_READ) break;
		if (error == SSL_ERROR_ZERO_RETURN)
			t->state = TLS_ENDED;
		else
			fail(t);
	}
	if (t->plain.len == 0) buf_release(&t->plain);
}

size_t tls_feed(struct tls *t, struct str octets)
{
	if (t->plain.len) return 0;
	t->input = octets;
	ERR_clear_error();
	if (t->state == TLS_HANDSHAKE) shake_hands(t);
	if (t->state == TLS_OPEN) decrypt(t);
	size_t left = t->state == TLS_OPEN ? t->input.len : 0; /* behind its end nothing matters */
	t->input = STR_NONE;
	return octets.len - left;
}

struct str tls_plain(const struct tls *t) { return str_skip(buf_str(&t->plain), t->plain_head); }

void tls_plain_taken(struct tls *t, size_t n)
{
	ASSERT(n <= t->plain.len - t->plain_head);
	t->plain_head += n;
	if (t->plain_head < t->plain.len) return;
	t->plain_head = 0;
	buf_release(&t->plain);
}

/* ---- octets to the peer ---- */

bool tls_write(struct tls *t, struct str plain)
{
	if (t->state != TLS_OPEN && t->state != TLS_ENDED) return false;
	if (plain.len == 0) return true;
	size_t taken = 0;
	ERR_clear_error();
	if (SSL_write_ex(t->ssl, plain.ptr, plain.len, &taken) && taken == plain.len) return true;
	fail(t);
	return false;
}

struct str tls_output(const struct tls *t) { return str_skip(buf_str(&t->out), t->out_head); }

void tls_sent(struct tls *t, size_t n)
{
	ASSERT(n <= t->out.len - t->out_head);
	t->out_head += n;
	if (t->out_head < t->out.len) return;
	t->out_head = 0;
	buf_release(&t->out);
}

void tls_close(struct tls *t)
{
	if (t->state != TLS_OPEN && t->state != TLS_ENDED) return;
	SSL_shutdown(t->ssl);
	ERR_clear_error();
}

/* ---- what it is ---- */

enum tls_state tls_state(const struct tls *t) { return t->state; }
bool tls_verified(const struct tls *t)
{
	return t->named && t->text[0] && SSL_get_verify_result(t->ssl) == X509_V_OK;
}

struct str tls_text(const struct tls *t) { return str_from_c(t->text); }
struct str tls_why(const struct tls *t) { return str_from_c(t->why); }

bool tls_channel_binding(const struct tls *t, uint8_t *ret)
{
	static const char label[] = "EXPORTER-Channel-Binding";
	if (!t->text[0] || SSL_version(t->ssl) < TLS1_3_VERSION) return false;
	bool fine = SSL_export_keying_material(t->ssl, ret, TLS_BINDING, label, sizeof label - 1,
			    (const uint8_t *)"", 0, 1) == 1;
	ERR_clear_error();
	return fine;
}

/* The first Finished message of the handshake: the client's, or the server's when a session goes on.  */
size_t tls_channel_unique(const struct tls *t, uint8_t *ret)
{
	if (!t->text[0] || SSL_version(t->ssl) != TLS1_2_VERSION ||
		SSL_get_extms_support(t->ssl) != 1)
		return 0;
	bool ours = (SSL_is_server(t->ssl) != 0) == (SSL_session_reused(t->ssl) != 0);
	return ours ? SSL_get_finished(t->ssl, ret, TLS_UNIQUE_MAX)
		    : SSL_get_peer_finished(t->ssl, ret, TLS_UNIQUE_MAX);
}

struct str tls_server_name(const struct tls *t)
{
	return str_from_c(SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name));
}

/* ---- begin and end ---- */

struct tls *tls_new(struct tls_context *context)
{
	struct tls *t = calloc(1, sizeof *t);
	if (!t) return NULL;
	t->context = tls_context_hold(context);
	buf_init(&t->plain, PLAIN_MAX);
	buf_init(&t->out, OUT_MAX);
	t->ssl = SSL_new(context->ssl[0]);
	BIO *bio = t->ssl ? BIO_new(context->method) : NULL;
	if (!bio) {
		tls_free(t);
		return NULL;
	}
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	SSL_set_bio(t->ssl, bio, bio);
	return t;
}

struct tls *tls_server_new(struct tls_context *context)
{
	struct tls *t = tls_new(context);
	if (t) SSL_set_accept_state(t->ssl);
	return t;
}

void tls_free(struct tls *t)
{
	if (!t) return;
	SSL_free(t->ssl);
	buf_release(&t->plain);
	buf_release(&t->out);
	tls_context_release(t->context);
	free(t);
}
