#include "base/test.h"
#include "crypto/certificate.h"
#include "crypto/tls_private.h"

#include <malloc.h>
#include <openssl/x509v3.h>
#include <time.h>

/* ---- identities ---- */

struct identity {
	struct buf chain, key;
};

static struct identity make(const char *host, msec wall)
{
	struct identity i;
	buf_init(&i.chain, 1 << 16);
	buf_init(&i.key, 1 << 16);
	assert_true(certificate_make(str_from_c(host), wall, 365, &i.chain, &i.key));
	return i;
}

static void drop(struct identity *i)
{
	buf_release(&i->chain);
	buf_release(&i->key);
}

static struct tls_identity of(const struct identity *i)
{
	return (struct tls_identity){buf_str(&i->chain), buf_str(&i->key)};
}

static msec now(void) { return (msec)time(NULL) * 1000; }

/* ---- two engines and the wire between them ---- */

struct pair {
	struct identity identity, second;
	struct tls_context *server_context, *client_context;
	struct tls *server, *client;
	size_t piece; /* octets that travel at once */
};

static void contexts(struct pair *p, const char *host, const char *second, msec wall)
{
	struct buf why;
	buf_init(&why, 1000);
	*p = (struct pair){
		.piece = 65536, .identity = make(host, wall), .second = make(second, wall)};
	struct tls_identity both[] = {of(&p->identity), of(&p->second)};
	p->server_context = tls_server_context(both, 2, &why);
	p->client_context = tls_client_context(both[0].chain, &why);
	assert_str(buf_str(&why), "");
	assert_non_null(p->server_context);
	assert_non_null(p->client_context);
}

static void engines(struct pair *p, const char *host, enum tls_verify verify)
{
	p->server = tls_server_new(p->server_context);
	p->client = tls_client_new(p->client_context, str_from_c(host), verify);
	assert_non_null(p->server);
	assert_non_null(p->client);
	assert_int_equal(tls_feed(p->client, STR_NONE), 0);
}

static void no_engines(struct pair *p)
{
	tls_free(p->server);
	tls_free(p->client);
	p->server = p->client = NULL;
}

static void end(struct pair *p)
{
	no_engines(p);
	tls_context_release(p->server_context);
	tls_context_release(p->client_context);
	drop(&p->identity);
	drop(&p->second);
}

/* One piece from one side to the other; plaintext that comes out is added to `out`.  */
static bool carry(struct tls *from, struct tls *to, size_t piece, struct buf *out)
{
	struct str octets = str_head(tls_output(from), piece);
	if (octets.len == 0) return false;
	for (struct str left = octets; left.len;) {
		left = str_skip(left, tls_feed(to, left));
		struct str plain = tls_plain(to);
		if (out) buf_add(out, plain);
		tls_plain_taken(to, plain.len);
	}
	tls_sent(from, octets.len);
	return true;
}

static void shake(struct pair *p)
{
	for (bool moved = true; moved;) {
		moved = carry(p->client, p->server, p->piece, NULL);
		moved |= carry(p->server, p->client, p->piece, NULL);
	}
}

static void assert_open(const struct pair *p)
{
	if (tls_state(p->server) != TLS_OPEN || tls_state(p->client) != TLS_OPEN)
		fail_msg("server: " STR_FMT ", client: " STR_FMT, STR_ARG(tls_why(p->server)),
			STR_ARG(tls_why(p->client)));
}

static void say(struct pair *p, struct tls *from, struct tls *to, struct str text)
{
	struct buf got;
	buf_init(&got, 1 << 24);
	assert_true(tls_write(from, text));
	while (carry(from, to, p->piece, &got)) {
	}
	assert_true(str_eq(buf_str(&got), text));
	buf_release(&got);
}

/* ---- tests ---- */

/* Any split of the stream gives the same.  */
static void test_every_piece(void **state)
{
	(void)state;
	static const size_t pieces[] = {1, 2, 3, 5, 6, 7, 64, 1000, 65536};
	struct pair p;
	contexts(&p, "mail.example.com", "other.example", now());
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		p.piece = pieces[i];
		engines(&p, "mail.example.com", TLS_VERIFY_NAME);
		assert_str(tls_text(p.client), "");
		assert_false(tls_write(p.client, STR("too early")));
		shake(&p);
		assert_open(&p);
		assert_str(tls_text(p.server), "TLSv1.3 TLS_AES_256_GCM_SHA384");
		assert_str(tls_text(p.client), "TLSv1.3 TLS_AES_256_GCM_SHA384");
		assert_str(tls_server_name(p.server), "mail.example.com");
		assert_true(tls_verified(p.client));
		say(&p, p.client, p.server, STR("EHLO client\r\n"));
		say(&p, p.server, p.client, STR("250 mail\r\n"));
		no_engines(&p);
	}
	end(&p);
}

static void test_much(void **state)
{
	(void)state;
	struct pair p;
	contexts(&p, "a.example", "b.example", now());
	engines(&p, "a.example", TLS_VERIFY_NAME);
	shake(&p);
	size_t len = 3 << 20;
	char *text = malloc(len);
	assert_non_null(text);
	for (size_t i = 0; i < len; i++) text[i] = (char)(i * 31 >> 3);
	say(&p, p.client, p.server, str_of(text, len));
	p.piece = 4097;
	say(&p, p.server, p.client, str_of(text, len));
	free(text);
	end(&p);
}

/* Nothing more is taken while plaintext waits.  */
static void test_back_pressure(void **state)
{
	(void)state;
	struct pair p;
	contexts(&p, "a.example", "b.example", now());
	engines(&p, "a.example", TLS_VERIFY_NONE);
	shake(&p);
	static char text[200 * 1024];
	assert_true(tls_write(p.client, str_of(text, sizeof text)));
	size_t taken = tls_feed(p.server, tls_output(p.client));
	assert_true(taken > 0 && taken < tls_output(p.client).len);
	assert_true(tls_plain(p.server).len >= 16384 && tls_plain(p.server).len <= 65536);
	tls_sent(p.client, taken);
	assert_int_equal(tls_feed(p.server, tls_output(p.client)), 0);
	size_t all = 0;
	while (tls_plain(p.server).len) {
		all += tls_plain(p.server).len;
		tls_plain_taken(p.server, 1);
		tls_plain_taken(p.server, tls_plain(p.server).len);
		tls_sent(p.client, tls_feed(p.server, tls_output(p.client)));
	}
	assert_int_equal(all, sizeof text);
	end(&p);
}

static void test_closing(void **state)
{
	(void)state;
	struct pair p;
	contexts(&p, "a.example", "b.example", now());
	engines(&p, "a.example", TLS_VERIFY_NONE);
	shake(&p);
	assert_true(tls_write(p.client, STR("QUIT\r\n")));
	tls_close(p.client);
	struct buf got;
	buf_init(&got, 100);
	while (carry(p.client, p.server, p.piece, &got)) {
	}
	assert_str(buf_str(&got), "QUIT\r\n");
	buf_release(&got);
	assert_int_equal(tls_state(p.server), TLS_ENDED);
	say(&p, p.server, p.client, STR("221 bye\r\n"));
	assert_int_equal(tls_feed(p.server, STR("whatever")), 8);
	end(&p);
}

static void assert_refused(
	struct pair *p, const char *host, enum tls_verify verify, const char *why)
{
	engines(p, host, verify);
	shake(p);
	assert_int_equal(tls_state(p->client), TLS_FAILED);
	assert_str(tls_why(p->client), why);
	assert_false(tls_write(p->client, STR("x")));
	assert_int_equal(tls_state(p->server), TLS_FAILED); /* an alert came */
	assert_true(tls_why(p->server).len > 0);
	no_engines(p);
}

static void test_verification(void **state)
{
	(void)state;
	struct pair p, stranger;
	contexts(&p, "a.example", "b.example", now());
	contexts(&stranger, "a.example", "b.example", now());
	assert_refused(
		&p, "c.example", TLS_VERIFY_NAME, "certificate verify failed: hostname mismatch");
	assert_refused(
		&p, "192.0.2.1", TLS_VERIFY_NAME, "certificate verify failed: IP address mismatch");
	struct tls_context *ours = p.client_context;
	p.client_context = stranger.client_context;
	assert_refused(&p, "a.example", TLS_VERIFY_NAME,
		"certificate verify failed: self-signed certificate");
	engines(&p, "a.example", TLS_VERIFY_NONE);
	shake(&p);
	assert_open(&p);
	assert_false(tls_verified(p.client));
	no_engines(&p);
	p.client_context = ours;
	engines(&p, "c.example", TLS_VERIFY_NONE);
	shake(&p);
	assert_open(&p);
	assert_false(tls_verified(p.client));
	no_engines(&p);
	engines(&p, "a.example", TLS_VERIFY_NONE);
	assert_false(tls_verified(p.client));
	shake(&p);
	assert_true(tls_verified(p.client));
	assert_null(tls_client_new(p.client_context, STR(""), TLS_VERIFY_NAME));
	end(&p);
	end(&stranger);
}

static void test_expired(void **state)
{
	(void)state;
	struct pair p;
	msec then = now() - DAYS(366);
	contexts(&p, "a.example", "b.example", then);
	assert_int_equal(tls_context_until(p.server_context), then + DAYS(365));
	assert_int_equal(tls_context_ends(p.server_context, 1), then + DAYS(365));
	assert_int_equal(tls_context_until(p.client_context), MSEC_NEVER);
	assert_refused(&p, "a.example", TLS_VERIFY_NAME,
		"certificate verify failed: certificate has expired");
	end(&p);
}

static bool names(const struct tls *client, const char *host)
{
	return X509_check_host(SSL_get0_peer_certificate(client->ssl), host, 0, 0, NULL) == 1;
}

static void test_server_name(void **state)
{
	(void)state;
	static const struct {
		const char *asked, *got;
	} all[] = {{"a.example", "a.example"}, {"b.example", "b.example"},
		{"c.example", "a.example"}, {"B.Example", "b.example"}, {"", "a.example"},
		{"192.0.2.1", "a.example"}};
	struct pair p;
	contexts(&p, "a.example", "b.example", now());
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		engines(&p, all[i].asked, TLS_VERIFY_NONE);
		shake(&p);
		assert_open(&p);
		assert_true(names(p.client, all[i].got));
		no_engines(&p);
	}
	end(&p);
}

static void offer(struct pair *p, const char *protocols)
{
	engines(p, "a.example", TLS_VERIFY_NONE);
	SSL_clear(p->client->ssl);
	SSL_set_connect_state(p->client->ssl);
	SSL_set_alpn_protos(
		p->client->ssl, (const unsigned char *)protocols, (unsigned)strlen(protocols));
	tls_sent(p->client, tls_output(p->client).len);
	tls_feed(p->client, STR_NONE);
	shake(p);
}

/* A browser that was sent here by a stranger.  */
static void test_foreign_protocol(void **state)
{
	(void)state;
	struct pair p;
	contexts(&p, "a.example", "b.example", now());
	offer(&p, "\x02h2\x08http/1.1");
	assert_int_equal(tls_state(p.server), TLS_FAILED);
	assert_str(tls_why(p.client), "tlsv1 alert no application protocol");
	no_engines(&p);
	offer(&p, "\x02h2\x04smtp");
	assert_open(&p);
	end(&p);
}

static void limit(struct tls *t, int least, int most)
{
	SSL_set_min_proto_version(t->ssl, least);
	SSL_set_max_proto_version(t->ssl, most);
}

static void restart(struct pair *p, SSL_SESSION *session)
{
	SSL_clear(p->client->ssl);
	SSL_set_connect_state(p->client->ssl);
	if (session) SSL_set_session(p->client->ssl, session);
	tls_sent(p->client, tls_output(p->client).len);
	tls_feed(p->client, STR_NONE);
	shake(p);
}

static void test_versions(void **state)
{
	(void)state;
	struct pair p;
	contexts(&p, "a.example", "b.example", now());
	engines(&p, "a.example", TLS_VERIFY_NONE);
	limit(p.client, TLS1_2_VERSION, TLS1_2_VERSION);
	restart(&p, NULL);
	assert_open(&p);
	assert_str(tls_text(p.server), "TLSv1.2 ECDHE-ECDSA-AES256-GCM-SHA384");
	say(&p, p.client, p.server, STR("EHLO client\r\n"));
	/* Renegotiation costs the server a handshake each time.  */
	assert_int_equal(SSL_renegotiate(p.client->ssl), 0);
	no_engines(&p);
	engines(&p, "a.example", TLS_VERIFY_NONE);
	SSL_set_security_level(p.client->ssl, 0);
	limit(p.client, TLS1_VERSION, TLS1_1_VERSION);
	SSL_set_cipher_list(p.client->ssl, "ALL:@SECLEVEL=0");
	restart(&p, NULL);
	assert_str(tls_why(p.server), "unsupported protocol");
	assert_str(tls_why(p.client), "tlsv1 alert protocol version");
	end(&p);
}

static void test_channel_binding(void **state)
{
	(void)state;
	struct pair p;
	uint8_t first[TLS_BINDING], server[TLS_BINDING], client[TLS_BINDING];
	contexts(&p, "a.example", "b.example", now());
	engines(&p, "a.example", TLS_VERIFY_NONE);
	assert_false(tls_channel_binding(p.client, first));
	shake(&p);
	assert_true(tls_channel_binding(p.client, first));
	no_engines(&p);
	engines(&p, "a.example", TLS_VERIFY_NONE);
	shake(&p);
	assert_true(tls_channel_binding(p.server, server));
	assert_true(tls_channel_binding(p.client, client));
	assert_memory_equal(server, client, TLS_BINDING);
	assert_memory_not_equal(first, client, TLS_BINDING); /* each session has its own */
	no_engines(&p);
	engines(&p, "a.example", TLS_VERIFY_NONE);
	limit(p.client, TLS1_2_VERSION, TLS1_2_VERSION);
	restart(&p, NULL);
	assert_open(&p);
	assert_false(tls_channel_binding(p.client, client));
	assert_false(tls_channel_binding(p.server, server));
	uint8_t unique[2][TLS_UNIQUE_MAX];
	assert_int_equal(tls_channel_unique(p.client, unique[0]), 12);
	assert_int_equal(tls_channel_unique(p.server, unique[1]), 12);
	assert_memory_equal(unique[0], unique[1], 12);
	SSL_SESSION *session = SSL_get1_session(p.client->ssl);
	tls_close(p.client);
	no_engines(&p);
	engines(&p, "a.example", TLS_VERIFY_NONE);
	limit(p.client, TLS1_2_VERSION, TLS1_2_VERSION);
	restart(&p, session);
	assert_int_equal(SSL_session_reused(p.server->ssl), 1); /* then the server's is the first */
	assert_int_equal(tls_channel_unique(p.client, unique[0]), 12);
	assert_int_equal(tls_channel_unique(p.server, unique[1]), 12);
	assert_memory_equal(unique[0], unique[1], 12);
	SSL_SESSION_free(session);
	end(&p);
}

static void test_tickets(void **state)
{
	(void)state;
	struct pair p;
	contexts(&p, "a.example", "b.example", now());
	engines(&p, "a.example", TLS_VERIFY_NONE);
	shake(&p);
	SSL_SESSION *session = SSL_get1_session(p.client->ssl);
	assert_true(SSL_SESSION_is_resumable(session));
	tls_close(p.client); /* or else the session counts as broken */
	no_engines(&p);
	engines(&p, "a.example", TLS_VERIFY_NONE);
	restart(&p, session);
	assert_open(&p);
	assert_int_equal(SSL_session_reused(p.server->ssl), 1);
	SSL_SESSION_free(session);
	end(&p);
}

static SSL_SESSION *fresh_session(struct pair *p, int version)
{
	engines(p, "a.example", TLS_VERIFY_NONE);
	limit(p->client, version, version);
	restart(p, NULL);
	assert_open(p);
	SSL_SESSION *session = SSL_get1_session(p->client->ssl);
	tls_close(p->client);
	no_engines(p);
	return session;
}

static bool resumes(struct pair *p, SSL_SESSION *session)
{
	int version = SSL_SESSION_get_protocol_version(session);
	engines(p, "a.example", TLS_VERIFY_NONE);
	limit(p->client, version, version);
	restart(p, session);
	assert_open(p);
	bool reused = SSL_session_reused(p->server->ssl) == 1;
	say(p, p->client, p->server, STR("EHLO client\r\n"));
	say(p, p->server, p->client, STR("250 mail\r\n"));
	tls_close(p->client);
	no_engines(p);
	return reused;
}

/* A ticket is good for the key that sealed it and for one key more, and another context has its own keys.  */
static void test_ticket_keys(void **state)
{
	(void)state;
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		struct pair p, other;
		contexts(&p, "a.example", "b.example", now());
		contexts(&other, "a.example", "b.example", now());
		SSL_SESSION *first = fresh_session(&p, version);
		assert_true(resumes(&p, first));
		tls_context_rotate(p.server_context);
		assert_true(resumes(&p, first));
		SSL_SESSION *second = fresh_session(&p, version);
		assert_false(resumes(&other, second));
		tls_context_rotate(p.server_context);
		assert_false(resumes(&p, first));
		assert_true(resumes(&p, second));
		tls_context_inherit(other.server_context, p.server_context);
		assert_true(resumes(&other, second));
		tls_context_rotate(other.server_context);
		assert_false(resumes(&other, second));
		SSL_SESSION_free(first);
		SSL_SESSION_free(second);
		end(&p);
		end(&other);
	}
}

static void test_garbage(void **state)
{
	(void)state;
	static const char *const all[] = {"EHLO client.example\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\xff\xff garbage",
		"\x80\x1a\x01\x03\x01 an SSL 2 hello, as it was"};
	struct pair p;
	contexts(&p, "a.example", "b.example", now());
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		p.server = tls_server_new(p.server_context);
		assert_int_equal(tls_feed(p.server, str_from_c(all[i])), strlen(all[i]));
		assert_int_equal(tls_state(p.server), TLS_FAILED);
		assert_true(tls_why(p.server).len > 0);
		tls_close(p.server);
		tls_free(p.server);
	}
	p.server = NULL;
	/* One octet changed on the way.  */
	engines(&p, "a.example", TLS_VERIFY_NONE);
	shake(&p);
	assert_true(tls_write(p.client, STR("MAIL FROM:<a@example.org>\r\n")));
	struct str sent = tls_output(p.client);
	char *changed = memcpy(malloc(sent.len), sent.ptr, sent.len);
	changed[sent.len / 2] ^= 1;
	tls_feed(p.server, str_of(changed, sent.len));
	free(changed);
	assert_int_equal(tls_state(p.server), TLS_FAILED);
	assert_int_equal(tls_plain(p.server).len, 0);
	end(&p);
}

static void refused(struct str chain, struct str key, const char *wanted)
{
	struct buf why;
	buf_init(&why, 1000);
	struct tls_identity identity = {chain, key};
	assert_null(tls_server_context(&identity, 1, &why));
	assert_str(buf_str(&why), wanted);
	buf_release(&why);
}

static void test_bad_identities(void **state)
{
	(void)state;
	struct identity a = make("a.example", now()), b = make("b.example", now());
	refused(STR(""), buf_str(&a.key), "certificate: no start line");
	refused(STR("nonsense"), buf_str(&a.key), "certificate: no start line");
	refused(buf_str(&a.chain), STR(""), "private key: unsupported");
	refused(buf_str(&a.chain), buf_str(&b.key), "private key: key values mismatch");
	struct buf why;
	buf_init(&why, 1000);
	assert_null(tls_client_context(STR("nonsense"), &why));
	assert_str(buf_str(&why), "trusted certificates: no start line");
	buf_release(&why);
	drop(&a);
	drop(&b);
}

#if !defined(__SANITIZE_ADDRESS__)
/* limits.md has 18 KB a session as its bound; both ends, and the client's is as large.  */
static void test_memory_of_an_idle_session(void **state)
{
	(void)state;
	enum { SESSIONS = 50, IDLE_MAX = 18000 };
	struct pair p;
	contexts(&p, "a.example", "b.example", now());
	engines(&p, "a.example", TLS_VERIFY_NONE);
	shake(&p);
	struct tls *servers[SESSIONS];
	size_t used = 0;
	for (int i = 0; i < SESSIONS; i++) {
		no_engines(&p);
		engines(&p, "a.example", TLS_VERIFY_NONE);
		shake(&p);
		say(&p, p.client, p.server, STR("EHLO client\r\n"));
		say(&p, p.server, p.client, STR("250 ok\r\n"));
		tls_free(p.client);
		p.client = NULL;
		servers[i] = p.server;
		p.server = NULL;
	}
	used = mallinfo2().uordblks;
	for (int i = 0; i < SESSIONS; i++) tls_free(servers[i]);
	size_t each = (used - mallinfo2().uordblks) / SESSIONS;
	print_message("%zu octets a session\n", each);
	assert_in_range(each, 1000, IDLE_MAX);
	end(&p);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_piece),
		cmocka_unit_test(test_much),
		cmocka_unit_test(test_back_pressure),
		cmocka_unit_test(test_closing),
		cmocka_unit_test(test_verification),
		cmocka_unit_test(test_expired),
		cmocka_unit_test(test_server_name),
		cmocka_unit_test(test_foreign_protocol),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_channel_binding),
		cmocka_unit_test(test_tickets),
		cmocka_unit_test(test_ticket_keys),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_bad_identities),
#if !defined(__SANITIZE_ADDRESS__)
		cmocka_unit_test(test_memory_of_an_idle_session),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
